//! Which hosts a connection string may reach.
//!
//! A tenant writes the connection string, so without a limit the operator would be a way into every
//! network it stands in. Link-local addresses (cloud metadata) are refused always and after
//! resolution, in any spelling; `--database-hosts` limits the rest (`DESIGN.md` §4).

use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use ipnet::IpNet;

use super::connection::{TlsMode, literal};
use super::error::StoreError;
use crate::sync::reason::Reason;

/// The rules of `--database-hosts`; none means any host but link-local ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostPolicy {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    /// `.x`: names below x.
    Below(String),
    /// `x`: that name only.
    Name(String),
    /// One address, named as such in the connection string.
    Address(IpAddr),
    /// A CIDR: it must hold every resolved address.
    Network(IpNet),
}

/// A rule of `--database-hosts` that has none of the three forms.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither .domain, nor a host name, nor a CIDR")]
pub struct HostRuleError(String);

impl FromStr for HostPolicy {
    type Err = HostRuleError;

    /// Reads the flag's form: rules separated by commas.
    fn from_str(list: &str) -> Result<Self, Self::Err> {
        let rules = list
            .split(',')
            .map(str::trim)
            .filter(|rule| !rule.is_empty())
            .map(Rule::from_str)
            .collect::<Result<_, _>>()?;
        Ok(Self { rules })
    }
}

impl FromStr for Rule {
    type Err = HostRuleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || HostRuleError(text.to_owned());
        if text.contains('/') {
            let network: IpNet = text.parse().map_err(|_| wrong())?;
            return Ok(Self::Network(network.trunc()));
        }
        if let Some(address) = literal(text.trim_matches(['[', ']'])) {
            return Ok(Self::Address(address.to_canonical()));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let name = normal(text);
        let bare = name.strip_prefix('.').unwrap_or(&name);
        if bare.is_empty() || bare.starts_with('.') || !bare.chars().all(plain) {
            return Err(wrong());
        }
        Ok(match name.strip_prefix('.') {
            Some(domain) => Self::Below(domain.to_owned()),
            None => Self::Name(name),
        })
    }
}

