//! Connection strings, taken apart by our own code.
//!
//! One host, port, user, password and database, and three parameters; everything else is refused
//! (`design/state.md` §4). sqlx's own parser and libpq read `PG*` variables and password files and
//! know dozens of parameters that name files, hosts and options: none of that may be reachable from
//! a tenant's Secret. No value of the string appears in an error or in debug output, and of unknown
//! parameters only names that libpq has are repeated, because a password with a raw `?` makes its
//! second half look like one.

use std::ffi::OsString;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::LazyLock;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::error::StoreError;
use crate::sync::reason::Reason;

mod error;
#[cfg(test)]
mod tests;

pub use error::ConnectionStringError;
use error::ConnectionStringError as Error;

/// How much TLS the connection must have, as libpq's `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsMode {
    /// Never.
    Disable,
    /// Only where the server insists.
    Allow,
    /// Where the server can.
    Prefer,
    /// Always, with whatever certificate the server shows.
    Require,
    /// Always, and the certificate is signed by the given authority.
    VerifyCa,
    /// The same, and the certificate names the host.
    VerifyFull,
}

impl TlsMode {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "disable" => Self::Disable,
            "allow" => Self::Allow,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => return None,
        })
    }
}

/// Identifies a connection string (and its CA) without revealing it: a hash under a key that this
/// process made up, so that it cannot be searched for outside of it either.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 32]);

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({})", hex::encode(&self.0[..4]))
    }
}

/// A connection string whose every part was checked.
#[derive(Clone)]
pub struct ConnectionString {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) user: String,
    pub(super) password: SecretString,
    pub(super) database: String,
    pub(super) tls: TlsMode,
    pub(super) connect_timeout: Duration,
    /// The PEM text of the authorities to trust.
    pub(super) ca: Option<Vec<u8>>,
    fingerprint: Fingerprint,
}

impl fmt::Debug for ConnectionString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectionString({:?})", self.fingerprint)
    }
}

/// Longer strings are refused before anything else looks at them.
const MAX_LENGTH: usize = 8 * 1024;
/// libpq's default.
const DEFAULT_PORT: u16 = 5432;
/// How long a connection may take to come up unless `connect_timeout` says otherwise.
const DEFAULT_CONNECT_TIMEOUT: u64 = 5;
/// The longest `connect_timeout` that is honoured, in seconds: a webhook's sender waits behind it.
const MAX_CONNECT_TIMEOUT: u64 = 10;

impl ConnectionString {
    /// Takes a URI apart. `ca` is the content of `caSecretRef`, PEM; with it the default mode is
    /// `verify-full` and less than `verify-ca` is refused.
    pub fn parse(uri: &str, ca: Option<&[u8]>) -> Result<Self, Error> {
        let uri = uri.trim_ascii();
        if uri.len() > MAX_LENGTH {
            return Err(Error::TooLong);
        }
        let rest = uri
            .strip_prefix("postgresql://")
            .or_else(|| uri.strip_prefix("postgres://"))
            .ok_or(Error::Scheme)?;
        let (before_query, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = before_query.split_once('/').unwrap_or((before_query, ""));
        let (user_info, host_port) = authority.split_once('@').ok_or(Error::Required("user"))?;
        if host_port.contains('@') {
            return Err(Error::Unencoded);
        }
        let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
        let (host, port) = host_and_port(host_port)?;
        let parameters = Parameters::parse(query)?;
        if let Some(pem) = ca {
            check_ca(pem)?;
        }
        let mut parsed = Self {
            host,
            port,
            user: required("user", user)?,
            password: decode("password", password)?.into(),
            database: required("database", database)?,
            tls: parameters.tls(ca.is_some())?,
            connect_timeout: parameters.connect_timeout,
            ca: ca.map(<[u8]>::to_vec),
            fingerprint: Fingerprint([0; 32]),
        };
        parsed.fingerprint = parsed.hash();
        Ok(parsed)
    }

    /// What pools are told apart by.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    fn hash(&self) -> Fingerprint {
        static KEY: LazyLock<[Uuid; 2]> = LazyLock::new(|| [Uuid::new_v4(), Uuid::new_v4()]);
        let mut hasher = Sha256::new();
        KEY.iter().for_each(|part| hasher.update(part.as_bytes()));
        let numbers = format!("{} {:?} {:?}", self.port, self.tls, self.connect_timeout);
        let parts: [&[u8]; 6] = [
            self.host.as_bytes(),
            self.user.as_bytes(),
            self.password.expose_secret().as_bytes(),
            self.database.as_bytes(),
            numbers.as_bytes(),
            self.ca.as_deref().unwrap_or_default(),
        ];
        for part in parts {
            hasher.update(part.len().to_be_bytes());
            hasher.update(part);
        }
        Fingerprint(hasher.finalize().into())
    }
}

impl From<ConnectionStringError> for StoreError {
    fn from(error: ConnectionStringError) -> Self {
        Self::refused(Reason::ConnectionStringInvalid, error.to_string())
    }
}

/// The parameters behind the question mark.
struct Parameters {
    tls: Option<TlsMode>,
    connect_timeout: Duration,
}

