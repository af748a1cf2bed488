//! How refusals are grouped: by who decided and against whom. Of each group the latest different requests are told, so
//! that a caller who tries a thousand paths is one line, and not a thousand.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::bounds::{DENIALS, EXAMPLES, Listed, shortened};
use crate::explain_line::explain_line;

/// One refusal as the window of decisions keeps it. It borrows from there.
#[derive(Debug, Clone)]
pub struct RefusedTraffic<'a> {
    /// Unix seconds.
    pub time: u64,
    /// `deny` or `would_deny`.
    pub decision: &'a str,
    /// The stable reason.
    pub reason: &'a str,
    /// The deciding policy; `None` where none was.
    pub policy: Option<&'a str>,
    /// The deciding rule.
    pub rule: Option<u32>,
    /// Who called, without `spiffe://`; `None` in plaintext.
    pub source_principal: Option<&'a str>,
    /// The caller's address.
    pub source_ip: &'a str,
    /// The app's address and port.
    pub destination: &'a str,
    /// The server name of the caller's TLS, where it is kept.
    pub sni: Option<&'a str>,
    /// The request; `None` for opaque bytes.
    pub request: Option<SeenRequest<'a>>,
    /// The operation at a message broker, where it is about one.
    pub message: Option<SeenMessage<'a>>,
    /// The rule that came nearest to allowing it.
    pub nearest: Option<SeenMiss<'a>>,
}

/// What is kept of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenRequest<'a> {
    /// The method.
    pub method: &'a str,
    /// The host, with a port that is not the default one.
    pub host: &'a str,
    /// The canonical path, without query.
    pub path: &'a str,
}

/// What is kept of an operation at a message broker, in the fields that `explain` takes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SeenMessage<'a> {
    /// The protocol.
    pub protocol: &'a str,
    /// The operation.
    pub operation: &'a str,
    /// What it names: `topic`, `group` and so on.
    pub names: Vec<(&'a str, &'a str)>,
    /// Whether it answers a message that was just delivered.
    pub reply: bool,
}

/// The rule that came nearest, as it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenMiss<'a> {
    /// The policy, `namespace/name`.
    pub policy: &'a str,
    /// The rule's index.
    pub rule: u32,
    /// What it would have matched but for.
    pub but_for: &'a str,
}

/// Refusals of one caller by one rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DenialGroup {
    /// `deny`, or `would_deny` of a policy that is not enforced.
    pub decision: String,
    /// The stable reason.
    pub reason: String,
    /// The deciding policy, `namespace/name`; null where none was: nothing allowed it.
    pub policy: Option<String>,
    /// The deciding rule's index.
    pub rule: Option<u32>,
    /// Who called; null in plaintext.
    pub source_principal: Option<String>,
    /// The address of the latest caller.
    pub source_ip: String,
    /// The app's address and port.
    pub destination: String,
    /// The pod whose proxy refused, `namespace/name`, on the controller's page: from its stream, never from what it says.
    #[serde(skip_serializing_if = "Option::is_none", skip_deserializing)]
    pub pod: Option<String>,
    /// How many the window has of it.
    pub count: usize,
    /// The latest, Unix seconds.
    pub last: u64,
    /// The oldest that the window has, Unix seconds.
    pub first: u64,
    /// Different requests, the latest first.
    pub examples: Listed<DenialExample>,
}

/// One of the different requests of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DenialExample {
    /// The method; null for opaque bytes.
    pub method: Option<String>,
    /// The host; null for opaque bytes.
    pub host: Option<String>,
    /// The canonical path without query; null for opaque bytes.
    pub path: Option<String>,
    /// The operation at a message broker in words, such as `nats publish orders.new`; absent for everything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How many the window has of it.
    pub count: usize,
    /// The latest, Unix seconds.
    pub last: u64,
    /// The rule that came nearest to allowing it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest: Option<NearestRule>,
    /// The line for `postern-proxy explain`; absent where it would be too long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explain: Option<String>,
}

/// The rule that came nearest to allowing a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NearestRule {
    /// The policy, `namespace/name`.
    pub policy: String,
    /// The rule's index.
    pub rule: u32,
    /// What it would have matched but for, in words.
    pub but_for: String,
}

