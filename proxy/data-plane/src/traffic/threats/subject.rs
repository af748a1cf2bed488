//! A request as it is handed to those who look through it: what a thread beside the worker needs of it.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, Version};
use policy::ThreatRule;
use policy::threat::ExceededBody;
use threat_rules::{
    InspectedRequest, Inspection, InspectionSettings, NotRead, RuleExclusion, RuleSet,
};

use super::verdict::Looked;
use crate::http::ThreatRefusal;
use crate::http::body::BodyBeginning;
use crate::http::body::decoded::ContentCoding;
use crate::traffic::exchange::Exchange;

/// Fewer letters in a row are no text of a coded body.
const LEAST_TEXT: usize = 8;

/// What is looked through, and by what.
pub(crate) struct InspectionSubject {
    rules: Arc<RuleSet>,
    policy: Arc<ThreatRule>,
    exclusions: Vec<RuleExclusion>,
    method: Method,
    target: String,
    version: Version,
    headers: HeaderMap,
    client: IpAddr,
    body: BodyBeginning,
    coding: ContentCoding,
}

impl InspectionSubject {
    /// The head of a request, as it was sent, with what was read of its body.
    pub(crate) fn of(
        exchange: &Exchange<'_>,
        client: IpAddr,
        (rules, policy): (Arc<RuleSet>, Arc<ThreatRule>),
        (body, coding): (BodyBeginning, ContentCoding),
    ) -> Self {
        let path = exchange.path;
        let mut target = path.raw().to_owned();
        if let Some(query) = path.query() {
            target.push('?');
            target.push_str(query);
        }
        let about = policy.settings.exclusions.iter().filter(|excluded| excluded.is_about(path));
        let exclusions = about.map(|excluded| RuleExclusion {
            rule: excluded.rule,
            paths: Vec::new(),
            arguments: excluded.arguments.iter().map(|name| name.to_string()).collect(),
        });
        Self {
            exclusions: exclusions.collect(),
            method: exchange.parts.method.clone(),
            target,
            version: exchange.parts.version,
            headers: exchange.parts.headers.clone(),
            rules,
            policy,
            client,
            body,
            coding,
        }
    }

    /// Looks through it, as long as `go_on` says so.
    pub(crate) fn inspect(&self, go_on: &dyn Fn() -> bool) -> Looked {
        let settings = &self.policy.settings;
        let most = usize::try_from(settings.inspect_bytes).unwrap_or(usize::MAX);
        let (body, missed) = match self.coding.decoded(&self.body, most) {
            Ok(body) if body.complete || settings.on_exceed == ExceededBody::InspectPrefix => {
                (body, None)
            }
            Ok(body) => (body, Some(ThreatRefusal::TooLarge)),
            Err(why) => {
                let none = BodyBeginning { bytes: Default::default(), complete: false };
                (none, Some(ThreatRefusal::Unreadable(why)))
            }
        };
        let decoded = self.inspect_body(&self.headers, &body, go_on);
        let missed = missed.or(not_read(&decoded));
        let as_sent = self.inspect_as_sent(go_on);
        let is_worse = as_sent.score >= settings.inbound_threshold && as_sent.score > decoded.score;
        Looked { inspection: if is_worse { as_sent } else { decoded }, missed }
    }

    /// Most apps undo no content coding, and read the bytes as they came: a coded body has places for text of any kind.
    /// What the coding needs beside text is left out, so that it is nothing to the rules: by chance, bytes of any kind are
    /// text for a few letters.
    fn inspect_as_sent(&self, go_on: &dyn Fn() -> bool) -> Inspection {
        if self.coding == ContentCoding::Identity || self.body.bytes.is_empty() {
            return Inspection::default();
        }
        let is_text = |byte: u8| matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n');
        let runs = self.body.bytes.split(|byte| !is_text(*byte));
        let runs: Vec<_> = runs.filter(|run| run.len() >= LEAST_TEXT).collect();
        let bytes = runs.join(&b' ').into();
        let body = BodyBeginning { bytes, complete: self.body.complete };
        let mut headers = self.headers.clone();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.type_as_sent()));
        self.inspect_body(&headers, &body, go_on)
    }

    /// A form of coded bytes may be read as a form; whatever else they are said to be is text that parsers refuse.
    fn type_as_sent(&self) -> &'static str {
        const FORM: &str = "application/x-www-form-urlencoded";
        let given = self.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        let is_form = given
            .get(..FORM.len())
            .is_some_and(|given| given.eq_ignore_ascii_case(FORM.as_bytes()));
        if is_form { FORM } else { "text/plain" }
    }

    fn inspect_body(
        &self,
        headers: &HeaderMap,
        body: &BodyBeginning,
        go_on: &dyn Fn() -> bool,
    ) -> Inspection {
        let settings = &self.policy.settings;
        let request = InspectedRequest {
            method: self.method.as_str(),
            target: &self.target,
            version: self.version,
            headers,
            body: &body.bytes,
            body_complete: body.complete,
            client: self.client,
        };
        let settings =
            InspectionSettings { paranoia: settings.paranoia, exclusions: &self.exclusions };
        // Without a result nobody waits for one.
        self.rules.inspect_while(&request, &settings, go_on).unwrap_or_default()
    }
}

/// What an application may see that the rules did not.
fn not_read(inspection: &Inspection) -> Option<ThreatRefusal> {
    inspection.incomplete.map(|why| match why {
        NotRead::Malformed => ThreatRefusal::Malformed,
        NotRead::TooMany => ThreatRefusal::TooMany,
    })
}
