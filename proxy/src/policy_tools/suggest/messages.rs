//! From recorded operations at a message broker to the smallest TopicPolicy that allows them.

mod clauses;
mod folding;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use data_plane::control::config::Config;
use message_access::{MessageProtocol, NamePattern, Operation, TopicPattern};
use policy::{Resources, Snapshot, SourceFile};

use super::{SuggestArgs, yaml};
use crate::explain::{InputLine, explain_operation};
use crate::policy_tools::recorded::{
    RecordedDecision, RecordedMessage, RecordedTraffic, TrafficRecording,
};
use clauses::SuggestedClause;

/// What each caller is to be allowed.
type Rules = BTreeMap<String, Vec<SuggestedClause>>;

/// A policy for each protocol that operations were recorded of, with a remark for each kind that is left out.
pub(super) fn suggest(
    config: &Config,
    recording: &TrafficRecording,
    args: &SuggestArgs,
    remarks: &mut Vec<String>,
) -> Vec<String> {
    let kept = chosen(recording, args.include_denied, remarks);
    let mut by_protocol: BTreeMap<MessageProtocol, Vec<&RecordedTraffic>> = BTreeMap::new();
    for (recorded, message) in kept {
        by_protocol.entry(message.protocol).or_default().push(recorded);
    }
    if args.dry_run && !by_protocol.is_empty() {
        remarks.push("a TopicPolicy has no dry run: it is in force once it is applied".to_owned());
    }
    let alone = by_protocol.len() == 1;
    let base = args.name.as_deref().unwrap_or(&config.workload.service_account);
    let policies = by_protocol.into_iter().map(|(protocol, seen)| {
        let name = match alone {
            true => format!("{base}-topics"),
            false => format!("{base}-topics-{}", protocol.as_str()),
        };
        suggest_for(
            &BrokerSuggestion { config, protocol, name, distinct: args.distinct },
            &seen,
            remarks,
        )
    });
    policies.collect()
}

/// What a policy is suggested for.
struct BrokerSuggestion<'a> {
    config: &'a Config,
    protocol: MessageProtocol,
    name: String,
    distinct: usize,
}

/// The operations that the policies are to allow.
fn chosen<'r>(
    recording: &'r TrafficRecording,
    include_denied: bool,
    remarks: &mut Vec<String>,
) -> Vec<(&'r RecordedTraffic, &'r RecordedMessage)> {
    let (mut denied, mut plaintext, mut asked, mut cut, mut odd) = (0, 0, 0, 0, 0);
    let mut kept = Vec::new();
    for recorded in &recording.seen {
        let Some(message) = &recorded.message else { continue };
        if recorded.decision == Some(RecordedDecision::Deny) && !include_denied {
            denied += 1;
        } else if recorded.principal.is_none() {
            plaintext += 1;
        } else if message.operation == Operation::Describe {
            asked += 1;
        } else if is_cut(message) {
            cut += 1;
        } else if !can_be_named(message) {
            odd += 1;
        } else {
            kept.push((recorded, message));
        }
    }
    let mut remark = |count: usize, what: &str| {
        if count > 0 {
            remarks.push(format!("left out: {count} operations {what}"));
        }
    };
    remark(denied, "that policy refused (--include-denied takes them)");
    remark(plaintext, "of callers without identity: a rule for them would let anybody in");
    remark(
        asked,
        "that only ask whether a topic exists: allow publish or subscribe, and what follows is recorded",
    );
    remark(cut, "on names that are longer than the log writes");
    remark(odd, "on what no pattern can name");
    kept
}

/// From so many bytes a name may be the beginning of one: the log cuts it after 512, at a character's end.
const CUT: usize = 512 - 3;

/// Whether a name may go on where the record ends.
fn is_cut(message: &RecordedMessage) -> bool {
    let RecordedMessage { topic, group, queue, stream, client_id, transactional_id, .. } = message;
    let names = [topic, group, queue, stream, client_id, transactional_id];
    names.into_iter().flatten().any(|name| name.len() >= CUT)
}

/// Whether a clause can be written that covers this and nothing else.
fn can_be_named(message: &RecordedMessage) -> bool {
    let RecordedMessage { protocol, operation, topic, group, queue, stream, .. } = message;
    let topic_named = topic.as_deref().is_none_or(|topic| {
        let pattern = TopicPattern::parse(*protocol, topic).is_ok();
        let is_name = !topic.ends_with('*') || topic == "*";
        message.reply || (pattern && (*protocol != MessageProtocol::Kafka || is_name))
    });
    let others = [group, queue, stream, &message.client_id, &message.transactional_id];
    let mut names = others.into_iter().flatten();
    let named = names.all(|name| !name.ends_with('*') && NamePattern::parse(name).is_ok());
    let anything = topic.is_some() || others.into_iter().any(Option::is_some);
    topic_named && named && (anything || matches!(operation, Operation::Admin | Operation::Cluster))
}