impl<'a> RefusedTraffic<'a> {
    /// The refusal of opaque bytes in plaintext of which nothing else is known: what others are made from.
    #[must_use]
    pub fn of(source_ip: &'a str, destination: &'a str) -> Self {
        Self {
            time: 0,
            decision: "deny",
            reason: "",
            policy: None,
            rule: None,
            source_principal: None,
            source_ip,
            destination,
            sni: None,
            request: None,
            message: None,
            nearest: None,
        }
    }

    /// Who decided, and against whom. A caller without identity is its address.
    fn group(&self) -> GroupKey<'a> {
        let caller = self.source_principal.unwrap_or(self.source_ip);
        (self.decision, self.reason, self.policy, self.rule, caller, self.destination)
    }
}

type GroupKey<'a> = (&'a str, &'a str, Option<&'a str>, Option<u32>, &'a str, &'a str);

/// The request, or the operation at a broker.
type AskedFor<'a> = (Option<(&'a str, &'a str, &'a str)>, Option<SeenMessage<'a>>);

/// A group while it is collected: its places among the groups, and of its requests among its examples.
struct Group<'a> {
    latest: RefusedTraffic<'a>,
    count: usize,
    first: u64,
    requests: Vec<(RefusedTraffic<'a>, usize)>,
    by_request: HashMap<AskedFor<'a>, usize>,
}

impl<'a> Group<'a> {
    fn of(latest: RefusedTraffic<'a>) -> Self {
        let first = latest.time;
        Self { latest, count: 0, first, requests: Vec::new(), by_request: HashMap::new() }
    }

    fn add(&mut self, seen: RefusedTraffic<'a>) {
        self.count += 1;
        self.first = self.first.min(seen.time);
        let request = seen.request.map(|request| (request.method, request.host, request.path));
        let next = self.requests.len();
        let asked = (request, seen.message.clone());
        let place = *self.by_request.entry(asked).or_insert(next);
        match self.requests.get_mut(place) {
            Some((_, count)) => *count += 1,
            None => self.requests.push((seen, 1)),
        }
    }

    fn shown(self) -> DenialGroup {
        let Self { latest, count, first, requests, .. } = self;
        let left_out = requests.len().saturating_sub(EXAMPLES);
        let examples = requests.into_iter().take(EXAMPLES);
        let shown = examples.map(|(seen, count)| DenialExample::of(&seen, count)).collect();
        DenialGroup {
            decision: latest.decision.to_owned(),
            reason: latest.reason.to_owned(),
            policy: latest.policy.map(shortened),
            rule: latest.rule,
            source_principal: latest.source_principal.map(shortened),
            source_ip: latest.source_ip.to_owned(),
            destination: latest.destination.to_owned(),
            pod: None,
            count,
            last: latest.time,
            first,
            examples: Listed { shown, left_out },
        }
    }
}

impl DenialExample {
    fn of(seen: &RefusedTraffic<'_>, count: usize) -> Self {
        let part = |of: for<'r> fn(SeenRequest<'r>) -> &'r str| {
            seen.request.map(|request| shortened(of(request)))
        };
        Self {
            method: part(|request| request.method),
            host: part(|request| request.host),
            path: part(|request| request.path),
            message: seen.message.as_ref().map(SeenMessage::in_words),
            count,
            last: seen.time,
            nearest: seen.nearest.map(|miss| NearestRule {
                policy: shortened(miss.policy),
                rule: miss.rule,
                but_for: shortened(miss.but_for),
            }),
            explain: explain_line(seen),
        }
    }
}

impl SeenMessage<'_> {
    /// `kafka subscribe payments (group ledger)`.
    fn in_words(&self) -> String {
        let mut words = format!("{} {}", self.protocol, self.operation);
        for (key, name) in &self.names {
            match *key {
                "topic" => words.extend([" ", name]),
                key => words.extend([" (", &key.replace('_', " "), " ", name, ")"]),
            }
        }
        if self.reply {
            words.push_str(" (an answer)");
        }
        shortened(&words)
    }
}