impl Parameters {
    fn parse(query: &str) -> Result<Self, Error> {
        let mut parameters = Self {
            tls: None,
            connect_timeout: Duration::from_secs(DEFAULT_CONNECT_TIMEOUT),
        };
        let mut seen: Vec<&'static str> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or(Error::UnknownParameter)?;
            let name = decode("parameter", name)?;
            let known = match name.as_str() {
                "sslmode" => {
                    let value = decode("sslmode", value)?;
                    parameters.tls = Some(TlsMode::parse(&value).ok_or(Error::SslMode)?);
                    "sslmode"
                }
                "connect_timeout" => {
                    parameters.connect_timeout = timeout(&decode("connect_timeout", value)?)?;
                    "connect_timeout"
                }
                "channel_binding" => {
                    match decode("channel_binding", value)?.as_str() {
                        "disable" | "prefer" => {}
                        "require" => return Err(Error::ChannelBindingRequired),
                        _ => return Err(Error::ChannelBinding),
                    }
                    "channel_binding"
                }
                other => return Err(error::unknown_parameter(other)),
            };
            if seen.contains(&known) {
                return Err(Error::Twice(known));
            }
            seen.push(known);
        }
        Ok(parameters)
    }

    fn tls(&self, has_ca: bool) -> Result<TlsMode, Error> {
        match (self.tls, has_ca) {
            (None, false) => Ok(TlsMode::Prefer),
            (None, true) => Ok(TlsMode::VerifyFull),
            (Some(mode), true) if mode < TlsMode::VerifyCa => Err(Error::WeakerThanCa),
            // Any public authority would do otherwise, for a certificate of any name: libpq refuses
            // the same (`sslrootcert=system`).
            (Some(TlsMode::VerifyCa), false) => Err(Error::VerifyCaWithoutCa),
            (Some(mode), _) => Ok(mode),
        }
    }
}

fn timeout(text: &str) -> Result<Duration, Error> {
    let seconds: i64 = text.trim().parse().map_err(|_| Error::ConnectTimeout)?;
    // libpq waits for ever at 0 and below; the longest wait here is the nearest to it.
    let seconds = u64::try_from(seconds)
        .ok()
        .filter(|seconds| *seconds > 0)
        .unwrap_or(MAX_CONNECT_TIMEOUT);
    Ok(Duration::from_secs(seconds.min(MAX_CONNECT_TIMEOUT)))
}

fn host_and_port(text: &str) -> Result<(String, u16), Error> {
    let (host, port) = if let Some(bracketed) = text.strip_prefix('[') {
        let (host, rest) = bracketed.split_once(']').ok_or(Error::Host)?;
        let address: Ipv6Addr = host.parse().map_err(|_| Error::Host)?;
        let port = match rest.strip_prefix(':') {
            Some(port) => port,
            None if rest.is_empty() => "",
            None if rest.starts_with(',') => return Err(Error::SecondHost),
            None => return Err(Error::Host),
        };
        (address.to_string(), port)
    } else {
        if text.contains(',') {
            return Err(Error::SecondHost);
        }
        let (host, port) = text.split_once(':').unwrap_or((text, ""));
        (host_name(&decode("host", host)?)?, port)
    };
    Ok((host, port_number(port)?))
}

fn host_name(host: &str) -> Result<String, Error> {
    if host.is_empty() {
        return Err(Error::Required("host"));
    }
    if host.starts_with(['/', '@', '\\']) {
        return Err(Error::Socket);
    }
    if host.contains(',') {
        return Err(Error::SecondHost);
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if host.len() > 253 || !host.chars().all(plain) {
        return Err(Error::Host);
    }
    Ok(host.to_ascii_lowercase())
}

fn port_number(text: &str) -> Result<u16, Error> {
    if text.is_empty() {
        return Ok(DEFAULT_PORT);
    }
    if text.contains(',') {
        return Err(Error::SecondHost);
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Error::Port);
    }
    match text.parse() {
        Ok(0) | Err(_) => Err(Error::Port),
        Ok(port) => Ok(port),
    }
}

fn required(part: &'static str, encoded: &str) -> Result<String, Error> {
    let decoded = decode(part, encoded)?;
    if decoded.is_empty() {
        return Err(Error::Required(part));
    }
    Ok(decoded)
}

/// Percent-decodes strictly: what `percent-encoding` would leave as it is, libpq refuses.
fn decode(part: &'static str, encoded: &str) -> Result<String, Error> {
    let mut rest = encoded.as_bytes();
    while let Some(position) = rest.iter().position(|byte| *byte == b'%') {
        match rest.get(position + 1..position + 3) {
            Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => {}
            _ => return Err(Error::Encoding(part)),
        }
        rest = &rest[position + 3..];
    }
    let decoded = percent_decode_str(encoded)
        .decode_utf8()
        .map_err(|_| Error::Encoding(part))?;
    if decoded.contains('\0') {
        return Err(Error::Encoding(part));
    }
    Ok(decoded.into_owned())
}

fn check_ca(pem: &[u8]) -> Result<(), Error> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let mut store = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| Error::Ca)?;
        store.add(certificate).map_err(|_| Error::Ca)?;
    }
    if store.is_empty() {
        return Err(Error::Ca);
    }
    Ok(())
}

/// The names of all `PG*` variables of this process.
///
/// sqlx starts every set of options from them and offers no way to unset three (`PGOPTIONS`,
/// `PGSSLCERT`, `PGSSLKEY`), so the process starts itself again without them before it does
/// anything else.
pub fn postgres_variables() -> Vec<OsString> {
    std::env::vars_os()
        .map(|(name, _)| name)
        .filter(|name| name.as_encoded_bytes().starts_with(b"PG"))
        .collect()
}

/// The host as an address, where it is one.
pub(super) fn literal(host: &str) -> Option<IpAddr> {
    host.parse().ok()
}
