//! The header `set-cookie` (RFC 6265 §4.1), the same attributes whether a cookie is set or cleared: a browser clears no
//! `__Host-` cookie without them (CVE-2025-55162).

/// What each cookie of ours says. `__Host-` demands Secure, Path=/ and no Domain; Lax lets the provider's redirect
/// bring it along.
const ATTRIBUTES: &str = "; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=";

/// Sets a cookie for so many seconds.
pub(crate) fn set(name: &str, value: &str, seconds: u64) -> String {
    let age = seconds.to_string();
    [name, "=", value, ATTRIBUTES, &age].concat()
}

/// Clears a cookie.
pub(crate) fn clear(name: &str) -> String {
    set(name, "", 0)
}
