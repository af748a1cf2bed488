//! Names of header fields that one reader takes for another's.
//!
//! CGI and its heirs (WSGI, Rack, PHP) hand a field to the app as a variable: upper case, `_` where the name had `-`
//! (RFC 3875 §4.1.18); some write `_` for a dot and other signs, too. To such an app `x_user` and `x-user` are one field
//! (CVE-2025-64484).

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
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// The plain name that an app may take the header for: `-` in the place of every sign.
pub fn folded(name: &str) -> Cow<'_, str> {
    match is_plain(name) {
        true => name.into(),
        false => name.replace(|sign: char| !sign.is_ascii_alphanumeric(), "-").into(),
    }
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
