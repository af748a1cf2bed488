//! TopicPolicy (`policy.postern.dev/v1alpha1`): which caller may publish, receive and administer what at a message broker.

mod clause;

use std::sync::Arc;

use message_access::MessageProtocol;

use super::authorization::{ACTIONS, PolicyAction};
use super::object::ResourceObject;
use super::rules;
use super::selector::{self, MatchLabels};
use crate::Workload;
use crate::rule::Source;
use crate::topic::{TopicRule, TopicRules};
use crate::yaml::{DiagnosticCode, YamlReader, YamlValue};

/// A TopicPolicy.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicPolicy {
    name: Arc<str>,
    namespace: Arc<str>,
    file: Arc<str>,
    selector: MatchLabels,
    protocol: MessageProtocol,
    action: PolicyAction,
    rules: TopicRules,
}

impl TopicPolicy {
    /// `namespace/name`.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The file it was read from, as messages call it.
    pub fn file(&self) -> &Arc<str> {
        &self.file
    }

    /// The protocol whose operations it is about.
    pub fn protocol(&self) -> MessageProtocol {
        self.protocol
    }

    /// What a matching rule does. What no `ALLOW` rule covers is refused, whether there are others or not.
    pub fn action(&self) -> PolicyAction {
        self.action
    }

    /// True when it is about the workload: in its namespace or the root one, and selected.
    pub fn selects(&self, workload: &Workload, root_namespace: &str) -> bool {
        let scope = *self.namespace == *workload.namespace || *self.namespace == *root_namespace;
        scope && self.selector.matches(&workload.labels)
    }

    pub(crate) fn rules(&self) -> &TopicRules {
        &self.rules
    }

    /// True when it is about every workload that `other` is about, as far as their text tells, in the same protocol.
    pub(crate) fn scope_covers(&self, other: &Self, root_namespace: &str) -> bool {
        let namespace = self.namespace == other.namespace || *self.namespace == *root_namespace;
        namespace && self.protocol == other.protocol && self.selector.covers(&other.selector)
    }
}

/// What is read of one policy before its clauses.
#[derive(Clone, Copy)]
struct RuleReading<'a> {
    protocol: MessageProtocol,
    action: PolicyAction,
    namespace: &'a str,
}

pub(super) fn read(reader: &mut YamlReader, object: &ResourceObject<'_>) -> Option<TopicPolicy> {
    let Some(spec) = object.spec else {
        reader.report(object.mark, "no `spec`", "a `spec` with `protocol` and `rules`", None);
        return None;
    };
    let mut map = reader.mapping(spec)?;
    let selector =
        map.take("selector").map_or(Some(MatchLabels::default()), |v| selector::read(reader, v));
    let protocols = MessageProtocol::ALL.map(|protocol| (protocol.as_str(), protocol));
    let protocol = map.require(reader, "protocol").and_then(|v| reader.choice(v, &protocols));
    let action =
        map.take("action").map_or(Some(PolicyAction::Allow), |v| reader.choice(v, ACTIONS));
    let written = map.take("rules");
    let (protocol, action) = match protocol.zip(action) {
        Some(both) => both,
        None => {
            map.finish(reader);
            return None;
        }
    };
    let reading = RuleReading { protocol, action, namespace: &object.namespace };
    let rules = written.map_or(Some(Vec::new()), |v| read_rules(reader, v, reading));
    refuse_without_effect(reader, action, written, spec);
    map.finish(reader);
    Some(TopicPolicy {
        name: object.full_name().into(),
        namespace: Arc::clone(&object.namespace),
        file: Arc::clone(reader.file()),
        selector: selector?,
        protocol,
        action,
        rules: rules?.into_iter().map(Arc::new).collect(),
    })
}

/// ALLOW without rules allows nothing, which is what holds without the policy: nobody writes either on purpose.
fn refuse_without_effect(
    reader: &mut YamlReader,
    action: PolicyAction,
    rules: Option<YamlValue<'_>>,
    spec: YamlValue<'_>,
) {
    if rules.is_some_and(|rules| !rules.is_empty_list()) {
        return;
    }
    let fix = match action {
        PolicyAction::Allow => "take the policy out: what nothing allows is refused anyway",
        PolicyAction::Deny => "write rules: [{}] to refuse everything, or take the policy out",
        PolicyAction::Audit => "write rules: [{}] to note everything, or take the policy out",
    };
    let mark = rules.map_or(spec.node.mark, |rules| rules.node.mark);
    let (code, found) = (DiagnosticCode::NoEffect, "a TopicPolicy without rules");
    reader.report_with_code(code, mark, found, "at least one rule", Some(fix.to_owned()));
}

fn read_rules(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    reading: RuleReading<'_>,
) -> Option<Vec<TopicRule>> {
    let items = reader.list(value)?;
    if items.len() > rules::MAX_RULES {
        let (found, most) = (format!("{} rules", items.len()), rules::MAX_RULES);
        let fix = Some("split the policy".to_owned());
        reader.report(value.node.mark, found, format!("at most {most}"), fix);
        return None;
    }
    Some(items.into_iter().filter_map(|item| read_rule(reader, item, reading)).collect())
}

fn read_rule(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    reading: RuleReading<'_>,
) -> Option<TopicRule> {
    let mut map = reader.mapping(value)?;
    let namespace = reading.namespace;
    let from = rules::parts(reader, map.take("from"), |reader, v| {
        let source = rules::read_source(reader, v, namespace)?;
        refuse_facts_of_requests(reader, v, &source);
        Some(source)
    });
    let to = match reading.action {
        PolicyAction::Allow => map.require(reader, "to"),
        PolicyAction::Deny | PolicyAction::Audit => map.take("to"),
    };
    let to = rules::parts(reader, to, |reader, v| clause::read(reader, v, reading));
    if let Some(when) = map.take_unsupported("when") {
        let fix = "name callers in `from`, and what they ask for in `to`".to_owned();
        reader.report_with_code(
            DiagnosticCode::Unsupported,
            when.node.mark,
            "`when` in a rule about messages",
            "`from` and `to`",
            Some(fix),
        );
    }
    map.finish(reader);
    Some(TopicRule { mark: value.node.mark, from: from?, to: to? })
}

/// A message comes on a connection: there is no token beside it, and no trusted hop that tells of another client.
fn refuse_facts_of_requests(reader: &mut YamlReader, value: YamlValue<'_>, source: &Source) {
    let mut refuse = |key: &str, fix: &str| {
        let found = format!("`{key}` of a source of messages");
        let expected = "what is known of a connection";
        reader.report_with_code(
            DiagnosticCode::Unsupported,
            value.node.mark,
            found,
            expected,
            Some(fix.to_owned()),
        );
    };
    if !source.request_principals.is_empty() {
        refuse("requestPrincipals", "write `principals`: the workload that the certificate names");
    }
    if !source.remote_ip_blocks.is_empty() {
        refuse("remoteIpBlocks", "write `ipBlocks`: the address of the connection");
    }
}

#[cfg(test)]
mod tests;
