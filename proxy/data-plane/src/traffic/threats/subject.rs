//! A request as it is handed to those who look through it: what a thread beside the worker needs of it.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, Method, Version};
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
        let request = InspectedRequest {
            method: self.method.as_str(),
            target: &self.target,
            version: self.version,
            headers: &self.headers,
            body: &body.bytes,
            body_complete: body.complete,
            client: self.client,
        };
        let settings =
            InspectionSettings { paranoia: settings.paranoia, exclusions: &self.exclusions };
        // Without a result nobody waits for one.
        let inspection = self.rules.inspect_while(&request, &settings, go_on).unwrap_or_default();
        Looked { missed: missed.or(not_read(&inspection)), inspection }
    }
}

/// What an application may see that the rules did not.
fn not_read(inspection: &Inspection) -> Option<ThreatRefusal> {
    inspection.incomplete.map(|why| match why {
        NotRead::Malformed => ThreatRefusal::Malformed,
        NotRead::TooMany => ThreatRefusal::TooMany,
    })
}
