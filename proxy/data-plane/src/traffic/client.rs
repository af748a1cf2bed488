//! The client behind a peer: which peers are trusted to name it, and what they say.
//!
//! `x-forwarded-for` is a claim. It is trusted only from peers that the configuration lists, and removed from every
//! other request (SECURITY-CASES S-16).

use std::net::IpAddr;

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use identity::SpiffeId;
use policy::client_traffic::forwarded_addresses;

use crate::http::headers::SenderTrust;
use crate::traffic::settings::ForwardedFor;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Whether a peer is trusted to name the client behind it.
#[must_use]
pub fn sender(forwarded_for: &ForwardedFor, peer: Option<&SpiffeId>) -> SenderTrust {
    match peer.is_some_and(|id| forwarded_for.from.contains(id)) {
        true => SenderTrust::Listed,
        false => SenderTrust::Other,
    }
}

/// The client's address as a listed peer names it: the last address of `x-forwarded-for`, or, behind further trusted
/// proxies, as many before it. `None` when there is no such address, or it cannot be read: then the TCP peer is the
/// client.
#[must_use]
pub fn remote_ip(
    forwarded_for: &ForwardedFor,
    sender: SenderTrust,
    headers: &HeaderMap,
) -> Option<IpAddr> {
    if sender == SenderTrust::Other {
        return None;
    }
    let lines = headers.get_all(X_FORWARDED_FOR).iter().map(HeaderValue::as_bytes);
    forwarded_addresses(lines).nth(forwarded_for.trusted_proxies)?
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const GATEWAY: &str = "spiffe://cluster.local/ns/edge/sa/gateway";

    fn seen(lines: &[&str], trusted_proxies: usize, peer: Option<&str>) -> Option<String> {
        let forwarded_for =
            ForwardedFor { from: vec![SpiffeId::parse(GATEWAY).unwrap()], trusted_proxies };
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(X_FORWARDED_FOR, line.parse().unwrap());
        }
        let peer = peer.map(|id| SpiffeId::parse(id).unwrap());
        let sender = sender(&forwarded_for, peer.as_ref());
        remote_ip(&forwarded_for, sender, &headers).map(|ip| ip.to_string())
    }

    #[test]
    fn s16_who_speaks_for_the_client_only_listed_peers() {
        let gateway = Some(GATEWAY);
        let check = |lines: &[&str], proxies, peer, expect: Option<&str>| {
            assert_eq!(
                seen(lines, proxies, peer).as_deref(),
                expect,
                "{lines:?} {proxies} {peer:?}"
            );
        };
        check(&["1.2.3.4"], 0, gateway, Some("1.2.3.4"));
        check(&["6.6.6.6, 1.2.3.4"], 0, gateway, Some("1.2.3.4"));
        check(&["6.6.6.6", "1.2.3.4"], 0, gateway, Some("1.2.3.4"));
        check(&["6.6.6.6, 1.2.3.4, 10.0.0.1"], 1, gateway, Some("1.2.3.4"));
        check(&["1.2.3.4"], 1, gateway, None);
        let written = "6.6.6.6, ".repeat(32);
        check(&[&format!("{written}1.2.3.4")], 0, gateway, Some("1.2.3.4"));
        check(&[&format!("{written}1.2.3.4, 10.0.0.1")], 1, gateway, Some("1.2.3.4"));
        check(&["::ffff:1.2.3.4"], 0, gateway, Some("1.2.3.4"));
        check(&["[2001:db8::1]:443"], 0, gateway, Some("2001:db8::1"));
        check(&["1.2.3.4:80"], 0, gateway, Some("1.2.3.4"));
        check(&["unknown"], 0, gateway, None);
        check(&[], 0, gateway, None);
        check(&["1.2.3.4"], 0, Some("spiffe://cluster.local/ns/edge/sa/other"), None);
        check(&["1.2.3.4"], 0, None, None);
    }
}
