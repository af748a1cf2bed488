//! What tells one caller from another, as bytes.
//!
//! Every part stands with its length before it: no two tuples have the same bytes, whatever is in their parts (S-42). A
//! part that the request does not have is no text of no length but a mark of its own: all requests without it are one
//! caller, and never unlimited.

use std::net::IpAddr;

use serde_json::Value;

use super::{LimitKey, LimitRequest, RequestLimit};
use crate::route::RouteRule;
use crate::{ApiKeyFacts, TokenClaims};

/// Whose a request is, as far as keys ask.
#[derive(Clone, Copy)]
pub struct CallerFacts<'a> {
    /// Who the peer's certificate speaks for; `None` without one.
    pub principal: Option<&'a str>,
    /// The client's address: the TCP peer's, or what a *trusted* hop reported. Never a header's word.
    pub client: IpAddr,
    /// The claims of a *verified* token.
    pub token: Option<&'a TokenClaims>,
    /// What is known of whoever sent a *valid* API key.
    pub api_key: Option<&'a ApiKeyFacts>,
    /// At a gateway, the rule that took it.
    pub route: Option<&'a RouteRule>,
}

impl RequestLimit {
    /// The key of the request's caller, put behind what `key` holds.
    pub fn key(&self, request: &LimitRequest<'_>, key: &mut Vec<u8>) {
        let caller = request.caller();
        self.keys.iter().for_each(|part| part.put(&caller, key));
    }
}

impl<'a> LimitRequest<'a> {
    fn caller(&self) -> CallerFacts<'a> {
        let Self { principal, client, route, http, .. } = *self;
        CallerFacts { principal, client, token: http.token, api_key: http.api_key, route }
    }
}

impl LimitKey {
    /// This part of the caller's key, put behind what `key` holds.
    pub(crate) fn put(&self, caller: &CallerFacts<'_>, key: &mut Vec<u8>) {
        match self {
            Self::Principal => put(key, b'p', caller.principal.map(str::as_bytes)),
            Self::ApiKey => {
                let known = caller.api_key;
                put(key, b'a', known.map(|known| known.policy.as_bytes()));
                put(key, b'k', known.map(|known| known.id.as_bytes()));
            }
            Self::Claim(name) => put_claim(key, name, caller),
            Self::ClientAddress => match caller.client.to_canonical() {
                IpAddr::V4(address) => put(key, b'4', Some(&address.octets())),
                IpAddr::V6(address) => put(key, b'6', address.octets().get(..8)),
            },
            Self::Route => {
                let rule = caller.route.map(|rule| (rule.label.as_bytes(), rule.index));
                put(key, b'r', rule.map(|(label, _)| label));
                put(key, b'i', rule.map(|(_, index)| index.to_be_bytes()).as_ref().map(|i| &i[..]));
            }
        }
    }
}

/// Two issuers may say the same of two people. A claim that is no text counts as its JSON, so that it is told from a text.
fn put_claim(key: &mut Vec<u8>, name: &str, caller: &CallerFacts<'_>) {
    let found = caller.token.and_then(|token| Some((token, token.claims.get(name)?)));
    put(key, b'n', Some(name.as_bytes()));
    put(key, b'u', found.map(|(token, _)| token.issuer.as_bytes()));
    match found.map(|(_, claim)| claim) {
        Some(Value::String(text)) => put(key, b's', Some(text.as_bytes())),
        Some(other) => put(key, b'j', Some(other.to_string().as_bytes())),
        None => put(key, b's', None),
    }
}

/// What it is, whether it is there, how long it is, and its bytes.
fn put(key: &mut Vec<u8>, kind: u8, part: Option<&[u8]>) {
    key.push(kind);
    let Some(part) = part else { return key.push(0) };
    key.push(1);
    key.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
    key.extend_from_slice(part);
}
