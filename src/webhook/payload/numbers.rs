//! Numbers that `jsonb` can hold.
//!
//! Postgres keeps JSON numbers as `numeric` and refuses what overflows it, although JSON's grammar
//! has no limit. Such a body would fail at every insert and look like a database that is down, so it
//! is refused as what it is: bad input.

/// Longest number and largest power of ten that any sender has a use for; far inside `numeric`.
const MAX_LENGTH: usize = 400;
const MAX_EXPONENT: u32 = 400;

/// Whether every number of a JSON text is within bounds. Text that is no JSON may pass.
pub(super) fn fit_jsonb(json: &str) -> bool {
    let bytes = json.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at = after_string(bytes, at + 1),
            b'-' | b'0'..=b'9' => {
                let length = number_length(&bytes[at..]);
                if !fits(&bytes[at..at + length]) {
                    return false;
                }
                at += length;
            }
            _ => at += 1,
        }
    }
    true
}

/// The position after the string whose content starts at `at`.
fn after_string(bytes: &[u8], mut at: usize) -> usize {
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn number_length(bytes: &[u8]) -> usize {
    let part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
    bytes.iter().take_while(|byte| part(byte)).count()
}

fn fits(number: &[u8]) -> bool {
    if number.len() > MAX_LENGTH {
        return false;
    }
    let Some(mark) = number.iter().position(|byte| matches!(byte, b'e' | b'E')) else {
        return true;
    };
    let digits = number[mark + 1..]
        .iter()
        .filter(|byte| byte.is_ascii_digit());
    let exponent = digits.fold(0_u32, |sum, digit| {
        sum.saturating_mul(10)
            .saturating_add(u32::from(digit - b'0'))
    });
    exponent <= MAX_EXPONENT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_monstrous_numbers_are_refused() {
        for fine in [
            "[1, -2.5e10, 1e-300]",
            r#"{"a":"1e999999 \" 1e999999","b":12345678901234567890.123}"#,
            "9007199254740993",
            "",
            r#"""#,
            r#""\"#,
        ] {
            assert!(fit_jsonb(fine), "{fine}");
        }
        let long = "9".repeat(MAX_LENGTH + 1);
        for bad in [
            "1e999999",
            "[1E+401]",
            r#"{"a\\":-1e-999999}"#,
            &long,
            "1e99999999999",
        ] {
            assert!(!fit_jsonb(bad), "{bad}");
        }
    }
}
