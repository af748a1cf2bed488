//! What one pass over the names tells is what a map says of each; and the steps that ask it first do what they would by
//! asking the map for every name.

#![allow(clippy::unwrap_used)]
use http::HeaderMap;
use http::header::{CONNECTION, HeaderName, HeaderValue, TE, UPGRADE};
use proptest::prelude::*;

use super::FieldSet;
use crate::http::headers::{
    AnswerOrigin, REASON_HEADER, SenderTrust, strip_claims, strip_forwarded_identity,
    strip_hop_by_hop, tokens,
};

const OTHER_OF_ONE_HOP: [&str; 5] = [
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "http2-settings",
];
const SPEAKS_FOR_CLIENT: [&str; 6] = [
    "forwarded",
    "x-forwarded-for",
    "x-real-ip",
    "true-client-ip",
    "x-envoy-external-address",
    "x-envoy-internal",
];
const OTHERS: [&str; 24] = [
    "connection",
    "upgrade",
    "transfer-encoding",
    "te",
    "host",
    "content-length",
    "expect",
    "cookie",
    "x-forwarded-client-cert",
    "x_forwarded-client_cert",
    "x-forwarded-client-certs",
    "x-postern-",
    "x-postern-reason",
    "x-postern-version",
    "x_postern_reason",
    "x-postern_a",
    "x-postern",
    "x-posterns",
    "xx-postern-a",
    "x-user",
    "user-agent",
    "accept",
    "content-type",
    "date",
];
const VALUES: [&str; 7] =
    ["a", "", "trailers", "x-user, te", "x-postern-reason,host", "keep-alive", "close, date"];

fn name() -> impl Strategy<Value = String> {
    let all = OTHERS.into_iter().chain(OTHER_OF_ONE_HOP).chain(SPEAKS_FOR_CLIENT);
    let known = prop::sample::select(all.collect::<Vec<_>>()).prop_map(str::to_owned);
    // A known name with a letter changed, or any name.
    let near =
        (known.clone(), any::<prop::sample::Index>(), "[a-z_-]").prop_map(|(name, at, c)| {
            let at = at.index(name.len());
            format!("{}{c}{}", &name[..at], &name[at + 1..])
        });
    prop_oneof![8 => known, 1 => near, 1 => "[a-z][a-z0-9_-]{0,24}"]
}

fn message() -> impl Strategy<Value = HeaderMap> {
    let line = (name(), prop::sample::select(VALUES.to_vec()));
    prop::collection::vec(line, 0..12).prop_map(|lines| {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_static(value));
        }
        headers
    })
}

fn is_claim(name: &str) -> bool {
    let name = name.replace('_', "-");
    name.starts_with("x-postern-") || name == "x-forwarded-client-cert"
}

fn remove_all<'n>(headers: &mut HeaderMap, names: impl IntoIterator<Item = &'n str>) {
    names.into_iter().for_each(|name| drop(headers.remove(name)));
}

fn names(headers: &HeaderMap, wanted: impl Fn(&str) -> bool) -> Vec<HeaderName> {
    headers.keys().filter(|name| wanted(name.as_str())).cloned().collect()
}

