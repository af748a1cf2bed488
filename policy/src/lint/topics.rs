//! Findings about TopicPolicies.

use std::sync::Arc;

use message_access::{MessageProtocol, Operation};

use super::callers::{self, KnownCallers};
use super::shadow::{MOST_RULES, alternatives_cover};
use super::{Finding, LintContext, Severity, unmatchable};
use crate::Resources;
use crate::pattern::PatternCoverage;
use crate::resources::{PolicyAction, TopicPolicy};
use crate::topic::{OperationSet, TopicClause, TopicRule};

/// A rule and where it stands.
#[derive(Clone, Copy)]
struct LocatedTopicRule<'r> {
    policy: &'r TopicPolicy,
    index: u32,
    rule: &'r TopicRule,
}

fn rules(resources: &Resources) -> impl Iterator<Item = LocatedTopicRule<'_>> {
    resources.topic_policies().iter().flat_map(|policy| {
        let rules = (0u32..).zip(policy.rules());
        rules.map(move |(index, rule)| LocatedTopicRule { policy, index, rule })
    })
}

/// Everything there is to say of them.
pub(super) fn all(
    resources: &Resources,
    context: &LintContext<'_>,
    known: &KnownCallers,
    findings: &mut Vec<Finding>,
) {
    ports_without_allow(resources, context, findings);
    policies_without_port(resources, context, findings);
    for at in rules(resources) {
        who_may(at, known, findings);
        what_is_open(at, findings);
    }
    shadowed(resources, findings);
}

impl LocatedTopicRule<'_> {
    fn finding(&self, code: &'static str, found: &str, fix: &str) -> Finding {
        let mark = self.rule.mark;
        Finding {
            severity: Severity::Warning,
            code,
            policy: Some(Arc::clone(self.policy.name())),
            rule: Some(self.index),
            place: Some(format!("{}:{}:{}", self.policy.file(), mark.line, mark.column)),
            found: found.to_owned(),
            fix: fix.to_owned(),
        }
    }
}

/// Ports of brokers where nothing is allowed at all.
fn ports_without_allow(
    resources: &Resources,
    context: &LintContext<'_>,
    findings: &mut Vec<Finding>,
) {
    let allows = |protocol: MessageProtocol| {
        resources.topic_policies().iter().any(|policy| {
            policy.protocol() == protocol
                && policy.action() == PolicyAction::Allow
                && policy.selects(context.workload, resources.root_namespace())
        })
    };
    for (port, protocol) in context.ports {
        let Some(spoken) = protocol.messages().filter(|spoken| !allows(*spoken)) else { continue };
        findings.push(Finding {
            severity: Severity::Warning,
            code: "broker_without_allow",
            policy: None,
            rule: None,
            place: None,
            found: format!(
                "port {port} is declared {}, and no TopicPolicy allows anything of it: every operation is refused",
                spoken.as_str()
            ),
            fix: "write an ALLOW TopicPolicy, or declare the port tcp".to_owned(),
        });
    }
}

/// Policies about the workload in a protocol that none of its ports is declared to speak.
fn policies_without_port(
    resources: &Resources,
    context: &LintContext<'_>,
    findings: &mut Vec<Finding>,
) {
    for policy in resources.topic_policies() {
        let protocol = policy.protocol();
        let declared = context.ports.values().any(|spoken| spoken.messages() == Some(protocol));
        let about = policy.selects(context.workload, resources.root_namespace());
        let Some(rule) = policy.rules().first().filter(|_| about && !declared) else { continue };
        let at = LocatedTopicRule { policy, index: 0, rule };
        let found = format!(
            "no port of the workload is declared {}: on an undeclared port nothing of it is asked",
            protocol.as_str()
        );
        let fix = "declare the port in the configuration, or by a Service (appProtocol)";
        findings.push(Finding { rule: None, ..at.finding("no_port_of_protocol", &found, fix) });
    }
}

