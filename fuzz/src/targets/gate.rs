//! The HTTP gate, on requests as the library hands them over.

use http::header::{HOST, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::{Request, Uri, Version};
use policy::{HeaderNames, PathNormalization};
use data_plane::http::gate::{AdmittedRequest, GateSettings, HeadLimits, GateRefusal, UnderscorePolicy, admit};

/// Reads a request from lines (`METHOD target [1.0|1.1|2]`, then `name:value`) and passes it
/// through the gate. What comes out is clean, and passes again unchanged.
pub fn gate(data: &[u8]) {
    let Some(mut parts) = request(data) else { return };
    let Ok(first) = pass(&mut parts) else { return };
    check_clean(&parts, &first);
    // What is sent on is HTTP/1.1: an upgrade is asked for there alone.
    let before = summary(&parts);
    let second = pass(&mut parts);
    let second = second.unwrap_or_else(|refusal| panic!("{before}: admitted, then {refusal:?}"));
    assert_eq!(second.host(), first.host());
    assert_eq!(summary(&parts), before, "the second pass changed something");
}

fn pass(parts: &mut Parts) -> Result<AdmittedRequest, GateRefusal> {
    let rules = HeaderNames::new(["x-role"]);
    let settings = GateSettings {
        default_port: Some(80),
        dialled: None,
        normalization: PathNormalization::default(),
        head: HeadLimits::default(),
        named: Some(&rules),
        underscores: UnderscorePolicy::default(),
    };
    let admitted = admit(parts, &settings)?;
    let path = admitted.path()?;
    admitted.set_target(&path, parts)?;
    Ok(admitted)
}

fn check_clean(parts: &Parts, admitted: &AdmittedRequest) {
    let headers = &parts.headers;
    let hosts: Vec<_> = headers.get_all(HOST).iter().collect();
    assert_eq!(hosts, [admitted.host().as_str()]);
    assert!(!headers.contains_key(TRANSFER_ENCODING));
    for other in ["x_role", "x.role", "x_forwarded_for", "x_postern_version", "content_length"] {
        assert!(!headers.contains_key(other), "{other}");
    }
    assert_eq!(headers.get(UPGRADE), admitted.upgrade.as_ref());
    assert_eq!(headers.contains_key("connection"), admitted.upgrade.is_some());
    assert!(parts.uri.authority().is_none(), "one place says which host: Host");
    let lengths: Vec<_> = headers.get_all("content-length").iter().collect();
    assert!(lengths.len() <= 1 && lengths.iter().all(|length| canonical(length)), "{lengths:?}");
}

fn canonical(length: &HeaderValue) -> bool {
    let text = length.to_str().unwrap_or_default();
    text.parse::<u64>().is_ok_and(|number| number.to_string() == text)
}

fn summary(parts: &Parts) -> String {
    format!("{} {} {:?}", parts.method, parts.uri, parts.headers)
}

fn request(data: &[u8]) -> Option<Parts> {
    let mut lines = data.split(|byte| *byte == b'\n');
    let mut words = lines.next()?.split(|byte| *byte == b' ');
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = http::Method::from_bytes(words.next()?).ok()?;
    parts.uri = Uri::try_from(words.next()?).ok()?;
    parts.version = match words.next() {
        Some(b"1.0") => Version::HTTP_10,
        Some(b"2") => Version::HTTP_2,
        _ => Version::HTTP_11,
    };
    parts.headers = fields(lines);
    Some(parts)
}

fn fields<'a>(lines: impl Iterator<Item = &'a [u8]>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines.take(1000) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        let (name, value) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value));
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    headers
}
