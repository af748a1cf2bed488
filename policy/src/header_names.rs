//! Names of header fields that one reader takes for another's.
//!
//! CGI and its heirs (WSGI, Rack, PHP) hand a field to the app as a variable: upper case, `_` where the name had `-`
//! (RFC 3875 §4.1.18); some write `_` for a dot and other signs, too. To such an app `x_user` and `x-user` are one
//! field (CVE-2025-64484).

use std::borrow::Cow;
use std::collections::HashMap;

/// The headers that rules name, by what an app may take them for.
#[derive(Debug, Default)]
pub struct HeaderNames {
    by_folded: HashMap<Box<str>, Vec<Box<str>>>,
    /// One of them is not plain.
    signs: bool,
}

impl HeaderNames {
    /// Of these names, in lower case; a name may come twice.
    pub fn new<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let mut found = Self::default();
        for name in names {
            found.signs |= !is_plain(name);
            let spellings = found.by_folded.entry(folded(name).into()).or_default();
            if spellings.iter().all(|spelling| **spelling != *name) {
                spellings.push(name.into());
            }
        }
        found
    }

    /// True when all are plain: then only a name that is not can be taken for one of them.
    pub fn are_plain(&self) -> bool {
        !self.signs
    }

    /// True when an app may take the header (lower case) for one of these that is spelled in another way.
    pub fn have_another_spelling_of(&self, name: &str) -> bool {
        let spellings = self.by_folded.get(&*folded(name));
        spellings.is_some_and(|spellings| spellings.iter().any(|spelling| **spelling != *name))
    }
}

/// True when there is nothing but letters, digits and `-` in the name: no two such names are taken for each other.
pub fn is_plain(name: &str) -> bool {
    const PLAIN: [bool; 256] = {
        let mut plain = [false; 256];
        let mut byte = 0u8;
        while byte < 0x80 {
            plain[byte as usize] = byte.is_ascii_alphanumeric() || byte == b'-';
            byte += 1;
        }
        plain
    };
    name.bytes().all(|byte| PLAIN[usize::from(byte)])
}

/// The plain name that an app may take the header for: `-` in the place of every sign.
pub fn folded(name: &str) -> Cow<'_, str> {
    match is_plain(name) {
        true => name.into(),
        false => name.replace(|sign: char| !sign.is_ascii_alphanumeric(), "-").into(),
    }
}

/// Fields of one hop (RFC 9110 §7.6.1, and older ones), which are taken off a request before a rule is asked. `Upgrade`
/// is not among them: of a request that is to change the protocol it stays.
pub const OF_ONE_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "http2-settings",
    "te",
    "transfer-encoding",
];

/// The field by which proxies of the mesh tell apps who called, in Envoy's form.
const CLIENT_CERT: &str = "x-forwarded-client-cert";
/// Every field of Postern's own begins so.
const OWN_PREFIX: &str = "x-postern-";

/// What to write instead of a condition on a field (in lower case) that is taken off every request before a rule is
/// asked, in whatever spelling of the name; `None` for all others.
pub fn advice_on_removed_header(name: &str) -> Option<&'static str> {
    let name = &*folded(name);
    if name == CLIENT_CERT {
        return Some(
            "only proxies say who called, and what a caller says of it is taken off; name callers by `source.principal`",
        );
    }
    if name.starts_with(OWN_PREFIX) {
        return Some(
            "such fields are the proxy's own and taken off every request, so the rule would never match; take the condition out",
        );
    }
    let of_one_hop = OF_ONE_HOP.contains(&name);
    of_one_hop.then_some(
        "it is about one connection and taken off before a rule is asked, so the rule would never match; take the condition out",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s15_header_conditions_spellings_of_one_name() {
        let names = HeaderNames::new(["x-role", "x_team", "api_key", "api-key", "accept"]);
        for (name, expect) in [
            ("x-role", false),
            ("x_role", true),
            ("x.role", true),
            ("x__role", false),
            ("_x-role", false),
            ("x_team", false),
            ("x-team", true),
            ("accept", false),
            ("api_key", true),
            ("api-key", true),
            ("x-other", false),
            ("x_other", false),
        ] {
            assert_eq!(names.have_another_spelling_of(name), expect, "{name}");
        }
        assert!(!names.are_plain() && HeaderNames::new(["x-role", "accept"]).are_plain());
    }
}