/// Who is meant, as for other policies.
fn who_may(at: LocatedTopicRule<'_>, known: &KnownCallers, findings: &mut Vec<Finding>) {
    let from = &at.rule.from;
    if at.policy.action() == PolicyAction::Allow {
        if from.is_empty() || !from.iter().all(callers::names_caller) {
            findings.push(at.finding(
                "unauthenticated_allow",
                "no caller is named: any trusted workload may do this, and on a PERMISSIVE or DISABLE port anybody",
                "add `from` with the principals that need it",
            ));
        }
        for (wide, what) in from.iter().filter_map(callers::wildcard) {
            let found = format!("the caller `{wide}` is {what}");
            let fix = "name the principals that need it";
            findings.push(at.finding("wildcard_principal", &found, fix));
        }
    }
    if known.is_nobody(from) {
        let found = "no workload that a ServiceEntry knows is among its callers";
        let fix = "correct the name; fine for a workload that only calls and serves nothing";
        let finding = at.finding("unknown_caller", found, fix);
        findings.push(Finding { severity: Severity::Notice, ..finding });
    }
    if let Some(field) = unmatchable::void_source(from, at.policy.action() == PolicyAction::Allow) {
        let found = format!("what it names in {field} it takes away again: it never matches");
        let fix = "narrow the `not` field, or take the rule out";
        findings.push(at.finding("never_matches", &found, fix));
    }
}

/// What lets callers do more than most rules mean.
fn what_is_open(at: LocatedTopicRule<'_>, findings: &mut Vec<Finding>) {
    if at.policy.action() != PolicyAction::Allow {
        return;
    }
    let protocol = at.policy.protocol();
    let changes = [Operation::Publish, Operation::Create, Operation::Delete, Operation::Admin];
    let changes: OperationSet = changes.into_iter().collect();
    let of_all = |clause: &&TopicClause| {
        clause.operations.has_any(changes) && covers_topic(clause, all_topics(protocol))
    };
    let anybody = at.rule.from.is_empty() || at.rule.from.iter().any(is_anybody);
    if anybody && at.rule.to.iter().any(|clause| of_all(&clause)) {
        findings.push(at.finding(
            "topics_open_to_all",
            "everybody may write to every topic, or administer it",
            "name the topics, or the callers",
        ));
    }
    let takes_over = |clause: &TopicClause| clause.client_ids.iter().any(|ids| ids.covers("*"));
    if at.rule.to.iter().any(takes_over) {
        findings.push(at.finding(
            "takes_over_sessions",
            "it allows every client id: its callers may take over the sessions of all others",
            "name the client ids, or their beginning; a caller's own need no rule",
        ));
    }
    let reads_answers = |clause: &TopicClause| {
        clause.operations.has(Operation::Subscribe) && covers_topic(clause, "_INBOX.>")
    };
    if protocol == MessageProtocol::Nats && at.rule.to.iter().any(reads_answers) {
        findings.push(at.finding(
            "reads_answers",
            "it covers _INBOX.>: its callers may read the answers to everybody",
            "name the subjects beside the inboxes; a caller's own inbox needs no rule",
        ));
    }
}

fn is_anybody(source: &crate::rule::Source) -> bool {
    !callers::names_caller(source) || callers::wildcard(source).is_some()
}

fn covers_topic(clause: &TopicClause, topic: &str) -> bool {
    clause.topics.iter().any(|pattern| pattern.covers(topic))
}

/// The pattern of all topics.
fn all_topics(protocol: MessageProtocol) -> &'static str {
    match protocol {
        MessageProtocol::Nats => ">",
        MessageProtocol::Mqtt => "#",
        MessageProtocol::Kafka => "*",
    }
}

