//! The cookie of one sign-in under way. Each has its own, so that two tabs do not take each other's.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::cookie_header::RequestCookies;
use crate::flow::FLOW_SECONDS;
use crate::keys::NotOurs;
use crate::set_cookie;

/// How all flow cookies begin.
const BASE: &str = "__Host-postern-f-";
/// The most sign-ins of one browser that are under way at once.
pub const MOST_FLOWS: usize = 5;

/// The name of a flow: 72 bits of the hash of its `state`, so that the callback finds its cookie and tells nothing more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowId(String);

impl FlowId {
    /// Of this `state`.
    #[must_use]
    pub fn of_state(state: &str) -> Self {
        let hash = digest(&SHA256, state.as_bytes());
        Self(URL_SAFE_NO_PAD.encode(hash.as_ref().get(..9).unwrap_or_default()))
    }

    /// For [`crate::SealBinding::instance`].
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// The cookie of one flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowCookie(String);

impl FlowCookie {
    /// Of this flow.
    #[must_use]
    pub fn of(flow: &FlowId) -> Self {
        Self([BASE, &flow.0].concat())
    }

    /// The sealed flow that a request carries. `None`: it has none of this name.
    ///
    /// # Errors
    /// [`NotOurs`]: it is there twice.
    pub fn sealed<'h>(&self, cookies: &RequestCookies<'h>) -> Result<Option<&'h [u8]>, NotOurs> {
        cookies.value(&self.0).map(|value| value.ok_or(NotOurs)).transpose()
    }

    /// The headers `set-cookie` that keep a sealed flow, and clear the oldest ones until no more than five are left.
    /// The oldest stand first: browsers send cookies of one path in the order of their making (RFC 6265 §5.4).
    #[must_use]
    pub fn set(&self, sealed: &str, before: &RequestCookies<'_>) -> Vec<String> {
        let others =
            || before.our_names().filter(|name| name.starts_with(BASE) && **name != self.0);
        let excess = (others().count() + 1).saturating_sub(MOST_FLOWS);
        let mut lines: Vec<String> = others().take(excess).map(set_cookie::clear).collect();
        lines.push(set_cookie::set(&self.0, sealed, FLOW_SECONDS));
        lines
    }

    /// The header `set-cookie` that clears it.
    #[must_use]
    pub fn clear(&self) -> String {
        set_cookie::clear(&self.0)
    }
}