/// [`strip_hop_by_hop`], asking for every name.
fn strip_hop_by_hop_plainly(headers: &mut HeaderMap) {
    let kept = ["close", "keep-alive", "upgrade", "te", "host", "content-length"];
    let named: Vec<String> =
        tokens(headers, CONNECTION).filter(|t| !kept.contains(t)).map(str::to_owned).collect();
    remove_all(headers, named.iter().map(String::as_str));
    remove_all(headers, ["connection", "upgrade", "transfer-encoding"]);
    remove_all(headers, OTHER_OF_ONE_HOP);
    let trailers = tokens(headers, TE).any(|token| token.eq_ignore_ascii_case("trailers"));
    headers.remove(TE);
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// [`strip_claims`], asking for every name.
fn strip_claims_plainly(headers: &mut HeaderMap, speaker: AnswerOrigin) {
    let reason = headers.get(REASON_HEADER).cloned();
    names(headers, is_claim).into_iter().for_each(|name| drop(headers.remove(name)));
    headers.remove(TE);
    if let Some(reason) = reason.filter(|_| speaker == AnswerOrigin::Postern) {
        headers.insert(REASON_HEADER, reason);
    }
}

/// [`strip_forwarded_identity`], asking for every name.
fn strip_forwarded_identity_plainly(headers: &mut HeaderMap, sender: SenderTrust) {
    headers.remove("x-forwarded-client-cert");
    let own = names(headers, |name| name.starts_with("x-postern-"));
    own.into_iter().for_each(|name| drop(headers.remove(name)));
    if sender == SenderTrust::Other {
        remove_all(headers, SPEAKS_FOR_CLIENT);
    }
}

/// What is left: in the order of the names, and of the lines of each.
fn lines(headers: &HeaderMap) -> Vec<(String, Vec<HeaderValue>)> {
    let mut lines: Vec<_> = headers
        .keys()
        .map(|name| (name.as_str().to_owned(), headers.get_all(name).iter().cloned().collect()))
        .collect();
    lines.sort_by(|(a, _), (b, _)| a.cmp(b));
    lines
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn no_field_is_missed(headers in message()) {
        let found = FieldSet::of(&headers);
        let has = |names: &[&str]| names.iter().any(|name| headers.contains_key(*name));
        let own = |name: &str| name.starts_with("x-postern-") || name == "x-forwarded-client-cert";
        let claims = headers.keys().any(|name| is_claim(name.as_str()));
        let exact = headers.keys().any(|name| own(name.as_str()));
        for (kind, there) in [
            (FieldSet::CONNECTION, headers.contains_key(CONNECTION)),
            (FieldSet::UPGRADE, headers.contains_key(UPGRADE)),
            (FieldSet::TRANSFER_ENCODING, has(&["transfer-encoding"])),
            (FieldSet::TE, headers.contains_key(TE)),
            (FieldSet::OTHER_HOP_BY_HOP, has(&OTHER_OF_ONE_HOP)),
            (FieldSet::HOST, has(&["host"])),
            (FieldSet::CONTENT_LENGTH, has(&["content-length"])),
            (FieldSet::EXPECT, has(&["expect"])),
            (FieldSet::COOKIE, has(&["cookie"])),
            (FieldSet::SPEAKS_FOR_CLIENT, has(&SPEAKS_FOR_CLIENT)),
            (FieldSet::CLAIM, claims),
            (FieldSet::EXACT_CLAIM, exact),
        ] {
            prop_assert_eq!(found.has_any(kind), there, "{:?} of {:?}", kind, headers);
        }
    }

    #[test]
    fn fields_of_one_hop_by_the_set_or_by_name(headers in message()) {
        let (mut fast, mut plain) = (headers.clone(), headers);
        strip_hop_by_hop(&mut fast);
        strip_hop_by_hop_plainly(&mut plain);
        prop_assert_eq!(lines(&fast), lines(&plain));
    }

    #[test]
    fn claims_by_the_set_or_by_name(headers in message()) {
        for speaker in [AnswerOrigin::Postern, AnswerOrigin::Other] {
            let (mut fast, mut plain) = (headers.clone(), headers.clone());
            strip_claims(&mut fast, speaker);
            strip_claims_plainly(&mut plain, speaker);
            prop_assert_eq!(lines(&fast), lines(&plain));
        }
        for sender in [SenderTrust::Listed, SenderTrust::Other] {
            let (mut fast, mut plain) = (headers.clone(), headers.clone());
            strip_forwarded_identity(&mut fast, sender);
            strip_forwarded_identity_plainly(&mut plain, sender);
            prop_assert_eq!(lines(&fast), lines(&plain));
        }
    }
}
