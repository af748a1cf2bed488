//! Who in a browser asks: a person that follows a link, or a script, which could do nothing with a page of the provider.

use http::header::{ACCEPT, HeaderMap, HeaderName, ORIGIN};
use http::request::Parts;
use http::{Method, Uri};

use crate::http::headers::is_preflight;

const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_PURPOSE: HeaderName = HeaderName::from_static("sec-purpose");

/// What a request without a session can be answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AskedBy {
    /// The browser goes to a page: it follows a redirect to the provider and shows what is there.
    Navigation,
    /// A script, a program, a speculative load: redirected to the provider it would get a page that it cannot use, or one
    /// that a person has never asked for.
    Script,
    /// A CORS preflight, which browsers send without cookies (Fetch §4.8): the actual request is judged.
    Preflight,
}

impl AskedBy {
    /// By what browsers say of their requests (W3C Fetch Metadata), which no script can write; where a client says nothing,
    /// a GET that takes HTML is a navigation. Whatever else a client says of itself, such as `User-Agent`, plays no role.
    pub(super) fn of(parts: &Parts) -> Self {
        if is_preflight(parts) {
            return Self::Preflight;
        }
        if parts.headers.contains_key(SEC_PURPOSE) {
            return Self::Script;
        }
        let navigates = match only(&parts.headers, &SEC_FETCH_MODE) {
            Field::Absent if says_metadata(&parts.headers) => false,
            Field::Absent => parts.method == Method::GET && takes_html(&parts.headers),
            Field::Is(mode) => mode == b"navigate",
            Field::Several => false,
        };
        if navigates { Self::Navigation } else { Self::Script }
    }
}

/// Whether a request that changes something comes from a page of its own origin (OWASP CSRF, "Fetch Metadata" and "verifying
/// origin"): `Sec-Fetch-Site`, where a browser sends it, and `Origin`, which it sends with every POST. Without either
/// nothing shows it, and it does not count as one.
pub(super) fn is_same_origin(headers: &HeaderMap, host: &str) -> bool {
    let site = match only(headers, &SEC_FETCH_SITE) {
        Field::Absent => None,
        Field::Is(site) => Some(site == b"same-origin"),
        Field::Several => Some(false),
    };
    let origin = match only(headers, &ORIGIN) {
        Field::Absent => None,
        // A page with `Referrer-Policy: no-referrer` says so of its own forms, too (Fetch §3.2); the other field is not forged.
        Field::Is(b"null") if site == Some(true) => None,
        Field::Is(origin) => Some(is_origin_of(origin, host)),
        Field::Several => Some(false),
    };
    matches!((site, origin), (Some(true), None | Some(true)) | (None, Some(true)))
}

/// Whether an origin is that of this host over https (RFC 6454 §6.2). `host` is with its port, where that is not 443.
fn is_origin_of(origin: &[u8], host: &str) -> bool {
    let Ok(uri) = Uri::try_from(origin) else { return false };
    let authority = uri.authority().map(|authority| authority.as_str());
    let is_bare = std::str::from_utf8(origin).is_ok_and(|text| {
        text.strip_prefix("https://").is_some_and(|rest| Some(rest) == authority)
    });
    is_bare && authority.is_some_and(|named| named.strip_suffix(":443").unwrap_or(named) == host)
}

fn says_metadata(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| name.as_str().starts_with("sec-fetch-"))
}

/// `text/html` among the media types that are taken, by itself and not by `*/*`, which programs send.
fn takes_html(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(ACCEPT).iter().filter_map(|line| line.to_str().ok());
    let mut types = lines.flat_map(|line| line.split(','));
    types.any(|range| {
        let name = range.split(';').next().unwrap_or_default().trim();
        name.eq_ignore_ascii_case("text/html")
    })
}

enum Field<'h> {
    Absent,
    Is(&'h [u8]),
    Several,
}

fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Field<'h> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Field::Absent,
        (Some(line), None) => Field::Is(line.as_bytes()),
        (Some(_), Some(_)) => Field::Several,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use http::Request;

    use super::*;

    fn request(method: &str, fields: &[(&str, &str)]) -> Parts {
        let builder = Request::builder().method(method).uri("/");
        let built = fields.iter().fold(builder, |all, (name, value)| all.header(*name, *value));
        built.body(()).unwrap().into_parts().0
    }

    #[test]
    fn never_302_for_a_script() {
        use AskedBy::{Navigation, Preflight, Script};
        for (row, method, fields, expect) in [
            ("a link", "GET", &[("sec-fetch-mode", "navigate")][..], Navigation),
            ("a form", "POST", &[("sec-fetch-mode", "navigate")], Navigation),
            ("fetch()", "GET", &[("sec-fetch-mode", "cors"), ("accept", "text/html")], Script),
            ("same-origin fetch", "GET", &[("sec-fetch-mode", "same-origin")], Script),
            ("an image", "GET", &[("sec-fetch-mode", "no-cors"), ("accept", "text/html")], Script),
            ("a web socket", "GET", &[("sec-fetch-mode", "websocket")], Script),
            ("another case", "GET", &[("sec-fetch-mode", "Navigate")], Script),
            (
                "two modes",
                "GET",
                &[("sec-fetch-mode", "navigate"), ("sec-fetch-mode", "cors")],
                Script,
            ),
            (
                "a prefetch",
                "GET",
                &[("sec-fetch-mode", "navigate"), ("sec-purpose", "prefetch")],
                Script,
            ),
            (
                "metadata without a mode",
                "GET",
                &[("sec-fetch-dest", "empty"), ("accept", "text/html")],
                Script,
            ),
            ("an old browser", "GET", &[("accept", "text/html,application/xml;q=0.9")], Navigation),
            (
                "an old browser, in capitals",
                "GET",
                &[("accept", "a/b, TEXT/HTML;q=0.5")],
                Navigation,
            ),
            ("an old browser's form", "POST", &[("accept", "text/html")], Script),
            ("curl", "GET", &[("accept", "*/*")], Script),
            ("a program", "GET", &[("accept", "application/json")], Script),
            ("nothing said", "GET", &[], Script),
            ("a word within another", "GET", &[("accept", "text/htmlx")], Script),
            (
                "a preflight",
                "OPTIONS",
                &[("origin", "https://a"), ("access-control-request-method", "PUT")],
                Preflight,
            ),
            ("OPTIONS without CORS", "OPTIONS", &[("origin", "https://a")], Script),
        ] {
            assert_eq!(AskedBy::of(&request(method, fields)), expect, "{row}");
        }
    }

    /// A probe's name in `User-Agent` let requests past the sign-in of another proxy (CVE-2026-34457).
    #[test]
    fn ghsa_5hvv_m4w4_gf6v_user_agent_plays_no_role() {
        for agent in ["kube-probe/1.31", "GoogleHC/1.0", "ELB-HealthChecker/2.0", "Mozilla/5.0", ""]
        {
            for (fields, expect) in [
                (vec![("sec-fetch-mode", "navigate")], AskedBy::Navigation),
                (vec![("accept", "*/*")], AskedBy::Script),
            ] {
                let fields = [fields, vec![("user-agent", agent)]].concat();
                assert_eq!(AskedBy::of(&request("GET", &fields)), expect, "{agent}");
            }
        }
    }

    #[test]
    fn a_logout_comes_from_a_page_of_its_own_origin() {
        for (row, fields, expect) in [
            ("nothing says where from", &[][..], false),
            (
                "own page",
                &[("sec-fetch-site", "same-origin"), ("origin", "https://shop.example")],
                true,
            ),
            ("own page of an old browser", &[("origin", "https://shop.example")], true),
            ("the port of https, written", &[("origin", "https://shop.example:443")], true),
            ("only the metadata", &[("sec-fetch-site", "same-origin")], true),
            (
                "own page that hides its referrer",
                &[("sec-fetch-site", "same-origin"), ("origin", "null")],
                true,
            ),
            (
                "another page that hides it",
                &[("sec-fetch-site", "cross-site"), ("origin", "null")],
                false,
            ),
            (
                "a sister",
                &[("sec-fetch-site", "same-site"), ("origin", "https://shop.example")],
                false,
            ),
            ("a stranger", &[("sec-fetch-site", "cross-site")], false),
            ("typed by hand", &[("sec-fetch-site", "none")], false),
            ("another host", &[("origin", "https://shop.example.evil")], false),
            ("user information", &[("origin", "https://shop.example@evil")], false),
            ("a path", &[("origin", "https://shop.example/")], false),
            ("another port", &[("origin", "https://shop.example:8443")], false),
            ("in the clear", &[("origin", "http://shop.example")], false),
            ("a sandboxed frame", &[("origin", "null")], false),
            ("says both", &[("origin", "https://evil"), ("origin", "https://shop.example")], false),
            (
                "the metadata is right, the origin is not",
                &[("sec-fetch-site", "same-origin"), ("origin", "https://evil")],
                false,
            ),
            ("a referrer proves nothing", &[("referer", "https://shop.example/a")], false),
        ] {
            let parts = request("POST", fields);
            assert_eq!(is_same_origin(&parts.headers, "shop.example"), expect, "{row}");
        }
    }
}
