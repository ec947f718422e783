use super::*;

/// A certificate authority made for this test; it expires in 2126.
const CA: &str = include_str!("test_ca.pem");

fn parse(uri: &str) -> Result<ConnectionString, Error> {
    ConnectionString::parse(uri, None)
}

fn refused(uri: &str) -> Error {
    parse(uri).expect_err(uri)
}

#[test]
fn every_part_is_read_and_decoded() {
    let parsed = parse(
        "postgresql://us%40er:p%3Aa%2Fs%3F%25@DB.example:6432/my%20db?sslmode=require\
         &connect_timeout=3&channel_binding=prefer\n",
    )
    .unwrap();
    assert_eq!(parsed.host, "db.example");
    assert_eq!(parsed.port, 6432);
    assert_eq!(parsed.user, "us@er");
    assert_eq!(parsed.password.expose_secret(), "p:a/s?%");
    assert_eq!(parsed.database, "my db");
    assert_eq!(parsed.tls, TlsMode::Require);
    assert_eq!(parsed.connect_timeout, Duration::from_secs(3));
}

#[test]
fn defaults_are_libpqs() {
    let parsed = parse("postgres://u@h/d").unwrap();
    assert_eq!(parsed.port, 5432);
    assert_eq!(parsed.tls, TlsMode::Prefer);
    assert_eq!(parsed.password.expose_secret(), "");
    assert_eq!(parsed.connect_timeout, Duration::from_secs(5));
    assert_eq!(parse("postgres://u@h:/d").unwrap().port, 5432);
    assert_eq!(
        parse("postgres://u:a:b@h/d")
            .unwrap()
            .password
            .expose_secret(),
        "a:b"
    );
}

#[test]
fn addresses_are_hosts_too() {
    assert_eq!(parse("postgres://u@127.0.0.1/d").unwrap().host, "127.0.0.1");
    let six = parse("postgres://u@[2001:DB8::1]:77/d").unwrap();
    assert_eq!((six.host.as_str(), six.port), ("2001:db8::1", 77));
    assert_eq!(parse("postgres://u@[::1]/d").unwrap().port, 5432);
    for bad in ["[::1", "[db.example]", "[fe80::1%25eth0]", "[::1]x", "::1"] {
        let error = refused(&format!("postgres://u@{bad}/d"));
        assert!(
            matches!(error, Error::Host | Error::Port | Error::Required("host")),
            "{bad}: {error:?}"
        );
    }
}

#[test]
fn other_forms_are_refused() {
    for uri in [
        "",
        "host=h user=u dbname=d",
        "mysql://u@h/d",
        "Postgres://u@h/d",
        "postgres:u@h/d",
        "/var/run/postgresql",
        "service=x",
    ] {
        assert_eq!(refused(uri), Error::Scheme, "{uri}");
    }
    assert_eq!(
        refused(&format!("postgres://u@h/{}", "d".repeat(9000))),
        Error::TooLong
    );
}

#[test]
fn user_host_and_database_are_required() {
    for (uri, part) in [
        ("postgres://h/d", "user"),
        ("postgres://@h/d", "user"),
        ("postgres://:p@h/d", "user"),
        ("postgres://u@/d", "host"),
        ("postgres://u@:5432/d", "host"),
        ("postgres://u@h", "database"),
        ("postgres://u@h/", "database"),
        ("postgres://u@h?sslmode=disable", "database"),
        ("postgres://", "user"),
    ] {
        assert_eq!(refused(uri), Error::Required(part), "{uri}");
    }
}

#[test]
fn sockets_and_second_hosts_are_refused() {
    assert_eq!(refused("postgres://u@%2Fvar%2Frun/d"), Error::Socket);
    assert_eq!(refused("postgres://u@%40abstract/d"), Error::Socket);
    for hosts in ["a,b", "a:1,b:2", "a%2Cb", "[::1],b", "[::1]:1,b:2", "a:1,2"] {
        assert_eq!(
            refused(&format!("postgres://u@{hosts}/d")),
            Error::SecondHost,
            "{hosts}"
        );
    }
}

#[test]
fn bad_hosts_and_ports_are_refused() {
    for host in ["a b", "a%00b", "a%0Ab", "h%C3%A4", "h;x", "h*"] {
        let error = refused(&format!("postgres://u@{host}/d"));
        assert!(
            matches!(error, Error::Host | Error::Encoding("host")),
            "{host}: {error:?}"
        );
    }
    for port in ["0", "65536", "x", "+5432", "-1", "5432x", "99999999999"] {
        assert_eq!(
            refused(&format!("postgres://u@h:{port}/d")),
            Error::Port,
            "{port}"
        );
    }
}

