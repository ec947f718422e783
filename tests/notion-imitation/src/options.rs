//! What a server starts with, and the switches that can be turned while it runs.
//!
//! [`Options`] is fixed at the start. [`Switches`] holds every limit of Notion that a test may
//! want to lower, lift or bend; the defaults are what Notion does, except that no rate limit and
//! no latency apply. Both are command-line flags, and switches are also changed through
//! `PATCH /_control/switches`.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;

use clap::{ArgAction, Args, Parser};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a server starts with.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Address to listen on; port 0 picks a free one.
    #[arg(long, default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))]
    pub listen: SocketAddr,
    /// Token of the first connection, which sees everything.
    #[arg(long, default_value = "ntn_imitation")]
    pub token: String,
    /// Name of the first connection and of its bot user.
    #[arg(long, default_value = "Imitation")]
    pub bot_name: String,
    /// Name of the workspace.
    #[arg(long, default_value = "Acme")]
    pub workspace_name: String,
    /// Seed of everything random.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Start with a clock that stands still at this time; otherwise it follows real time.
    #[arg(long)]
    pub fixed_clock: Option<Timestamp>,
    /// How many requests the log keeps; counts go on beyond it.
    #[arg(long, default_value_t = 100_000)]
    pub log_limit: usize,
    /// The switches to start with.
    #[command(flatten)]
    pub switches: Switches,
}

impl Default for Options {
    fn default() -> Self {
        parsed::<Self>()
    }
}

/// Every limit of Notion as a switch. The defaults are Notion's own values.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an independent switch, not a state"
)]
pub struct Switches {
    /// Store the times of pages and data sources down to the minute.
    #[arg(long, default_value_t = true, action = ArgAction::Set)]
    pub minute_times: bool,
    /// Drop the seconds of date properties.
    #[arg(long, default_value_t = true, action = ArgAction::Set)]
    pub floor_dates: bool,
    /// Send the `Date` header.
    #[arg(long, default_value_t = true, action = ArgAction::Set)]
    pub date_header: bool,
    /// Requests per window and token; 0 is no limit (Notion: 180, or 600 on Business).
    #[arg(long, default_value_t = 0)]
    pub requests_per_minute: u32,
    /// Requests per window of all tokens together; 0 is no limit.
    #[arg(long, default_value_t = 0)]
    pub workspace_requests_per_minute: u32,
    /// Length of the fixed window of both limits, in real milliseconds.
    #[arg(long, default_value_t = 60_000)]
    pub rate_window_ms: u64,
    /// Milliseconds before every answer.
    #[arg(long, default_value_t = 0)]
    pub latency_ms: u64,
    /// Milliseconds before the answers of single operations, as `data_sources.query=200,pages.update=50`.
    #[arg(long, default_value = "")]
    pub operation_latency_ms: Latencies,
    /// Queries show the state of this many real milliseconds ago.
    #[arg(long, default_value_t = 0)]
    pub query_lag_ms: u64,
    /// Reads of pages show the state of this many real milliseconds ago.
    #[arg(long, default_value_t = 0)]
    pub get_lag_ms: u64,
    /// Rows that one query (filter and sort) gives at most.
    #[arg(long, default_value_t = 10_000)]
    pub query_cap: usize,
    /// Rows per answer at most, whatever `page_size` says; 0 is no such limit.
    #[arg(long, default_value_t = 0)]
    pub query_rows_per_page: usize,
    /// Refuse the cursor of a pagination after this many answers; 0 is never.
    #[arg(long, default_value_t = 0)]
    pub reject_cursor_after: u32,
    /// Run the query anew for every cursor and skip what was given, so that rows which change
    /// their place meanwhile are given twice or never.
    #[arg(long, default_value_t = false, action = ArgAction::Set)]
    pub live_cursors: bool,
    /// Related pages that a page or query answer shows at most.
    #[arg(long, default_value_t = 25)]
    pub relation_limit: usize,
    /// People that a page or query answer shows at most, without saying so.
    #[arg(long, default_value_t = 25)]
    pub people_limit: usize,
    /// Text with more different page and user mentions than this is cut in page and query answers.
    #[arg(long, default_value_t = 25)]
    pub mention_limit: usize,
    /// Cut every text to this many segments in page and query answers; 0 cuts only text over
    /// `mention_limit`, to 25 segments.
    #[arg(long, default_value_t = 0)]
    pub truncate_text_segments: usize,
    /// Join neighbouring text segments of equal style when they are written.
    #[arg(long, default_value_t = false, action = ArgAction::Set)]
    pub merge_text_segments: bool,
    /// Accept text segments without content (they are dropped) instead of refusing them.
    #[arg(long, default_value_t = false, action = ArgAction::Set)]
    pub accept_empty_text: bool,
    /// Answer 200 to writes of unknown properties and drop their values, as one report claims.
    #[arg(long, default_value_t = false, action = ArgAction::Set)]
    pub drop_unknown_properties: bool,
    /// A change of a two-way relation also moves `last_edited_time` of the page at the other end.
    #[arg(long, default_value_t = true, action = ArgAction::Set)]
    pub relation_edits_both_ends: bool,
    /// Pages below a trashed data source or database say `in_trash: true`, too.
    #[arg(long, default_value_t = false, action = ArgAction::Set)]
    pub trash_covers_pages: bool,
    /// Queries of a trashed data source give no rows instead of 404.
    #[arg(long, default_value_t = false, action = ArgAction::Set)]
    pub trashed_query_is_empty: bool,
    /// Seconds until the signed URL of a hosted file expires.
    #[arg(long, default_value_t = 3_600)]
    pub file_url_seconds: i64,
    /// Bytes of a request body at most.
    #[arg(long, default_value_t = 512_000)]
    pub max_body_bytes: usize,
}

impl Default for Switches {
    fn default() -> Self {
        parsed::<Self>()
    }
}

/// Milliseconds by operation name (`pages.retrieve`, `data_sources.query`, ...).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Latencies(pub BTreeMap<String, u64>);

impl FromStr for Latencies {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut latencies = BTreeMap::new();
        for pair in text.split(',').filter(|pair| !pair.is_empty()) {
            let (operation, ms) = pair
                .split_once('=')
                .ok_or_else(|| format!("{pair}: expected operation=ms"))?;
            let ms = ms.parse().map_err(|error| format!("{pair}: {error}"))?;
            latencies.insert(operation.to_owned(), ms);
        }
        Ok(Self(latencies))
    }
}

/// The defaults of a set of flags, so that they are written down only once.
fn parsed<T: Args>() -> T {
    #[derive(Debug, Parser)]
    struct Only<T: Args> {
        #[command(flatten)]
        flags: T,
    }
    match Only::<T>::try_parse_from(["defaults"]) {
        Ok(only) => only.flags,
        Err(error) => error.exit(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_notions() {
        let switches = Options::default().switches;
        assert!(switches.minute_times && switches.date_header);
        assert_eq!((switches.query_cap, switches.relation_limit), (10_000, 25));
        assert_eq!(switches, serde_json::from_str("{}").unwrap());
    }

    #[test]
    fn latencies_are_read_from_a_flag() {
        let read: Latencies = "data_sources.query=200,pages.update=5".parse().unwrap();
        assert_eq!(read.0["data_sources.query"], 200);
        assert!("pages.update".parse::<Latencies>().is_err());
    }
}
