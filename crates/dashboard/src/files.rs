//! The page's files, embedded as they are written, and the headers they go out with.
//!
//! The page is one of an administrator's, and shows texts that strangers chose: nothing in it may run but its own script
//! (Content Security Policy Level 3; Trusted Types), no other page may show it in a frame or read it, and no cache keeps
//! it (SECURITY-CASES S-43).

use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, LOCATION, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, StatusCode};
use page_server::response::{JSON, Page, method_not_allowed, page, text};

use crate::data::DashboardData;

/// Where the page is. Its files and its data lie below.
pub const PATH: &str = "/dashboard";
/// Where its data is.
const DATA: &str = "/dashboard/data.json";

/// The files: path, content type, content.
const FILES: &[(&str, &str, &str)] = &[
    (PATH, "text/html; charset=utf-8", include_str!("../page/index.html")),
    ("/dashboard/page.css", "text/css; charset=utf-8", include_str!("../page/page.css")),
    ("/dashboard/page.js", "text/javascript; charset=utf-8", include_str!("../page/page.js")),
    ("/dashboard/graph.js", "text/javascript; charset=utf-8", include_str!("../page/graph.js")),
    ("/dashboard/icon.svg", "image/svg+xml", include_str!("../page/icon.svg")),
];

/// What the page may do: run, show and ask for what comes from here.
const MAY: &str = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

const FIELDS: [(HeaderName, &str); 6] = [
    (CONTENT_SECURITY_POLICY, MAY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (CACHE_CONTROL, "no-store"),
    (REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// Whether this path is that of the page's data, which [`data_page`] answers.
#[must_use]
pub fn is_data(path: &str) -> bool {
    path == DATA
}

/// The answer to a request for the page or one of its files; `None` for every path that is none of them.
#[must_use]
pub fn answer(method: &Method, path: &str) -> Option<Page> {
    if method != Method::GET && method != Method::HEAD {
        let ours = path == DATA || FILES.iter().any(|(file, ..)| *file == path);
        return ours.then(|| guarded(method_not_allowed("GET, HEAD", "GET it\n")));
    }
    if path == "/dashboard/" {
        let mut moved = text(StatusCode::PERMANENT_REDIRECT, "/dashboard\n");
        moved.headers_mut().insert(LOCATION, HeaderValue::from_static(PATH));
        return Some(guarded(moved));
    }
    let (_, kind, content) = FILES.iter().find(|(file, ..)| *file == path)?;
    Some(guarded(page(StatusCode::OK, kind, *content)))
}

/// The data as an answer.
#[must_use]
pub fn data_page(data: &DashboardData) -> Page {
    // Its keys are texts, so serialization cannot fail.
    guarded(page(StatusCode::OK, JSON, serde_json::to_vec(data).unwrap_or_default()))
}

fn guarded(mut page: Page) -> Page {
    for (name, value) in FIELDS {
        page.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    page
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_smaller_than_sixty_kilobytes() {
        let size: usize = FILES.iter().map(|(.., content)| content.len()).sum();
        assert!(size < 60_000, "{size}");
    }

    #[test]
    fn the_page_has_no_script_or_style_in_it_and_asks_nobody_else() {
        for (path, _, content) in FILES {
            for forbidden in ["style=", "onclick=", "innerHTML", "http://", "https://", "eval("] {
                // The name of a kind of drawing is no address.
                let content = content.replace("http://www.w3.org/2000/svg", "");
                assert!(!content.contains(forbidden), "{path}: {forbidden}");
            }
        }
    }

    #[test]
    fn s43_admin_and_debug_the_page_is_guarded_against_other_pages() {
        let check = |name: &str, method: Method, path: &str, expect: Option<u16>| {
            let answered = answer(&method, path);
            assert_eq!(answered.as_ref().map(|page| page.status().as_u16()), expect, "{name}");
            let Some(answered) = answered else { return };
            for (field, value) in FIELDS {
                assert_eq!(answered.headers().get(&field).unwrap(), value, "{name}: {field}");
            }
            assert!(!answered.headers().contains_key("access-control-allow-origin"), "{name}");
        };
        check("the page", Method::GET, "/dashboard", Some(200));
        check("its head", Method::HEAD, "/dashboard", Some(200));
        check("its script", Method::GET, "/dashboard/page.js", Some(200));
        check("with a slash", Method::GET, "/dashboard/", Some(308));
        check("posted", Method::POST, "/dashboard", Some(405));
        check("data posted", Method::POST, "/dashboard/data.json", Some(405));
        check("no file", Method::GET, "/dashboard/other", None);
        check("out of the folder", Method::GET, "/dashboard/../config", None);
    }
}