#[test]
fn only_three_parameters_are_accepted_and_only_known_names_are_repeated() {
    for name in [
        "options",
        "service",
        "hostaddr",
        "host",
        "port",
        "user",
        "password",
        "dbname",
        "passfile",
        "sslrootcert",
        "sslcert",
        "sslkey",
        "application_name",
        "target_session_attrs",
        "ssl",
        "statement-cache-capacity",
        "replication",
    ] {
        assert_eq!(
            refused(&format!("postgres://u@h/d?{name}=x")),
            Error::Parameter(name_of(name)),
            "{name}"
        );
    }
    for query in ["SSLMODE=require", "secret%20half=1", "=x", "novalue"] {
        assert_eq!(
            refused(&format!("postgres://u@h/d?{query}")),
            Error::UnknownParameter,
            "{query}"
        );
    }
    assert_eq!(
        refused("postgres://u@h/d?sslmode=disable&sslmode=require"),
        Error::Twice("sslmode")
    );
    assert_eq!(refused("postgres://u@h/d?sslmode=on"), Error::SslMode);
    assert_eq!(
        refused("postgres://u@h/d?channel_binding=yes"),
        Error::ChannelBinding
    );
    assert_eq!(
        refused("postgres://u@h/d?channel_binding=require"),
        Error::ChannelBindingRequired
    );
    assert!(parse("postgres://u@h/d?ssl%6Dode=disable&").is_ok());
}

fn name_of(name: &str) -> &'static str {
    match error::unknown_parameter(name) {
        Error::Parameter(name) => name,
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn the_timeout_is_bounded() {
    for (text, seconds) in [("1", 1), ("10", 10), ("600", 10), ("0", 10), ("-5", 10)] {
        let parsed = parse(&format!("postgres://u@h/d?connect_timeout={text}")).unwrap();
        assert_eq!(
            parsed.connect_timeout,
            Duration::from_secs(seconds),
            "{text}"
        );
    }
    for text in ["", "x", "1.5", "99999999999999999999"] {
        let error = refused(&format!("postgres://u@h/d?connect_timeout={text}"));
        assert_eq!(error, Error::ConnectTimeout, "{text}");
    }
}

#[test]
fn percent_encoding_is_read_strictly() {
    for (uri, part) in [
        ("postgres://u%zz@h/d", "user"),
        ("postgres://u:p%@h/d", "password"),
        ("postgres://u:p%4@h/d", "password"),
        ("postgres://u:%00@h/d", "password"),
        ("postgres://u:%ff@h/d", "password"),
        ("postgres://u@h/d%2", "database"),
        ("postgres://u@h/d?sslmode=%zz", "sslmode"),
    ] {
        assert_eq!(refused(uri), Error::Encoding(part), "{uri}");
    }
    assert_eq!(refused("postgres://u:p@ss@h/d"), Error::Unencoded);
}

#[test]
fn an_authority_asks_for_verification() {
    let with_ca = |uri: &str| ConnectionString::parse(uri, Some(CA.as_bytes()));
    assert_eq!(
        with_ca("postgres://u@h/d").unwrap().tls,
        TlsMode::VerifyFull
    );
    let verify_ca = with_ca("postgres://u@h/d?sslmode=verify-ca").unwrap();
    assert_eq!(verify_ca.tls, TlsMode::VerifyCa);
    for mode in ["disable", "allow", "prefer", "require"] {
        let error = with_ca(&format!("postgres://u@h/d?sslmode={mode}")).unwrap_err();
        assert_eq!(error, Error::WeakerThanCa, "{mode}");
    }
    assert_eq!(
        refused("postgres://u@h/d?sslmode=verify-ca"),
        Error::VerifyCaWithoutCa
    );
    assert!(parse("postgres://u@h/d?sslmode=verify-full").is_ok());
    for bad in [
        "",
        "no certificate",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
    ] {
        let error = ConnectionString::parse("postgres://u@h/d", Some(bad.as_bytes()));
        assert_eq!(error.unwrap_err(), Error::Ca, "{bad}");
    }
}

#[test]
fn no_value_is_ever_shown() {
    const CANARY: &str = "c4n4ry";
    for uri in [
        "postgres://u:c4n4ry@c4n4ry.example/c4n4ry",
        "postgres://u:c4n4ry?x@c4n4ry/d",
        "postgres://u:c4n4ry&x=y@h?c4n4ry=1",
        "postgres://u:p@h/d?c4n4ry=1",
        "postgres://u:p@h/d?sslmode=c4n4ry",
        "postgres://u:c4n4ry@@h/d",
        "postgres://u:p@h:c4n4ry/d",
        "postgres://u:c4n4ry%zz@h/d",
        "c4n4ry://u:p@h/d",
        "host=c4n4ry",
    ] {
        let shown = match parse(uri) {
            Ok(parsed) => format!("{parsed:?}"),
            Err(error) => format!("{error} {error:?} {}", StoreError::from(error)),
        };
        assert!(!shown.contains(CANARY), "{uri}: {shown}");
    }
}

#[test]
fn fingerprints_tell_every_part_apart() {
    let base = parse("postgres://u:p@h/d").unwrap().fingerprint();
    assert_eq!(
        base,
        parse("postgresql://u:p@h:5432/d").unwrap().fingerprint()
    );
    for other in [
        "postgres://v:p@h/d",
        "postgres://u:q@h/d",
        "postgres://u:p@i/d",
        "postgres://u:p@h:5433/d",
        "postgres://u:p@h/e",
        "postgres://u:p@h/d?sslmode=disable",
        "postgres://up:@h/d",
    ] {
        assert_ne!(base, parse(other).unwrap().fingerprint(), "{other}");
    }
    let full = "postgres://u:p@h/d?sslmode=verify-full";
    let with_ca = ConnectionString::parse(full, Some(CA.as_bytes())).unwrap();
    assert_ne!(parse(full).unwrap().fingerprint(), with_ca.fingerprint());
}
