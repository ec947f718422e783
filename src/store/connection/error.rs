//! Why a connection string is refused; each text says what to write instead.

use thiserror::Error;

/// A connection string that is not accepted. It never holds a value of the string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ConnectionStringError {
    /// Far longer than any real one.
    #[error("the connection string is longer than 8 KiB")]
    TooLong,
    /// Not a URI: another scheme, or libpq's keyword form.
    #[error(
        "the connection string must be a URI: \
         postgres://<user>:<password>@<host>:<port>/<database>"
    )]
    Scheme,
    /// A part is missing.
    #[error("{0} is missing; write postgres://<user>:<password>@<host>:<port>/<database>")]
    Required(&'static str),
    /// A reserved character stands raw in user or password.
    #[error("user and password must be percent-encoded (write %40 for @)")]
    Unencoded,
    /// A bad percent-encoding, or one of NUL or of something that is not UTF-8.
    #[error("the percent-encoding of {0} is not valid")]
    Encoding(&'static str),
    /// No such host name or address.
    #[error("host must be one name or address; an IPv6 address stands in brackets")]
    Host,
    /// Several hosts or ports.
    #[error("host: exactly one host and one port are accepted")]
    SecondHost,
    /// A Unix socket.
    #[error("host: a socket path is not accepted; name a host")]
    Socket,
    /// No such port.
    #[error("port must be a number from 1 to 65535")]
    Port,
    /// A parameter of libpq that is not accepted here.
    #[error("parameter {0} is not accepted; only sslmode, connect_timeout and channel_binding are")]
    Parameter(&'static str),
    /// A parameter that libpq does not have either, or none at all.
    #[error(
        "a parameter is not accepted; only sslmode, connect_timeout and channel_binding are \
         (? and & in a password must be percent-encoded)"
    )]
    UnknownParameter,
    /// A parameter stands twice.
    #[error("parameter {0} stands there twice")]
    Twice(&'static str),
    /// No such mode.
    #[error("parameter sslmode must be disable, allow, prefer, require, verify-ca or verify-full")]
    SslMode,
    /// A mode that would ignore the authority.
    #[error("parameter sslmode must be verify-ca or verify-full where caSecretRef is set")]
    WeakerThanCa,
    /// An authority is asked for and none given.
    #[error("parameter sslmode: verify-ca needs caSecretRef; without it use verify-full")]
    VerifyCaWithoutCa,
    /// Not a number.
    #[error("parameter connect_timeout must be a number of seconds")]
    ConnectTimeout,
    /// No such value.
    #[error("parameter channel_binding must be disable or prefer")]
    ChannelBinding,
    /// Not supported, and not to be ignored.
    #[error(
        "parameter channel_binding: require is not supported; \
         use prefer together with sslmode=verify-full, which binds the connection to the server"
    )]
    ChannelBindingRequired,
    /// No certificate in `caSecretRef`.
    #[error("caSecretRef must hold certificates in PEM form")]
    Ca,
}

/// Names that libpq and its relatives know. Only these are repeated in an error.
const NAMES: &[&str] = &[
    "application_name",
    "client_encoding",
    "dbname",
    "fallback_application_name",
    "gssdelegation",
    "gssencmode",
    "gsslib",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "krbsrvname",
    "load_balance_hosts",
    "max_protocol_version",
    "min_protocol_version",
    "options",
    "passfile",
    "password",
    "pgbouncer",
    "pool_timeout",
    "port",
    "replication",
    "require_auth",
    "requirepeer",
    "schema",
    "search_path",
    "service",
    "servicefile",
    "ssl",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslcert",
    "sslcertmode",
    "sslcompression",
    "sslcrl",
    "sslcrldir",
    "sslkey",
    "sslkeylogfile",
    "sslnegotiation",
    "sslpassword",
    "sslrootcert",
    "sslsni",
    "statement-cache-capacity",
    "statement_timeout",
    "target_session_attrs",
    "tcp_user_timeout",
    "user",
];

pub(super) fn unknown_parameter(name: &str) -> ConnectionStringError {
    match NAMES.iter().find(|known| **known == name) {
        Some(known) => ConnectionStringError::Parameter(known),
        None => ConnectionStringError::UnknownParameter,
    }
}
