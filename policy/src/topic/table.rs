//! The TopicPolicies that concern one workload, and the decision.

use std::sync::Arc;

use identity::TrustDomain;
use message_access::{AccessRequest, MessageProtocol, Operation};

use super::caller_index::{CallerIndex, TopicEntry};
use super::{MessageVerdict, TopicRule, nearest_miss, own_names};
use crate::evaluate::{DoubtBias, HttpKnowledge, RemoteKnowledge, RuleFacts};
use crate::resources::{PolicyAction, TopicPolicy};
use crate::{ConnectionFacts, Decider, NearestMiss, Resources, Workload};

/// What is allowed at the brokers of one workload.
#[derive(Debug, Default)]
pub struct TopicTable {
    nats: ProtocolRules,
    mqtt: ProtocolRules,
    kafka: ProtocolRules,
    policies: Vec<Arc<str>>,
    trust_domain: Option<TrustDomain>,
}

/// The rules about one protocol.
#[derive(Debug, Default)]
struct ProtocolRules {
    deny: CallerIndex,
    allow: CallerIndex,
    audit: CallerIndex,
}

/// A caller, as the port's mTLS mode lets it count.
#[derive(Clone, Copy)]
pub(crate) struct MessageCaller<'a> {
    pub(crate) connection: &'a ConnectionFacts<'a>,
    pub(crate) peer: Option<&'a identity::SpiffeId>,
}

impl<'a> MessageCaller<'a> {
    fn facts(self, bias: DoubtBias) -> RuleFacts<'a> {
        let Self { connection, peer } = self;
        // Rules about messages ask for nothing of HTTP; the reader refuses it.
        let http = HttpKnowledge::Assume(bias == DoubtBias::Deny);
        RuleFacts { connection, peer, http, remote: RemoteKnowledge::Known, bias }
    }
}

/// What is implied by any of them (Describe).
const IMPLYING_DESCRIBE: [Operation; 5] = [
    Operation::Publish,
    Operation::Subscribe,
    Operation::Create,
    Operation::Delete,
    Operation::Admin,
];

impl TopicTable {
    /// Picks what concerns `workload`. `trust_domain` is its own: callers of another have no names of their own.
    pub(crate) fn build(
        resources: &Resources,
        workload: &Workload,
        trust_domain: Option<&TrustDomain>,
    ) -> Self {
        let mut table = Self { trust_domain: trust_domain.cloned(), ..Self::default() };
        let selected = resources.topic_policies().iter();
        for policy in selected.filter(|policy| policy.selects(workload, resources.root_namespace()))
        {
            table.push(policy);
        }
        table
    }

    fn push(&mut self, policy: &TopicPolicy) {
        let rules = match policy.protocol() {
            MessageProtocol::Nats => &mut self.nats,
            MessageProtocol::Mqtt => &mut self.mqtt,
            MessageProtocol::Kafka => &mut self.kafka,
        };
        let index = match policy.action() {
            PolicyAction::Allow => &mut rules.allow,
            PolicyAction::Deny => &mut rules.deny,
            PolicyAction::Audit => &mut rules.audit,
        };
        for (at, rule) in (0u32..).zip(policy.rules()) {
            index.push(Decider::new(Arc::clone(policy.name()), at), rule);
        }
        self.policies.push(Arc::clone(policy.name()));
    }

    /// The policies that concern the workload, `namespace/name`, in order; bounds the metric label.
    #[must_use]
    pub fn policies(&self) -> &[Arc<str>] {
        &self.policies
    }

    /// Whether no policy concerns the workload.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }

    /// Whether a rule allows anything in the protocol; without one every operation is refused.
    #[must_use]
    pub fn allows_anything(&self, protocol: MessageProtocol) -> bool {
        !self.rules(protocol).allow.is_empty()
    }

    fn rules(&self, protocol: MessageProtocol) -> &ProtocolRules {
        match protocol {
            MessageProtocol::Nats => &self.nats,
            MessageProtocol::Mqtt => &self.mqtt,
            MessageProtocol::Kafka => &self.kafka,
        }
    }

    /// Deny, then allow; nothing is allowed by default. The order of policies never matters.
    pub(crate) fn decide(
        &self,
        caller: MessageCaller<'_>,
        protocol: MessageProtocol,
        request: &AccessRequest<'_>,
    ) -> MessageVerdict<'_> {
        if request.operation == Operation::Describe {
            return self.describe(caller, protocol, request);
        }
        let rules = self.rules(protocol);
        let denying = caller.facts(DoubtBias::Deny);
        let touched = |rule: &TopicRule| rule.touches(request);
        let verdict = match rules.deny.first(&denying, touched) {
            Some(entry) => MessageVerdict::denied(request, Some(&entry.decider)),
            None => match self.allowing(caller, protocol, request) {
                Some(entry) => MessageVerdict::allowed(&entry.decider),
                None => MessageVerdict::denied(request, None),
            },
        };
        let audited = rules.audit.first(&denying, touched);
        verdict.audited(audited.map(|entry| &entry.decider))
    }

    fn allowing(
        &self,
        caller: MessageCaller<'_>,
        protocol: MessageProtocol,
        request: &AccessRequest<'_>,
    ) -> Option<&TopicEntry> {
        let allow = &self.rules(protocol).allow;
        let facts = caller.facts(DoubtBias::Allow);
        allow.first(&facts, |rule| rule.covers(request)).or_else(|| {
            let own = self.trust_domain.as_ref();
            let peer = caller.peer?;
            let is_own = own_names::are_asked(peer, own, protocol, request);
            is_own.then(|| allow.first(&facts, |_| true)).flatten()
        })
    }

    /// Who may do anything with a thing may know of it. It is never audited: what the caller then does is.
    fn describe(
        &self,
        caller: MessageCaller<'_>,
        protocol: MessageProtocol,
        request: &AccessRequest<'_>,
    ) -> MessageVerdict<'_> {
        let mut refused = None;
        for operation in IMPLYING_DESCRIBE {
            let implied = AccessRequest { operation, ..*request };
            let verdict = self.decide(caller, protocol, &implied).audited(None);
            if verdict.is_allowed() {
                return verdict;
            }
            refused = refused.or(verdict.decider());
        }
        MessageVerdict::denied(request, refused)
    }

    /// After a refusal that no rule made: the rule that came nearest to allowing it. At most `most` rules are looked at.
    pub(crate) fn nearest_miss(
        &self,
        caller: MessageCaller<'_>,
        protocol: MessageProtocol,
        request: &AccessRequest<'_>,
        most: usize,
    ) -> Option<NearestMiss> {
        let facts = caller.facts(DoubtBias::Allow);
        let likely = self.rules(protocol).allow.likely_first(&facts).take(most);
        nearest_miss::among(likely, &facts, request)
    }
}

impl TopicRule {
    /// Whether a clause allows all that is asked.
    fn covers(&self, request: &AccessRequest<'_>) -> bool {
        self.to.iter().any(|clause| clause.covers(request))
    }

    /// Whether a clause is about any of what is asked; a rule without clauses is about everything.
    fn touches(&self, request: &AccessRequest<'_>) -> bool {
        self.to.is_empty() || self.to.iter().any(|clause| clause.touches(request))
    }
}