fn suggest_for(
    suggestion: &BrokerSuggestion<'_>,
    seen: &[&RecordedTraffic],
    remarks: &mut Vec<String>,
) -> String {
    // What belongs to a caller anyway is found by asking, once there are rules about the caller.
    let (own, rest): (Vec<_>, Vec<_>) = seen.iter().copied().partition(|seen| may_be_own(seen));
    let first = written(suggestion, &rules(suggestion, &rest));
    let without = suggestion.snapshot(&first);
    let not_own = own.into_iter().filter(|seen| !allows(without.as_ref().ok(), seen));
    let needed: Vec<_> = rest.into_iter().chain(not_own).collect();
    let body = written(suggestion, &rules(suggestion, &needed));
    let snapshot = suggestion.snapshot(&body);
    if let Err(mistakes) = &snapshot {
        remarks.push(format!("the suggestion cannot be read: {mistakes}"));
    }
    let allowed = seen.iter().filter(|seen| allows(snapshot.as_ref().ok(), seen)).count();
    let count = seen.len();
    format!(
        "# Suggested by `postern-proxy policy suggest` from {count} recorded operations.\n\
         # Replayed on it: {allowed} of {count} allowed. Read every line before it is enforced.\n{body}"
    )
}

/// A session's client id, or a subscription to an inbox.
fn may_be_own(seen: &RecordedTraffic) -> bool {
    seen.message.as_ref().is_some_and(|message| match message.operation {
        Operation::Connect => true,
        Operation::Subscribe => {
            message.topic.as_deref().is_some_and(|topic| topic.starts_with("_INBOX."))
        }
        _ => false,
    })
}

fn rules(suggestion: &BrokerSuggestion<'_>, seen: &[&RecordedTraffic]) -> Rules {
    let mut callers: BTreeMap<String, BTreeSet<&RecordedMessage>> = BTreeMap::new();
    for recorded in seen {
        let Some((caller, message)) = recorded.principal.as_ref().zip(recorded.message.as_ref())
        else {
            continue;
        };
        callers.entry(caller.without_scheme().to_owned()).or_default().insert(message);
    }
    let of = |messages: BTreeSet<&RecordedMessage>| {
        clauses::of(suggestion.protocol, &messages, suggestion.distinct)
    };
    callers.into_iter().map(|(caller, messages)| (caller, of(messages))).collect()
}

impl BrokerSuggestion<'_> {
    fn snapshot(&self, policy: &str) -> Result<Snapshot, policy::Diagnostics> {
        let config = self.config;
        let file = SourceFile { name: "suggestion".into(), bytes: policy.as_bytes().to_vec() };
        let resources = Resources::parse(&[file], &config.root_namespace)?;
        Ok(Snapshot::build(&resources, &config.workload, &config.defaults))
    }
}

fn allows(snapshot: Option<&Snapshot>, seen: &RecordedTraffic) -> bool {
    let answer =
        snapshot.and_then(|snapshot| explain_operation(snapshot, &InputLine::recorded(seen)));
    answer.is_some_and(|answer| answer.decision == "allow")
}

/// The policy as people write it; callers that did the same share a rule.
fn written(suggestion: &BrokerSuggestion<'_>, rules: &Rules) -> String {
    let BrokerSuggestion { config, protocol, name, .. } = suggestion;
    let mut shared: BTreeMap<&[SuggestedClause], BTreeSet<String>> = BTreeMap::new();
    for (caller, clauses) in rules.iter().filter(|(_, clauses)| !clauses.is_empty()) {
        shared.entry(clauses).or_default().insert(caller.clone());
    }
    let mut shared: Vec<_> =
        shared.into_iter().map(|(clauses, callers)| (callers, clauses)).collect();
    shared.sort();
    let mut out =
        "apiVersion: policy.postern.dev/v1alpha1\nkind: TopicPolicy\nmetadata:\n".to_owned();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "  name: {}", yaml::scalar(name));
    let _ = writeln!(out, "  namespace: {}", yaml::scalar(&config.workload.namespace));
    out.push_str("spec:\n");
    out.push_str(&yaml::selector(&config.workload));
    let _ = writeln!(out, "  protocol: {}\n  action: ALLOW\n  rules:", protocol.as_str());
    for (callers, clauses) in shared {
        let callers = yaml::list(&callers);
        let _ =
            writeln!(out, "    - from:\n        - source: {{principals: {callers}}}\n      to:");
        for clause in clauses {
            let _ = writeln!(out, "        - operation: {}", clause.written());
        }
    }
    out
}

#[cfg(test)]
mod tests;
