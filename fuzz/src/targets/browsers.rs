//! What a browser keeps for us and brings back.

use std::sync::LazyLock;

use browser_session::{
    NotOurs, OUR_PREFIX, Purpose, RequestCookies, ReturnTarget, SealBinding, Session,
    SessionCookies, SessionKeys, SignInFlow,
};

#[expect(clippy::expect_used, reason = "keys of our own that are none are a mistake in this file")]
static KEYS: LazyLock<SessionKeys> =
    LazyLock::new(|| SessionKeys::new(&[1; 32], Some(&[2; 32])).expect("two keys"));

#[expect(clippy::expect_used, reason = "names of our own that are none are a mistake in this file")]
static NAMES: LazyLock<SessionCookies> =
    LazyLock::new(|| SessionCookies::new("", 5).expect("no suffix"));

/// A sealed text: nobody here has sealed it, and there is one refusal.
pub fn sealed_cookie(data: &[u8]) {
    let binding = SealBinding {
        host: "shop.example",
        client_id: "shop",
        policy: "shop/staff",
        purpose: Purpose::Session,
        instance: b"",
    };
    assert_eq!(KEYS.open(binding, data).map(drop), Err(NotOurs));
}

/// The bytes of a session: what is taken is written as it is read.
pub fn session(data: &[u8]) {
    let Ok(session) = Session::from_bytes(data) else { return };
    assert_eq!(Session::from_bytes(&session.to_bytes()).as_ref(), Ok(&session));
    let now = session.created;
    let _ = (session.check(now, 3600, 60), session.is_due_for_refresh(now), session.left(now));
}

/// The bytes of a flow: what is taken is written as it is read, and returns to this host.
pub fn sign_in_flow(data: &[u8]) {
    let Ok(flow) = SignInFlow::from_bytes(data) else { return };
    assert_eq!(SignInFlow::from_bytes(&flow.to_bytes()).as_ref(), Ok(&flow));
    assert!(flow.return_target.as_str().starts_with('/'));
}

/// A return target: what is taken is a path here, however often its escapes are undone.
pub fn return_target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(target) = ReturnTarget::parse(text) else { return };
    assert_eq!(target.as_str(), text);
    let mut path = text.split('?').next().unwrap_or_default().as_bytes().to_vec();
    for _ in 0..8 {
        assert!(path.starts_with(b"/") && !path.starts_with(b"//"), "{text}");
        assert!(!path.iter().any(|byte| *byte == b'\\' || *byte == b'#' || *byte < b' '), "{text}");
        path = undone(&path);
    }
}

/// With one layer of escapes undone; what is no escape stays.
fn undone(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let digits = text.get(at + 1..at + 3).and_then(|two| std::str::from_utf8(two).ok());
        let escaped = digits.filter(|two| two.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let escaped = escaped.and_then(|two| u8::from_str_radix(two, 16).ok());
        let escaped = escaped.filter(|_| *byte == b'%');
        out.push(escaped.unwrap_or(*byte));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    out
}

/// Lines of the header `cookie`: none of ours is left for the app, and every other cookie is.
pub fn cookie_header(data: &[u8]) {
    let lines = || data.split(|byte| *byte == b'\n');
    let cookies = RequestCookies::of(lines());
    let ours = |pair: &&[u8]| {
        let start = pair.trim_ascii().get(..OUR_PREFIX.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(OUR_PREFIX.as_bytes()))
    };
    let pairs = |line: &[u8]| -> Vec<Vec<u8>> {
        let pairs = line.split(|byte| *byte == b';').filter(|pair| !ours(pair));
        pairs.map(|pair| pair.trim_ascii().to_vec()).filter(|pair| !pair.is_empty()).collect()
    };
    let before: Vec<_> = lines().flat_map(pairs).collect();
    let after: Vec<_> = cookies.others().iter().flat_map(|line| pairs(line)).collect();
    assert_eq!(before, after);
    for line in cookies.others() {
        assert!(!line.split(|byte| *byte == b';').any(|pair| ours(&pair)));
    }
    if let Ok(Some(sealed)) = NAMES.sealed(&cookies) {
        assert!(sealed.len() <= data.len());
    }
}
