//! Log lines.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use crate::config::LogFormat;

/// Sends log events to standard output in the given form.
///
/// # Errors
/// The filter cannot be read.
pub fn init(format: LogFormat, filter: &str) -> Result<(), ParseError> {
    // The text of a server's notice may hold row values.
    let filter = EnvFilter::try_new(filter)?.add_directive("sqlx::postgres::notice=off".parse()?);
    let lines = tracing_subscriber::fmt().with_env_filter(filter);
    match format {
        LogFormat::Json => lines.json().flatten_event(true).init(),
        LogFormat::Text => lines.with_ansi(std::io::stdout().is_terminal()).init(),
    }
    Ok(())
}