/// The groups of these refusals, which come the latest first; the groups are in that order, too.
#[must_use]
pub fn grouped<'a>(refusals: impl IntoIterator<Item = RefusedTraffic<'a>>) -> Listed<DenialGroup> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    let mut places = HashMap::new();
    for seen in refusals {
        let next = groups.len();
        let place = *places.entry(seen.group()).or_insert(next);
        if place == next {
            groups.push(Group::of(seen.clone()));
        }
        if let Some(group) = groups.get_mut(place) {
            group.add(seen);
        }
    }
    let left_out = groups.len().saturating_sub(DENIALS);
    let shown = groups.into_iter().take(DENIALS).map(Group::shown).collect();
    Listed { shown, left_out }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn seen<'a>(time: u64, caller: &'a str, path: &'a str) -> RefusedTraffic<'a> {
        RefusedTraffic {
            time,
            reason: "no_matching_allow",
            source_principal: Some(caller),
            request: Some(SeenRequest { method: "GET", host: "cart", path }),
            ..RefusedTraffic::of("10.0.0.7", "10.0.0.9:8080")
        }
    }

    #[test]
    fn one_caller_refused_by_one_rule_is_one_group() {
        let all = [
            seen(9, "td/reports", "/a"),
            seen(8, "td/web", "/a"),
            seen(7, "td/reports", "/b"),
            seen(6, "td/reports", "/a"),
            RefusedTraffic {
                policy: Some("shop/deny"),
                rule: Some(1),
                ..seen(5, "td/reports", "/a")
            },
        ];
        let groups = grouped(all).shown;
        let told: Vec<_> = groups
            .iter()
            .map(|g| (g.source_principal.as_deref().unwrap(), g.rule, g.count, g.last, g.first))
            .collect();
        let expect = [
            ("td/reports", None, 3, 9, 6),
            ("td/web", None, 1, 8, 8),
            ("td/reports", Some(1), 1, 5, 5),
        ];
        assert_eq!(told, expect);
        let examples: Vec<_> = groups[0].examples.shown.iter().map(|e| (e.count, e.last)).collect();
        assert_eq!(examples, [(2, 9), (1, 7)], "the latest first, each once");
    }

    #[test]
    fn operations_at_a_broker_are_told_in_words() {
        let message = |names: &[(&'static str, &'static str)], reply| RefusedTraffic {
            message: Some(SeenMessage {
                protocol: "kafka",
                operation: "subscribe",
                names: names.to_vec(),
                reply,
            }),
            ..RefusedTraffic::of("10.0.0.7", "10.0.0.9:9092")
        };
        let all = [
            message(&[("topic", "payments"), ("group", "ledger")], false),
            message(&[("topic", "payments"), ("group", "ledger")], false),
            message(&[("transactional_id", "a")], true),
        ];
        let groups = grouped(all).shown;
        let told: Vec<_> = groups[0]
            .examples
            .shown
            .iter()
            .map(|one| (one.message.as_deref(), one.count))
            .collect();
        let expect = [
            (Some("kafka subscribe payments (group ledger)"), 2),
            (Some("kafka subscribe (transactional id a) (an answer)"), 1),
        ];
        assert_eq!((groups.len(), &*told), (1, &expect[..]));
    }

    #[test]
    fn s48_the_page_stays_small_whoever_is_refused() {
        let callers: Vec<_> = (0..500).map(|n| format!("td/{n}")).collect();
        let paths: Vec<_> = (0..500).map(|n| format!("/{n}/{}", "x".repeat(60_000))).collect();
        let by_many = grouped(callers.iter().map(|caller| seen(1, caller, "/a")));
        assert_eq!((by_many.shown.len(), by_many.left_out), (DENIALS, 400));
        let of_many = grouped(paths.iter().map(|path| seen(1, "td/a", path)));
        let examples = &of_many.shown[0].examples;
        assert_eq!(
            (of_many.shown.len(), examples.shown.len(), examples.left_out),
            (1, EXAMPLES, 495)
        );
        let size = serde_json::to_string(&of_many).unwrap().len();
        assert!(size < 8192, "{size}");
    }
}
