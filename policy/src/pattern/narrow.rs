//! Text patterns for facts that have a syntax of their own: what it leaves out could never match, and its writer thinks
//! it does.

use identity::TrustDomain;

use super::{PatternError, TextPattern};

/// The methods of RFC 9110 §9 and RFC 5789; methods are compared with their case (RFC 9110 §9.1).
const METHODS: &[&str] =
    &["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// A namespace: one piece of the path of a SPIFFE id.
pub(crate) fn namespace(text: &str) -> Result<TextPattern, PatternError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    checked(text, allowed, "a namespace is letters, digits, '-', '_' and '.'")
}

/// A trust domain (SPIFFE-ID §2.1): lower case.
pub(crate) fn trust_domain(text: &str) -> Result<TextPattern, PatternError> {
    let allowed = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '-' | '_' | '.');
    let advice =
        "a trust domain is lower-case letters, digits, '-', '_' and '.', without spiffe://";
    let pattern = checked(text, allowed, advice)?;
    if let TextPattern::Exact(name) = &pattern {
        TrustDomain::parse(name).map_err(|error| PatternError(error.to_string()))?;
    }
    Ok(pattern)
}

/// A method (RFC 9110 §9.1): a token. One that is a known one in the wrong case is not meant.
pub(crate) fn method(text: &str) -> Result<TextPattern, PatternError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let pattern = checked(text, allowed, "a method is one word, such as GET")?;
    if let TextPattern::Exact(name) = &pattern {
        let upper = name.to_ascii_uppercase();
        if METHODS.contains(&&*upper) && *upper != **name {
            return Err(PatternError(format!(
                "methods are compared with their case; write {upper}"
            )));
        }
    }
    Ok(pattern)
}

fn checked(
    text: &str,
    allowed: impl Fn(char) -> bool,
    advice: &str,
) -> Result<TextPattern, PatternError> {
    let pattern = TextPattern::parse(text)?;
    let right = match &pattern {
        TextPattern::Present => true,
        TextPattern::Exact(literal)
        | TextPattern::Prefix(literal)
        | TextPattern::Suffix(literal) => literal.chars().all(allowed),
    };
    if right { Ok(pattern) } else { Err(advice.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s18_policy_semantics_names_that_cannot_be() {
        type Parse = fn(&str) -> Result<TextPattern, PatternError>;
        let rows: &[(Parse, &[&str], &[&str])] = &[
            (
                namespace,
                &["shop", "shop-*", "*-prod", "*", "a.b_c"],
                &["shop/cart", "ns/shop", "my shop", "shop,bank", "ü", "s*p", "/*"],
            ),
            (
                trust_domain,
                &["cluster.local", "td*", "*.local", "*", "td_1"],
                &["spiffe://td", "TD", "td/ns", "td:80", "a b", "td/*"],
            ),
            (
                method,
                &["GET", "P*", "*", "PROPFIND", "purge", "*ET"],
                &["get", "Delete", "GET,POST", "GET POST", "GET/", "/"],
            ),
        ];
        for (parse, good, bad) in rows {
            good.iter().for_each(|text| assert!(parse(text).is_ok(), "{text}"));
            bad.iter().for_each(|text| assert!(parse(text).is_err(), "{text}"));
        }
    }
}
