//! What tells one caller from another, as bytes.
//!
//! Every part stands with its length before it: no two tuples have the same bytes, whatever is in their parts (S-42). A
//! part that the request does not have is no text of no length but a mark of its own: all requests without it are one
//! caller, and never unlimited.

use std::net::IpAddr;

use serde_json::Value;

use super::{LimitKey, LimitRequest, RequestLimit};

impl RequestLimit {
    /// The key of the request's caller, put behind what `key` holds.
    pub fn key(&self, request: &LimitRequest<'_>, key: &mut Vec<u8>) {
        for part in &self.keys {
            part.put(request, key);
        }
    }
}

impl LimitKey {
    fn put(&self, request: &LimitRequest<'_>, key: &mut Vec<u8>) {
        match self {
            Self::Principal => put(key, b'p', request.principal.map(str::as_bytes)),
            Self::ApiKey => {
                let known = request.http.api_key;
                put(key, b'a', known.map(|known| known.policy.as_bytes()));
                put(key, b'k', known.map(|known| known.id.as_bytes()));
            }
            Self::Claim(name) => put_claim(key, name, request),
            Self::ClientAddress => match request.client.to_canonical() {
                IpAddr::V4(address) => put(key, b'4', Some(&address.octets())),
                IpAddr::V6(address) => put(key, b'6', address.octets().get(..8)),
            },
            Self::Route => {
                let rule = request.route.map(|rule| (rule.label.as_bytes(), rule.index));
                put(key, b'r', rule.map(|(label, _)| label));
                put(key, b'i', rule.map(|(_, index)| index.to_be_bytes()).as_ref().map(|i| &i[..]));
            }
        }
    }
}

/// Two issuers may say the same of two people. A claim that is no text counts as its JSON, so that it is told from a text.
fn put_claim(key: &mut Vec<u8>, name: &str, request: &LimitRequest<'_>) {
    let found = request.http.token.and_then(|token| Some((token, token.claims.get(name)?)));
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