/// Rules that a wider one of the same effect covers, and ALLOW rules of whose names a DENY rule takes all.
fn shadowed(resources: &Resources, findings: &mut Vec<Finding>) {
    let all: Vec<_> = rules(resources).collect();
    if all.len() > MOST_RULES {
        return;
    }
    for (place, at) in all.iter().enumerate() {
        let others = all.iter().enumerate().filter(|(other, _)| *other != place);
        let by = others.filter(|(other, cover)| hides(cover, at, *other < place, resources));
        let by = by.map(|(_, cover)| cover);
        let deny_first =
            |cover: &&LocatedTopicRule<'_>| cover.policy.action() != PolicyAction::Deny;
        let Some(cover) = by.min_by_key(deny_first) else { continue };
        let name = format!("{} rule {}", cover.policy.name(), cover.index);
        let same = cover.policy.action() == at.policy.action();
        let (found, fix) = match same {
            true => (
                format!("{name} matches all that it matches: it has no effect"),
                "remove it, or narrow the other",
            ),
            false => {
                (format!("{name} denies all that it names"), "remove it, or narrow the DENY rule")
            }
        };
        findings.push(at.finding("shadowed_rule", &found, fix));
    }
}

fn hides(
    cover: &LocatedTopicRule<'_>,
    at: &LocatedTopicRule<'_>,
    is_earlier: bool,
    resources: &Resources,
) -> bool {
    let (own, other) = (cover.policy.action(), at.policy.action());
    if !cover.policy.scope_covers(at.policy, resources.root_namespace())
        || !alternatives_cover(&cover.rule.from, &at.rule.from)
    {
        return false;
    }
    match (own, other) {
        (PolicyAction::Deny, PolicyAction::Allow) => {
            let denied = |clause: &TopicClause| cover.rule.denies_all_of(clause);
            at.rule.to.iter().all(denied)
        }
        _ if own == other => {
            let equal = alternatives_cover(&at.rule.to, &cover.rule.to)
                && alternatives_cover(&at.rule.from, &cover.rule.from)
                && at.policy.scope_covers(cover.policy, resources.root_namespace());
            alternatives_cover(&cover.rule.to, &at.rule.to) && (is_earlier || !equal)
        }
        _ => false,
    }
}

impl TopicRule {
    /// Whether it fires on whatever the clause covers, as far as topics tell.
    fn denies_all_of(&self, allowed: &TopicClause) -> bool {
        let by = |clause: &TopicClause| {
            let topics_alone = !clause.topics.is_empty() && !clause.names_others();
            let covered =
                allowed.topics.iter().all(|topic| covers_topic(clause, &topic.to_string()));
            let about_topics = !allowed.topics.is_empty() && !allowed.names_others();
            clause.operations.has_all(allowed.operations)
                && allowed.client_ids.is_empty()
                && (!clause.names_anything() || (topics_alone && about_topics && covered))
        };
        self.to.is_empty() || self.to.iter().any(by)
    }
}

impl TopicClause {
    /// Whether it names things beside topics.
    fn names_others(&self) -> bool {
        let others = [&self.groups, &self.queues, &self.streams, &self.transactional_ids];
        self.reply || others.iter().any(|names| !names.is_empty())
    }
}

/// Of two clauses of one action.
impl PatternCoverage for TopicClause {
    fn covers(&self, other: &Self) -> bool {
        let topics = |topic: &message_access::TopicPattern| covers_topic(self, &topic.to_string());
        let names = [
            (&self.groups, &other.groups),
            (&self.queues, &other.queues),
            (&self.streams, &other.streams),
            (&self.client_ids, &other.client_ids),
            (&self.transactional_ids, &other.transactional_ids),
        ];
        let within = |(own, others): &(&Vec<_>, &Vec<_>)| {
            let by = |name: &message_access::NamePattern| {
                let name = name.to_string();
                own.iter().any(|own: &message_access::NamePattern| own.covers(&name))
            };
            others.iter().all(by) && (own.is_empty() == others.is_empty())
        };
        self.operations.has_all(other.operations)
            && self.topics.is_empty() == other.topics.is_empty()
            && other.topics.iter().all(topics)
            && names.iter().all(within)
            && self.reply == other.reply
    }
}