/// Host names are compared in lower case and without the root's dot.
fn normal(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

impl HostPolicy {
    /// Checks a host against every address that it resolved to.
    pub fn check(&self, host: &str, addresses: &[IpAddr]) -> Result<(), StoreError> {
        if addresses.iter().copied().any(is_link_local) {
            return Err(StoreError::refused(
                Reason::HostNotAllowed,
                "the host of the connection string has a link-local address; \
                 those are never allowed",
            ));
        }
        if self.rules.is_empty() || self.by_name(host) || self.by_network(addresses) {
            return Ok(());
        }
        Err(StoreError::refused(
            Reason::HostNotAllowed,
            "the host of the connection string is not allowed; whoever runs the operator \
             can list it in --database-hosts",
        ))
    }

    /// Whether a connection must go to the very addresses that were checked, instead of resolving
    /// the name again (a name may answer differently the second time).
    ///
    /// With TLS required, a server behind another address must complete a handshake first: nothing
    /// of a link-local service can be reached that way, so only rules about addresses ask for it.
    /// `verify-full` ties the connection to the name itself. Everything else goes by address, at the
    /// price of the server name in the handshake, which servers that route by name need.
    pub(super) fn pins(&self, tls: TlsMode) -> bool {
        match tls {
            TlsMode::Disable | TlsMode::Allow | TlsMode::Prefer => true,
            TlsMode::Require | TlsMode::VerifyCa => self
                .rules
                .iter()
                .any(|rule| matches!(rule, Rule::Network(_))),
            TlsMode::VerifyFull => false,
        }
    }

    fn by_name(&self, host: &str) -> bool {
        if let Some(address) = literal(host) {
            let canonical = address.to_canonical();
            return self.rules.contains(&Rule::Address(canonical));
        }
        let host = normal(host);
        self.rules.iter().any(|rule| match rule {
            Rule::Name(name) => *name == host,
            Rule::Below(domain) => host
                .strip_suffix(domain.as_str())
                .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
            Rule::Address(_) | Rule::Network(_) => false,
        })
    }

    fn by_network(&self, addresses: &[IpAddr]) -> bool {
        let held = |address: &IpAddr| {
            let address = address.to_canonical();
            self.rules
                .iter()
                .any(|rule| matches!(rule, Rule::Network(network) if network.contains(&address)))
        };
        !addresses.is_empty() && addresses.iter().all(held)
    }
}

/// The prefix under which NAT64 embeds IPv4 addresses (RFC 6052).
const NAT64: [u16; 6] = [0x64, 0xff9b, 0, 0, 0, 0];

fn is_link_local(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(four) => four.is_link_local(),
        IpAddr::V6(six) => {
            let parts = six.segments();
            let embedded = parts[..6] == NAT64 || parts[..6] == [0; 6];
            let [.., a, b, c, d] = six.octets();
            six.is_unicast_link_local() || embedded && Ipv4Addr::new(a, b, c, d).is_link_local()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(rules: &str, host: &str, addresses: &[&str]) -> bool {
        let policy: HostPolicy = rules.parse().unwrap();
        let addresses: Vec<IpAddr> = addresses.iter().map(|a| a.parse().unwrap()).collect();
        match policy.check(host, &addresses) {
            Ok(()) => true,
            Err(error) => {
                assert_eq!(error.reason(), Reason::HostNotAllowed);
                assert!(!error.to_string().contains(host));
                false
            }
        }
    }

    #[test]
    fn link_local_is_refused_in_every_spelling_and_under_every_rule() {
        for address in [
            "169.254.169.254",
            "169.254.0.1",
            "fe80::1",
            "febf::1",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::169.254.169.254",
        ] {
            for rules in ["", "meta", "169.254.0.0/16", "::/0, 0.0.0.0/0"] {
                assert!(
                    !allows(rules, "meta", &["10.0.0.1", address]),
                    "{address} {rules}"
                );
            }
        }
        assert!(allows(
            "",
            "db",
            &["10.0.0.1", "::1", "127.0.0.1", "fec0::1"]
        ));
    }

    #[test]
    fn a_dot_matches_names_below_only() {
        assert!(allows(".example.com", "db.example.com", &["1.2.3.4"]));
        assert!(allows(".Example.com", "a.b.EXAMPLE.com.", &["1.2.3.4"]));
        for host in [
            "example.com",
            "badexample.com",
            "db.example.com.evil",
            "com",
        ] {
            assert!(!allows(".example.com", host, &["1.2.3.4"]), "{host}");
        }
        assert!(!allows(".1", "10.0.0.1", &["10.0.0.1"]));
    }

    #[test]
    fn a_name_matches_itself_only() {
        assert!(allows(
            "other, db.team-a.svc",
            "DB.team-a.svc",
            &["1.2.3.4"]
        ));
        assert!(!allows("db", "db.team-a.svc", &["1.2.3.4"]));
        assert!(!allows("db", "x.db", &["1.2.3.4"]));
        assert!(allows("127.0.0.1", "127.0.0.1", &["127.0.0.1"]));
        assert!(allows("::1", "::1", &["::1"]));
        assert!(!allows("127.0.0.1", "localhost", &["127.0.0.1"]));
    }

    #[test]
    fn networks_must_hold_every_address() {
        assert!(allows("10.0.0.0/8", "db", &["10.1.2.3", "10.9.9.9"]));
        assert!(allows("10.1.2.3/8", "db", &["10.200.0.1"]));
        assert!(allows("10.0.0.0/8", "db", &["::ffff:10.1.2.3"]));
        assert!(!allows("10.0.0.0/8", "db", &["10.1.2.3", "11.0.0.1"]));
        assert!(!allows("10.0.0.0/8", "db", &[]));
        assert!(allows(
            "10.0.0.0/8,fd00::/8",
            "db",
            &["10.1.2.3", "fd00::1"]
        ));
    }

    #[test]
    fn rules_of_no_form_are_refused() {
        for rule in [
            ".",
            "..x",
            "a b",
            "10.0.0.0/40",
            "x/8",
            "*.example.com",
            "a:5432",
        ] {
            assert!(rule.parse::<HostPolicy>().is_err(), "{rule}");
        }
        assert_eq!(" , ".parse::<HostPolicy>().unwrap(), HostPolicy::default());
    }

    #[test]
    fn checked_addresses_are_kept_wherever_a_second_answer_could_matter() {
        let open = HostPolicy::default();
        let network: HostPolicy = "10.0.0.0/8".parse().unwrap();
        assert!(open.pins(TlsMode::Disable) && open.pins(TlsMode::Prefer));
        assert!(!open.pins(TlsMode::Require));
        assert!(network.pins(TlsMode::Require) && network.pins(TlsMode::VerifyCa));
        assert!(!network.pins(TlsMode::VerifyFull));
    }
}
