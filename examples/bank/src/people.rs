//! Who asks, and in which role: what the sidecar says in front of a service.

use http::HeaderMap;

/// The header with the name of whoever asks. A sidecar sets it from a token that it has verified, and removes what a
/// caller sends in its place.
const USER: &str = "x-user";
/// The header with the role, of which the same is true.
const ROLE: &str = "x-role";

/// What somebody may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Has accounts.
    Customer,
    /// Opens accounts, and makes transfers for customers.
    Teller,
    /// Is the second person of a large transfer.
    Approver,
    /// Reads the record.
    Auditor,
}

impl Role {
    /// As tokens say it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Teller => "teller",
            Self::Approver => "approver",
            Self::Auditor => "auditor",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::Customer, Self::Teller, Self::Approver, Self::Auditor]
            .into_iter()
            .find(|role| role.name() == name)
    }
}

/// Somebody of whom a token was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The name.
    pub name: String,
    /// The role.
    pub role: Role,
}

impl Person {
    /// Who asks; none where nobody vouches for one.
    #[must_use]
    pub fn asking(headers: &HeaderMap) -> Option<Self> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let name = text(USER).filter(|name| is_name(name))?.to_owned();
        Some(Self { name, role: Role::named(text(ROLE)?)? })
    }
}

/// Whether this is a name: 1 to 32 of `a-z`, `0-9` and `_`.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=32).contains(&name.len()) && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn somebody_asks_when_both_headers_say_so() {
        for (user, role, expect) in [
            ("ann", "customer", Some(Role::Customer)),
            ("ann", "approver", Some(Role::Approver)),
            ("ann", "Approver", None),
            ("ann", "", None),
            ("Ann", "customer", None),
            ("", "customer", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(USER, user.parse().unwrap());
            headers.insert(ROLE, role.parse().unwrap());
            let asking = Person::asking(&headers).map(|person| person.role);
            assert_eq!(asking, expect, "{user} {role}");
        }
        assert_eq!(Person::asking(&HeaderMap::new()), None);
    }
}
