//! A cookie that says one thing by being there, and nothing else.

use crate::cookie_header::RequestCookies;
use crate::set_cookie;

/// What the name of the first one begins with.
const BASE: &str = "__Host-postern-c";

/// That a sign-in was completed a moment ago. It is not sealed: whoever makes one up sees a page more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkerCookie(String);

impl MarkerCookie {
    /// `suffix` is that of the session's cookies ([`crate::SessionCookies::new`]).
    #[must_use]
    pub fn new(suffix: &str) -> Self {
        let dash = if suffix.is_empty() { "" } else { "-" };
        Self([BASE, dash, suffix].concat())
    }

    /// Whether a request has it, once or more often.
    #[must_use]
    pub fn is_in(&self, cookies: &RequestCookies<'_>) -> bool {
        cookies.value(&self.0).is_some()
    }

    /// The header `set-cookie` that sets it for so many seconds.
    #[must_use]
    pub fn set(&self, seconds: u64) -> String {
        set_cookie::set(&self.0, "1", seconds)
    }

    /// The header `set-cookie` that clears it, with the attributes with which it was set.
    #[must_use]
    pub fn clear(&self) -> String {
        set_cookie::clear(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cve_2025_55162_it_is_cleared_as_it_was_set() {
        for (suffix, name) in [("", "__Host-postern-c"), ("staff", "__Host-postern-c-staff")] {
            let cookie = MarkerCookie::new(suffix);
            let (set, cleared) = (cookie.set(60), cookie.clear());
            let attributes = "; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=";
            assert_eq!(set, format!("{name}=1{attributes}60"));
            assert_eq!(cleared, format!("{name}={attributes}0"));
        }
    }
}
