use super::*;
use warp::http::HeaderValue;

const KEY: &[u8] = b"secret_tMrlL1qK5vuQAh1b6cZGhFChZTSYJlce98V0pYn7yBl";
const BODY: &[u8] =
    br#"{"verification_token":"secret_tMrlL1qK5vuQAh1b6cZGhFChZTSYJlce98V0pYn7yBl"}"#;
const HEADER: &str = "sha256=461e8cbcba8a75c3edd866f0e71280f5a85cbf21eff040ebd10fe266df38a735";

fn signed(values: &[&str]) -> Signature {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(SIGNATURE_HEADER, HeaderValue::from_str(value).unwrap());
    }
    Signature::of(&headers)
}

#[test]
fn the_published_example_verifies() {
    let signature = signed(&[HEADER]);
    assert!(signature.verifies(KEY, BODY));
    assert!(!signature.verifies(b"another", BODY));
    assert!(!signature.verifies(KEY, &BODY[1..]));
    assert!(!signature.verifies(b"", BODY));
}

#[test]
fn either_case_of_hex_is_read() {
    let upper = format!("sha256={}", HEADER[7..].to_uppercase());
    assert!(signed(&[&upper]).verifies(KEY, BODY));
}

#[test]
fn everything_but_one_well_formed_header_is_malformed() {
    assert_eq!(signed(&[]), Signature::Absent);
    let digits = &HEADER[7..];
    for bad in [
        "",
        digits,
        "sha256=",
        &format!("SHA256={digits}"),
        &format!("sha1={digits}"),
        &HEADER[..HEADER.len() - 1],
        &format!("{HEADER}0"),
        &format!("{HEADER}00"),
        &format!("sha256={}", digits.replace('4', "g")),
        &format!("{HEADER},{HEADER}"),
    ] {
        assert_eq!(signed(&[bad]), Signature::Malformed, "{bad}");
    }
    assert_eq!(signed(&[HEADER, HEADER]), Signature::Malformed);
}

#[test]
fn a_bearer_is_read_once_and_compared_whole() {
    let mut headers = HeaderMap::new();
    assert!(matches!(Bearer::of(&headers), Bearer::Absent));
    headers.append(AUTHORIZATION, HeaderValue::from_static("bEARER s3cret"));
    assert!(Bearer::of(&headers).matches(b"s3cret"));
    assert!(!Bearer::of(&headers).matches(b"s3cre"));
    assert!(!Bearer::of(&headers).matches(b"s3cret "));
    assert!(!Bearer::of(&headers).matches(b""));
    headers.append(AUTHORIZATION, HeaderValue::from_static("Bearer s3cret"));
    assert!(matches!(Bearer::of(&headers), Bearer::Malformed));
    for bad in ["Bearer", "Bearer ", "Basic s3cret", "s3cret"] {
        let mut headers = HeaderMap::new();
        headers.append(AUTHORIZATION, HeaderValue::from_static(bad));
        assert!(matches!(Bearer::of(&headers), Bearer::Malformed), "{bad}");
    }
}
