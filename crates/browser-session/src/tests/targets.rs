//! Where a browser returns to.

use super::*;

/// The list that the gateway is asked with as well.
fn open_redirects() -> Vec<String> {
    let list = include_str!("../../tests/open-redirects.txt");
    let lines = list.lines().filter(|line| !line.starts_with("# "));
    lines.map(|line| serde_json::from_str(line).expect(line)).collect()
}

#[test]
fn s41_oauth2_login_state_open_redirects() {
    let list = open_redirects();
    assert!(list.len() >= 100, "{}", list.len());
    for text in list {
        assert!(ReturnTarget::parse(&text).is_err(), "{text:?}");
    }
    let long = format!("/{}", "a".repeat(2_048));
    assert_eq!(ReturnTarget::parse(&long), Err(ReturnTargetError::TooLong));
    assert!(ReturnTarget::parse(&long[..2_048]).is_ok());
}

#[test]
fn paths_of_this_host_are_returned_to() {
    for text in [
        "/",
        "/account",
        "/account/",
        "/account/?",
        "/a.b/..c/d..",
        "/caf%C3%A9/%E2%82%AC",
        "/@name/:1;a=b,c+d!$&'()*",
        "/a?next=https://shop.example//b",
        "/a?next=https%3A%2F%2Fshop.example%2F%2Fb",
        "/search?q=100%25+%23%5Cd",
        "/a?b?c=../..",
        "/100%25",
    ] {
        let target = ReturnTarget::parse(text);
        assert_eq!(target.as_ref().map(ReturnTarget::as_str), Ok(text));
    }
    assert_eq!(ReturnTarget::root().as_str(), "/");
}

/// A fragment is invisible to whoever decides by the path, and is followed by the browser.
#[test]
fn ghsa_pxq7_h93f_9jrg_fragments_are_refused() {
    for text in ["/a#b", "/#", "/a?b#c", "/a%23b", "/a%2523b", "/a%252523b", "#a"] {
        assert_eq!(ReturnTarget::parse(text), Err(ReturnTargetError::Fragment), "{text}");
    }
    assert!(ReturnTarget::parse("/a?color=%23fff").is_ok(), "in a query it is the app's");
}
