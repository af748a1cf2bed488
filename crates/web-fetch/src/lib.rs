//! Fetches one small document over https: the keys of a token issuer, the bundle of another trust domain. Or posts a form
//! and reads the answer ([`post`]): a token, or whether one is still good.
//!
//! Whoever writes such an address, or answers at it with a redirect, could aim the fetch at what only this machine
//! reaches (server-side request forgery, SECURITY-CASES S-35). So there is one way to fetch, for every program:
//!
//! | step | file | rule |
//! |---|---|---|
//! | the URL | [`url`] | `https`, a host, no userinfo; a redirect obeys the same rules |
//! | the look-up | [`dial`] | at most four addresses, and the very addresses that were checked are dialled |
//! | the addresses | [`address`] | not this machine, its link, a metadata service or no host, unless a setting names it |
//! | TLS | [`tls`] | the server proves itself anew at each fetch; TLS 1.3 unless the caller says otherwise |
//! | the answer | [`fetch`] | 200, not encoded, at most 1 MiB; redirects only as far as the caller allows |
//! | time | [`FetchRules`] | one deadline for everything, one for a connection |
//!
//! What differs between callers is in [`FetchRules`]: the deadlines, how many redirects, which addresses a setting
//! allows, and how a socket is opened.

pub mod address;
pub mod dial;
mod error;
mod fetch;
mod post;
pub mod tls;
pub mod url;

#[cfg(test)]
mod tests;

pub use address::{AddressPolicy, IpNet};
pub use dial::{Dial, PlainDial};
pub use error::FetchError;
pub use fetch::{FetchRules, WebDocument, fetch};
pub use post::{WebAnswer, WebForm, post};
pub use tls::WebTls;
pub use url::WebUrl;
