//! Requests that are inspected, and the rules that inspect them.

use std::sync::LazyLock;

use http::{HeaderMap, HeaderValue, Version, header};
use threat_rules::{InspectedRequest, Inspection, InspectionSettings, RuleSet};

#[expect(clippy::expect_used, reason = "rules of our own that cannot be read are a mistake there")]
static RULES: LazyLock<RuleSet> = LazyLock::new(|| RuleSet::builtin().expect("our own rules"));

/// Kinds of bodies, chosen by the first byte.
const TYPES: [&str; 6] = [
    "application/x-www-form-urlencoded",
    "application/json",
    "application/xml",
    "multipart/form-data; boundary=x",
    "text/plain",
    "",
];

/// A request: its target, a cookie and a body, each after a line feed. Whatever it holds, the inspection is short, in
/// one line, and counts what it lists.
pub fn threat_request(data: &[u8]) {
    let [kind, data @ ..] = data else { return };
    let mut parts = data.splitn(3, |byte| *byte == b'\n');
    let target = String::from_utf8_lossy(parts.next().unwrap_or_default());
    let mut headers = HeaderMap::new();
    let content_type = TYPES.get(usize::from(*kind) % TYPES.len()).copied().unwrap_or_default();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Ok(cookie) = HeaderValue::from_bytes(parts.next().unwrap_or_default()) {
        headers.insert(header::COOKIE, cookie);
    }
    let request = InspectedRequest {
        method: "POST",
        target: &target,
        version: Version::HTTP_11,
        headers: &headers,
        body: parts.next().unwrap_or_default(),
        body_complete: kind & 0x80 == 0,
        client: [192, 0, 2, 1].into(),
    };
    let found = RULES.inspect(&request, &InspectionSettings { paranoia: 4, exclusions: &[] });
    assert!(found.matches.len() <= Inspection::MOST_MATCHES);
    assert!(found.score >= found.matches.iter().map(|one| one.score).sum());
    for one in &found.matches {
        assert!(
            one.variable.len() <= 64 && !one.variable.contains(char::is_control),
            "{}",
            one.variable
        );
    }
}

/// A file of rules: it is read, or each problem has a line and words.
pub fn threat_rules(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match RuleSet::of_text("fuzz", text) {
        Ok(rules) => assert!(rules.rules() <= text.len()),
        Err(problems) => {
            assert!(!problems.is_empty());
            assert!(problems.iter().all(|problem| !problem.message.is_empty() && problem.line > 0));
        }
    }
}
