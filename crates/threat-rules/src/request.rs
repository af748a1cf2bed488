//! What is inspected, and by which settings.

use std::net::IpAddr;

use http::{HeaderMap, Version};

/// One request, as it arrived, before anything of it was changed.
#[derive(Debug, Clone, Copy)]
pub struct InspectedRequest<'a> {
    /// The method as it was sent.
    pub method: &'a str,
    /// The request target as it was sent: path and query, nothing decoded (RFC 9112, section 3.2.1).
    pub target: &'a str,
    /// The version of HTTP.
    pub version: Version,
    /// The headers. The authority of an HTTP/2 request is expected among them as `host`.
    pub headers: &'a HeaderMap,
    /// The body, or its beginning; its content coding (gzip, deflate) is already undone.
    pub body: &'a [u8],
    /// Whether `body` is all of the body. A JSON or XML document that was cut is inspected as text.
    pub body_complete: bool,
    /// The client's address, by the rules of trusted proxies.
    pub client: IpAddr,
}

/// How one request is inspected: what the policy that selects it says.
#[derive(Debug, Clone, Copy)]
pub struct InspectionSettings<'a> {
    /// Which rules take part, 1 (next to no false positives) to 4 (everything unusual); other values are taken as the
    /// nearer end.
    pub paranoia: u8,
    /// Rules that are not to look at something.
    pub exclusions: &'a [RuleExclusion],
}

impl Default for InspectionSettings<'_> {
    fn default() -> Self {
        Self { paranoia: 1, exclusions: &[] }
    }
}

/// One rule that does not look at something: at nothing of some paths, or not at some arguments there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleExclusion {
    /// The rule's id.
    pub rule: u32,
    /// The paths it is for: exact, or a beginning and `*` at the end. None: every path.
    pub paths: Vec<String>,
    /// The names of the arguments, form fields, cookies and JSON members (`a.b`) it is for, each exact. None: the whole
    /// rule.
    pub arguments: Vec<String>,
}
