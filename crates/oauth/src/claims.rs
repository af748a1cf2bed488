//! Claims of tokens and members of answers, each of the type that its standard says.

use serde_json::{Map, Value};

/// The longest subject, in bytes (OpenID Connect Core §2).
const MAX_SUBJECT: usize = 255;
/// The longest of other texts that are kept: `sid`, `acr`, `jti`, `client_id`.
const MAX_TEXT: usize = 512;
/// The most audiences of a token.
const MAX_AUDIENCES: usize = 64;

/// A claim that is not as its standard says. It names the claim and never its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// It must be there and is not.
    #[error("no `{0}`")]
    Missing(&'static str),
    /// It is of another type, empty, or too long.
    #[error("`{0}` is malformed")]
    Malformed(&'static str),
}

/// A text that is not empty and has no control characters.
pub(crate) fn text<'c>(
    claims: &'c Map<String, Value>,
    name: &'static str,
) -> Result<Option<&'c str>, ClaimError> {
    let longest = if name == "sub" { MAX_SUBJECT } else { MAX_TEXT };
    text_within(claims, name, longest)
}

/// The same, of at most `longest` bytes.
pub(crate) fn text_within<'c>(
    claims: &'c Map<String, Value>,
    name: &'static str,
    longest: usize,
) -> Result<Option<&'c str>, ClaimError> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let sized = |text: &&str| (1..=longest).contains(&text.len());
    let plain = |text: &&str| !text.contains(char::is_control);
    let text = value.as_str().filter(sized).filter(plain);
    text.map(Some).ok_or(ClaimError::Malformed(name))
}

/// A text that must be there.
pub(crate) fn required<'c>(
    claims: &'c Map<String, Value>,
    name: &'static str,
) -> Result<&'c str, ClaimError> {
    text(claims, name)?.ok_or(ClaimError::Missing(name))
}

/// NumericDate (RFC 7519 §2), whole seconds only: readers of fractions round in both directions.
pub(crate) fn seconds(
    claims: &Map<String, Value>,
    name: &'static str,
) -> Result<Option<u64>, ClaimError> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    value.as_u64().map(Some).ok_or(ClaimError::Malformed(name))
}

/// A time that must be there.
pub(crate) fn required_seconds(
    claims: &Map<String, Value>,
    name: &'static str,
) -> Result<u64, ClaimError> {
    seconds(claims, name)?.ok_or(ClaimError::Missing(name))
}

/// `aud`: a text or a list of texts (RFC 7519 §4.1.3); empty where it is absent.
pub(crate) fn audiences(claims: &Map<String, Value>) -> Result<Vec<&str>, ClaimError> {
    let wrong = ClaimError::Malformed("aud");
    match claims.get("aud") {
        None => Ok(Vec::new()),
        Some(Value::String(one)) => Ok(vec![one]),
        Some(Value::Array(list)) if list.len() <= MAX_AUDIENCES => {
            list.iter().map(Value::as_str).collect::<Option<_>>().ok_or(wrong)
        }
        Some(_) => Err(wrong),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use serde_json::json;

    use super::*;

    #[test]
    fn claims_have_the_types_of_their_standards() {
        fn malformed<T>(name: &'static str) -> Result<T, ClaimError> {
            Err(ClaimError::Malformed(name))
        }
        let of = |value: Value| json!({"sub": value}).as_object().unwrap().clone();
        for (name, value, expect) in [
            ("a text", json!("ann"), Ok(Some("ann"))),
            ("255 bytes", json!("a".repeat(255)), Ok(Some(&*"a".repeat(255)))),
            ("256 bytes", json!("a".repeat(256)), malformed("sub")),
            ("empty", json!(""), malformed("sub")),
            ("a number", json!(1), malformed("sub")),
            ("null", json!(null), malformed("sub")),
            ("a line feed", json!("ann\nbob"), malformed("sub")),
        ] {
            assert_eq!(text(&of(value), "sub"), expect, "{name}");
        }
        for (name, value, expect) in [
            ("whole", json!(1), Ok(Some(1))),
            ("a fraction", json!(1.5), malformed("sub")),
            ("a text", json!("1"), malformed("sub")),
            ("before 1970", json!(-1), malformed("sub")),
        ] {
            assert_eq!(seconds(&of(value), "sub"), expect, "{name}");
        }
        for (name, value, expect) in [
            ("one", json!("a"), Ok(vec!["a"])),
            ("two", json!(["a", "b"]), Ok(vec!["a", "b"])),
            ("none", json!([]), Ok(vec![])),
            ("a number among them", json!(["a", 1]), malformed("aud")),
            ("an object", json!({"a": 1}), malformed("aud")),
            ("too many", json!(vec!["a"; 65]), malformed("aud")),
        ] {
            let claims = json!({"aud": value});
            assert_eq!(audiences(claims.as_object().unwrap()), expect, "{name}");
        }
    }

    /// A claim is compared whole. Whoever splits an address at one of its `@` finds another domain.
    #[test]
    fn ghsa_c5c4_8r6x_56w3_claims_are_never_taken_apart() {
        let email = "mallory@evil.example@shop.example";
        let claims = json!({"email": email});
        assert_eq!(text(claims.as_object().unwrap(), "email"), Ok(Some(email)));
    }
}
