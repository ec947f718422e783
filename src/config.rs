//! The command line and the environment (`DESIGN.md` §4).
//!
//! Every option is a flag and a variable of the environment; a bad value is refused at start with
//! the name of the option and what to write instead.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Arg, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

/// A Kubernetes operator that keeps a Notion database and a Postgres table in step.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct CommandLine {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl CommandLine {
    /// Reads the arguments and the environment of this process; ends it with an explanation if they
    /// cannot be understood, or if help was asked for.
    pub fn read() -> Self {
        let matches = Self::with_environment().get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }

    /// The command, for which an empty variable of the environment is one that is not set: a
    /// manifest cannot leave out an entry that it has.
    fn with_environment() -> clap::Command {
        let is_empty = |argument: &Arg| {
            let value = argument.get_env().and_then(std::env::var_os);
            value.is_some_and(|value| value.is_empty())
        };
        Self::command().mut_subcommand("run", |run| {
            run.mut_args(|argument| {
                if is_empty(&argument) {
                    argument.env(clap::builder::Resettable::Reset)
                } else {
                    argument
                }
            })
        })
    }
}

/// What the binary can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the operator.
    Run(Box<Config>),
    /// Print the custom resource definition.
    Crd,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// Text for people.
    Text,
}

/// Options of `run`.
#[derive(Debug, Clone, Args)]
pub struct Config {
    /// Where webhooks and the admin API are served.
    #[arg(long, env = "HTTP_ADDR", default_value = "0.0.0.0:8080")]
    pub http_addr: SocketAddr,
    /// Where `/metrics`, `/livez` and `/readyz` are served.
    #[arg(long, env = "METRICS_ADDR", default_value = "0.0.0.0:8081")]
    pub metrics_addr: SocketAddr,
    /// Scheme and host of Notion's API, without `/v1`.
    #[arg(long, env = "NOTION_API_URL", default_value = "https://api.notion.com",
        value_parser = parse_api_url)]
    pub notion_api_url: String,
    /// Namespaces to watch, separated by commas; empty means all.
    #[arg(long, env = "WATCH_NAMESPACE", value_delimiter = ',')]
    pub watch_namespace: Vec<String>,
    /// Whether only the holder of the Lease works on bindings.
    #[arg(long, env = "LEADER_ELECT", default_value_t = true,
        action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true",
        value_parser = |text: &str| parse_switch(text, true))]
    pub leader_elect: bool,
    /// A file that holds the static admin token.
    #[arg(long, env = "ADMIN_TOKEN_FILE")]
    pub admin_token_file: Option<String>,
    /// Database hosts that bindings may name, separated by commas: `.x` matches names below x, `x`
    /// that name only, a CIDR must hold every resolved address; empty means any but link-local.
    #[arg(long, env = "DATABASE_HOSTS", value_delimiter = ',')]
    pub database_hosts: Vec<String>,
    /// Whether bindings may accept webhooks without any authentication.
    #[arg(long, env = "ALLOW_UNVERIFIED_WEBHOOKS", default_value_t = false,
        action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true",
        value_parser = |text: &str| parse_switch(text, false))]
    pub allow_unverified_webhooks: bool,
    /// The form of log lines.
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t = LogFormat::Json)]
    pub log_format: LogFormat,
    /// Which events are logged, in the syntax of `RUST_LOG`.
    #[arg(long = "log", env = "RUST_LOG", default_value = "info")]
    pub log_filter: String,
    /// The namespace of the operator's own Lease.
    #[arg(long, env = "POD_NAMESPACE", default_value = "notion-sync-system")]
    pub pod_namespace: String,
    /// The identity of this replica in the Lease; made up where it is not given.
    #[arg(long, env = "POD_NAME")]
    pub pod_name: Option<String>,
}

impl Config {
    /// The namespaces to watch; empty means all.
    pub fn namespaces(&self) -> Vec<String> {
        listed(&self.watch_namespace)
    }

    /// The rules for database hosts; empty means any but link-local.
    pub fn host_rules(&self) -> Vec<String> {
        listed(&self.database_hosts)
    }

    /// The file of the static admin token.
    pub fn admin_token_path(&self) -> Option<PathBuf> {
        let path = self.admin_token_file.as_deref().map(str::trim);
        path.filter(|path| !path.is_empty()).map(PathBuf::from)
    }

    /// The identity of this replica.
    pub fn identity(&self) -> String {
        let given = self.pod_name.clone().filter(|name| !name.is_empty());
        given.unwrap_or_else(|| format!("notion-sync-operator-{}", uuid::Uuid::new_v4().simple()))
    }
}

/// An empty variable gives one empty entry.
fn listed(entries: &[String]) -> Vec<String> {
    let trimmed = entries.iter().map(|entry| entry.trim().to_owned());
    trimmed.filter(|entry| !entry.is_empty()).collect()
}

/// An empty value is the default.
fn parse_switch(text: &str, default: bool) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        "" => Ok(default),
        _ => Err("write true or false".to_owned()),
    }
}

fn parse_api_url(text: &str) -> Result<String, String> {
    let text = text.trim().trim_end_matches('/');
    let host = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    match host {
        Some(host) if !host.is_empty() && !host.contains(['/', '?', '#', '@']) => {
            Ok(text.to_owned())
        }
        _ => Err("write scheme and host only, such as https://api.notion.com".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(arguments: &[&str]) -> Result<Config, clap::Error> {
        let all = ["notion-sync-operator", "run"].iter().chain(arguments);
        match CommandLine::try_parse_from(all)?.command {
            Command::Run(config) => Ok(*config),
            Command::Crd => panic!("run was asked for"),
        }
    }

    #[test]
    fn the_defaults_are_those_of_the_design() {
        let config = run(&[]).unwrap();
        assert_eq!(config.http_addr.to_string(), "0.0.0.0:8080");
        assert_eq!(config.metrics_addr.to_string(), "0.0.0.0:8081");
        assert!(config.leader_elect && !config.allow_unverified_webhooks);
        assert!(config.namespaces().is_empty() && config.host_rules().is_empty());
        assert_eq!(config.admin_token_path(), None);
    }

    #[test]
    fn lists_and_switches_are_read() {
        let config = run(&[
            "--watch-namespace=a, b",
            "--database-hosts=",
            "--leader-elect=false",
            "--allow-unverified-webhooks",
            "--admin-token-file=",
        ])
        .unwrap();
        let empty = run(&["--leader-elect=", "--allow-unverified-webhooks="]).unwrap();
        assert!(empty.leader_elect && !empty.allow_unverified_webhooks);
        assert_eq!(config.namespaces(), ["a", "b"]);
        assert!(config.host_rules().is_empty());
        assert!(!config.leader_elect && config.allow_unverified_webhooks);
        assert_eq!(config.admin_token_path(), None);
    }

    #[test]
    fn a_bad_value_names_its_option() {
        let error = run(&["--notion-api-url=https://api.notion.com/v1"])
            .unwrap_err()
            .to_string();
        assert!(error.contains("--notion-api-url") && error.contains("scheme and host"));
        assert!(
            run(&["--http-addr=8080"])
                .unwrap_err()
                .to_string()
                .contains("--http-addr")
        );
    }
}
