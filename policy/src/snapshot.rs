//! What concerns one workload, compiled for decisions.

mod http_rules;
mod nearest_miss;
mod port_modes;
mod rule_set;
mod tokens;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use identity::{SpiffeId, TrustDomain};

use crate::evaluate::{DoubtBias, HttpKnowledge, RemoteKnowledge, RuleFacts};
use crate::header_names::HeaderNames;
use crate::resources::{AuthorizationPolicy, PolicyAction};
use crate::topic::{MessageCaller, MessageVerdict, TopicTable};
use crate::{
    ApiKeyTable, ConnectionFacts, ConnectionVerdict, Decider, Denial, DenyReason, HttpFacts,
    Introspections, Permit, PermitReason, Resources, RevokedTokens, SignInTable, ThreatTable,
    TokenExchangeTable, TokenRules,
};
use http_rules::HttpRules;
use message_access::{AccessRequest, MessageProtocol};
pub use nearest_miss::NearestMiss;
pub(crate) use nearest_miss::{SourceMiss, shortened, source_miss};
use port_modes::PortModes;
use rule_set::RuleSet;
pub(crate) use rule_set::{CallerBucket, caller_buckets};

/// The workload a snapshot is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// Its namespace.
    pub namespace: String,
    /// Its service account.
    pub service_account: String,
    /// Its labels, which selectors match.
    pub labels: BTreeMap<String, String>,
}

/// What holds where no resource says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyDefaults {
    /// The verdict where no `ALLOW` policy selects the workload. Default: deny.
    pub authorization: DefaultAuthorization,
    /// The mTLS mode where no PeerAuthentication names one. Default: strict.
    pub mtls: MtlsMode,
    /// mTLS modes the proxy's own configuration sets for an app port: they win over a PeerAuthentication of workload,
    /// namespace or mesh, and yield to one's `portLevelMtls`. Default: none.
    pub port_mtls: BTreeMap<u16, MtlsMode>,
    /// What happens to outbound connections to no known service. Default: deny.
    pub egress: DefaultEgress,
    /// The workload's own trust domain, whose callers have names of their own at a broker. Default: not known, and nobody
    /// has any.
    pub trust_domain: Option<TrustDomain>,
    /// Whether clients are strangers, as at a gateway: its listeners say how they come, and no PeerAuthentication does.
    /// Default: false.
    pub edge: bool,
}

impl Default for PolicyDefaults {
    fn default() -> Self {
        Self {
            authorization: DefaultAuthorization::Deny,
            mtls: MtlsMode::Strict,
            port_mtls: BTreeMap::new(),
            egress: DefaultEgress::Deny,
            trust_domain: None,
            edge: false,
        }
    }
}

/// The verdict where no `ALLOW` policy selects the workload. `DENY` policies hold under each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DefaultAuthorization {
    /// Refuse.
    Deny,
    /// Allow, and say so ([`PermitReason::DefaultAudit`]).
    Audit,
    /// Allow.
    Allow,
}

/// What happens to outbound connections to no known service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DefaultEgress {
    /// Refuse.
    Deny,
    /// Pass through.
    Allow,
}

/// Which connections a port takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MtlsMode {
    /// Mutual TLS only.
    Strict,
    /// Mutual TLS, and plaintext without a principal.
    Permissive,
    /// Bytes are passed as they come, without a principal.
    Disable,
}

/// What authorizes: the rules, modes and tokens of one workload. Immutable; share it in an `Arc` and swap it whole. Where its
/// destinations lead is told by a [`ServiceTable`](crate::ServiceTable), which changes by itself.
#[derive(Debug)]
pub struct Snapshot {
    enforced: EnforcedPolicies,
    /// Dry-run policies; judged beside the enforced ones, for [`Snapshot::shadow`] only.
    dry_run: EnforcedPolicies,
    audit: RuleSet,
    default_authorization: DefaultAuthorization,
    egress: DefaultEgress,
    modes: PortModes,
    http_rules: HttpRules,
    header_names: HeaderNames,
    tokens: Arc<TokenRules>,
    token_exchange: Arc<TokenExchangeTable>,
    api_keys: Arc<ApiKeyTable>,
    sign_ins: Arc<SignInTable>,
    introspections: Arc<Introspections>,
    threats: Arc<ThreatTable>,
    revoked_tokens: Arc<RevokedTokens>,
    topics: TopicTable,
    policies: Vec<Arc<str>>,
}

/// The policies that decide.
#[derive(Debug)]
struct EnforcedPolicies {
    deny: RuleSet,
    allow: RuleSet,
    /// True when any `ALLOW` policy selects the workload, even one without rules: then what none allows is refused.
    has_allow: bool,
}

impl EnforcedPolicies {
    fn new(policies: &[&Arc<AuthorizationPolicy>], dry_run: bool) -> Self {
        let of = |action| {
            policies
                .iter()
                .copied()
                .filter(move |policy| policy.action() == action && policy.is_dry_run() == dry_run)
        };
        Self {
            deny: RuleSet::new(of(PolicyAction::Deny)),
            allow: RuleSet::new(of(PolicyAction::Allow)),
            has_allow: of(PolicyAction::Allow).next().is_some(),
        }
    }
}

impl Snapshot {
    /// Picks what concerns `workload` out of `resources` and compiles it.
    pub fn build(resources: &Resources, workload: &Workload, defaults: &PolicyDefaults) -> Self {
        let selected = resources.authorization_policies().iter();
        let policies: Vec<_> =
            selected.filter(|policy| policy.selects(workload, resources)).collect();
        let audit =
            policies.iter().copied().filter(|policy| policy.action() == PolicyAction::Audit);
        let enforced = EnforcedPolicies::new(&policies, false);
        let audit = RuleSet::new(audit);
        let http_rules = HttpRules::new([&enforced.deny, &enforced.allow]);
        let tokens = Arc::new(tokens::of(resources, workload));
        let api_keys = Arc::new(ApiKeyTable::build(resources, workload));
        let sign_ins = Arc::new(match defaults.edge {
            true => SignInTable::build(resources),
            false => SignInTable::default(),
        });
        let introspections = Arc::new(Introspections::build(resources, workload));
        let judged = http_rules.judged_headers().iter().map(|name| &**name);
        Self {
            header_names: HeaderNames::new(
                judged
                    .chain(tokens.header_names())
                    .chain(api_keys.header_names())
                    .chain(sign_ins.made_headers())
                    .chain(introspections.header_names()),
            ),
            http_rules,
            enforced,
            dry_run: EnforcedPolicies::new(&policies, true),
            audit,
            default_authorization: defaults.authorization,
            egress: defaults.egress,
            modes: PortModes::new(resources, workload, defaults),
            tokens,
            token_exchange: Arc::new(TokenExchangeTable::build(resources, workload)),
            api_keys,
            sign_ins,
            introspections,
            threats: Arc::new(ThreatTable::build(resources, workload, defaults.edge)),
            revoked_tokens: Arc::new(RevokedTokens::build(resources, workload)),
            topics: TopicTable::build(resources, workload, defaults.trust_domain.as_ref()),
            policies: policies.iter().map(|policy| Arc::clone(policy.name())).collect(),
        }
    }

    /// Keeps the token rules of before where these say the same: verdicts about tokens live as long as their rules.
    pub fn keep_tokens(&mut self, before: &Arc<TokenRules>) {
        if *self.tokens == **before {
            self.tokens = Arc::clone(before);
        }
    }

    /// The decision that needs no request: `Deny` only when nothing the connection could carry would be allowed, `Allow`
    /// only when everything it could carry would be.
    pub fn connection_verdict(&self, connection: &ConnectionFacts<'_>) -> ConnectionVerdict {
        match self.connection_decision(connection) {
            Ok(Some(permit)) => ConnectionVerdict::Allow(permit),
            Ok(None) => ConnectionVerdict::Undecided,
            Err(denial) => ConnectionVerdict::Deny(denial),
        }
    }

    /// `Ok(None)`: it depends on what the connection carries.
    fn connection_decision(
        &self,
        connection: &ConnectionFacts<'_>,
    ) -> Result<Option<Permit>, Denial> {
        let peer = self.peer(connection)?;
        let facts = |bias, holds| {
            let (http, remote) = (HttpKnowledge::Assume(holds), RemoteKnowledge::Assume(holds));
            RuleFacts { connection, peer, http, remote, bias }
        };
        let EnforcedPolicies { deny, allow, has_allow } = &self.enforced;
        // Holds even if every field fails that a request decides: it denies whatever comes.
        if let Some(entry) = deny.first_match(&facts(DoubtBias::Deny, false), |_| true) {
            return Err(Denial::by_rule(entry.decider.clone()));
        }
        let may_deny = deny.first_match(&facts(DoubtBias::Deny, true), |_| true).is_some();
        let permit = if *has_allow {
            if allow.first_match(&facts(DoubtBias::Allow, true), |_| true).is_none() {
                return Err(Denial::because(DenyReason::NoMatchingAllow));
            }
            let certain =
                allow.first_match(&facts(DoubtBias::Allow, false), |entry| !entry.names_http);
            certain.map(|entry| Permit::by_rule(entry.decider.clone()))
        } else {
            Some(self.default_verdict()?)
        };
        Ok(permit.filter(|_| !may_deny))
    }

    /// The decision for a connection that carries opaque bytes, with TCP semantics: an `ALLOW` rule that names an HTTP field
    /// matches nothing, a `DENY` rule is judged without its HTTP fields.
    ///
    /// # Errors
    /// The refusal.
    pub fn authorize_opaque(&self, connection: &ConnectionFacts<'_>) -> Result<Permit, Denial> {
        self.decide(connection, None, false)
    }

    /// The refusal of bytes that are no HTTP on a port that must carry it: by a `DENY` rule that would refuse them anyway,
    /// else because the protocol could not be told.
    pub fn refuse_undecided(&self, connection: &ConnectionFacts<'_>) -> Denial {
        let peer = match self.peer(connection) {
            Ok(peer) => peer,
            Err(denial) => return denial,
        };
        let (http, remote) = (HttpKnowledge::Assume(true), RemoteKnowledge::Known);
        let facts = RuleFacts { connection, peer, http, remote, bias: DoubtBias::Deny };
        match self.enforced.deny.first_match(&facts, |_| true) {
            Some(entry) => Denial::by_rule(entry.decider.clone()),
            None => Denial::because(DenyReason::ProtocolUndecided),
        }
    }

    /// Whether the port's mTLS mode takes the connection at all; plaintext on `STRICT` is refused before a byte is read.
    ///
    /// # Errors
    /// The refusal, [`DenyReason::PeerNotAuthenticated`].
    pub fn check_mtls_mode(&self, connection: &ConnectionFacts<'_>) -> Result<(), Denial> {
        self.peer(connection).map(drop)
    }

    /// After a refusal because no `ALLOW` rule matched: the rule that came nearest to it, and by what it failed.
    ///
    /// `most` bounds how many rules are looked at: first those that name the caller, the path or the port.
    pub fn nearest_miss(
        &self,
        connection: &ConnectionFacts<'_>,
        request: Option<&HttpFacts<'_>>,
        denial: &Denial,
        most: usize,
    ) -> Option<NearestMiss> {
        if denial.reason() != DenyReason::NoMatchingAllow {
            return None;
        }
        let peer = self.peer(connection).ok()?;
        let http = request.map_or(HttpKnowledge::Assume(false), HttpKnowledge::Request);
        let facts = RuleFacts {
            connection,
            peer,
            http,
            remote: RemoteKnowledge::Known,
            bias: DoubtBias::Allow,
        };
        nearest_miss::among(self.enforced.allow.likely_first(&facts).take(most), &facts)
    }

    /// The decision for one operation that a client asks of a message broker. A connection without the identity that its
    /// port requires may do nothing.
    pub fn authorize_message(
        &self,
        connection: &ConnectionFacts<'_>,
        protocol: MessageProtocol,
        request: &AccessRequest<'_>,
    ) -> MessageVerdict<'_> {
        match self.peer(connection) {
            Ok(peer) => {
                let caller = MessageCaller { connection, peer };
                self.topics.decide(caller, protocol, request)
            }
            Err(_) => MessageVerdict::denied(request, None),
        }
    }

    /// After a refusal that no `DENY` rule made: the rule that came nearest to allowing the operation, and by what it
    /// failed. `most` bounds how many rules are looked at.
    pub fn nearest_message_miss(
        &self,
        connection: &ConnectionFacts<'_>,
        protocol: MessageProtocol,
        request: &AccessRequest<'_>,
        most: usize,
    ) -> Option<NearestMiss> {
        let caller = MessageCaller { connection, peer: self.peer(connection).ok()? };
        self.topics.nearest_miss(caller, protocol, request, most)
    }

    /// The decision for one request.
    ///
    /// # Errors
    /// The refusal.
    pub fn authorize_request(
        &self,
        connection: &ConnectionFacts<'_>,
        request: &HttpFacts<'_>,
    ) -> Result<Permit, Denial> {
        self.decide(connection, Some(request), false)
    }

    /// The verdict there would be with dry-run policies enforced; `None` when there are none. `request` is `None` for an opaque connection.
    pub fn shadow(
        &self,
        connection: &ConnectionFacts<'_>,
        request: Option<&HttpFacts<'_>>,
    ) -> Option<Result<Permit, Denial>> {
        let nothing = self.dry_run.deny.entries().is_empty() && !self.dry_run.has_allow;
        (!nothing).then(|| self.decide(connection, request, true))
    }

    /// The first `AUDIT` rule that matches; never decides. `request` is `None` for an opaque connection.
    pub fn audited_by(
        &self,
        connection: &ConnectionFacts<'_>,
        request: Option<&HttpFacts<'_>>,
    ) -> Option<Decider> {
        if self.audit.entries().is_empty() {
            return None;
        }
        let peer = self.peer(connection).ok()?;
        let http = request.map_or(HttpKnowledge::Assume(true), HttpKnowledge::Request);
        let facts = RuleFacts {
            connection,
            peer,
            http,
            remote: RemoteKnowledge::Known,
            bias: DoubtBias::Deny,
        };
        self.audit.first_match(&facts, |_| true).map(|entry| entry.decider.clone())
    }

    /// Deny, then allow, then the default; the order of policies never matters.
    fn decide(
        &self,
        connection: &ConnectionFacts<'_>,
        request: Option<&HttpFacts<'_>>,
        shadow: bool,
    ) -> Result<Permit, Denial> {
        let peer = self.peer(connection)?;
        let sets = || [Some(&self.enforced), shadow.then_some(&self.dry_run)].into_iter().flatten();
        let facts = |bias, holds| {
            let http = request.map_or(HttpKnowledge::Assume(holds), HttpKnowledge::Request);
            RuleFacts { connection, peer, http, remote: RemoteKnowledge::Known, bias }
        };
        let denying = facts(DoubtBias::Deny, true);
        if let Some(entry) = sets().find_map(|set| set.deny.first_match(&denying, |_| true)) {
            return Err(Denial::by_rule(entry.decider.clone()));
        }
        if !sets().any(|set| set.has_allow) {
            return self.default_verdict();
        }
        let allowing = facts(DoubtBias::Allow, false);
        let counts = |entry: &rule_set::RuleEntry| request.is_some() || !entry.names_http;
        match sets().find_map(|set| set.allow.first_match(&allowing, counts)) {
            Some(entry) => Ok(Permit::by_rule(entry.decider.clone())),
            None => Err(Denial::because(DenyReason::NoMatchingAllow)),
        }
    }

    /// The peer as the port's mode lets it count: required under STRICT, nobody under DISABLE.
    fn peer<'c>(&self, connection: &ConnectionFacts<'c>) -> Result<Option<&'c SpiffeId>, Denial> {
        match (self.mtls_mode(connection.destination.port()), connection.peer) {
            (MtlsMode::Strict, None) => Err(Denial::because(DenyReason::PeerNotAuthenticated)),
            (MtlsMode::Disable, _) => Ok(None),
            (_, peer) => Ok(peer),
        }
    }

    fn default_verdict(&self) -> Result<Permit, Denial> {
        match self.default_authorization {
            DefaultAuthorization::Deny => Err(Denial::because(DenyReason::DefaultDeny)),
            DefaultAuthorization::Audit => Ok(Permit::by_default(PermitReason::DefaultAudit)),
            DefaultAuthorization::Allow => Ok(Permit::by_default(PermitReason::DefaultAllow)),
        }
    }

    /// The mTLS mode of an app port.
    pub fn mtls_mode(&self, port: u16) -> MtlsMode {
        self.modes.of(port)
    }

    /// True when an enforced rule that can apply to the app port names an HTTP field, or an API key is required: a protocol that cannot be told is refused there.
    pub fn has_http_rules(&self, port: u16) -> bool {
        self.api_keys.rules(None).are_required() || self.http_rules.apply_to(port)
    }

    /// The headers that are named by a rule which decides, or as the place of a token: what an app may take for one of
    /// them is refused (S-15).
    pub fn header_names(&self) -> &HeaderNames {
        &self.header_names
    }

    /// The headers (lower case) that rules which decide look at: what is kept of a request that may be judged again.
    pub fn judged_headers(&self) -> &Arc<HashSet<Box<str>>> {
        self.http_rules.judged_headers()
    }

    /// What is asked of end-user tokens.
    pub fn tokens(&self) -> &Arc<TokenRules> {
        &self.tokens
    }

    /// Which users' tokens become tokens of the mesh.
    pub fn token_exchange(&self) -> &Arc<TokenExchangeTable> {
        &self.token_exchange
    }

    /// What is asked of API keys.
    pub fn api_keys(&self) -> &Arc<ApiKeyTable> {
        &self.api_keys
    }

    /// Who must sign in, and where; empty where clients are no strangers ([`PolicyDefaults::edge`]).
    pub fn sign_ins(&self) -> &Arc<SignInTable> {
        &self.sign_ins
    }

    /// Whose tokens their issuer is asked about.
    pub fn introspections(&self) -> &Arc<Introspections> {
        &self.introspections
    }

    /// Which requests are looked through for attacks.
    pub fn threats(&self) -> &Arc<ThreatTable> {
        &self.threats
    }

    /// What is allowed at the brokers of the workload.
    pub fn topics(&self) -> &TopicTable {
        &self.topics
    }

    /// The tokens that are no longer taken, however they were verified.
    pub fn revoked_tokens(&self) -> &Arc<RevokedTokens> {
        &self.revoked_tokens
    }

    /// True when a rule about the workload, watched ones included, asks for what no log records: header fields, tokens, API keys, the
    /// client behind a trusted hop.
    pub fn needs_unlogged_facts(&self) -> bool {
        let EnforcedPolicies { deny, allow, .. } = &self.enforced;
        let sets = [deny, allow, &self.audit, &self.dry_run.deny, &self.dry_run.allow];
        let mut entries = sets.into_iter().flat_map(RuleSet::entries);
        self.api_keys.rules(None).are_required()
            || entries.any(|entry| entry.rule.needs_unlogged_facts())
    }

    /// The policies that concern the workload, `namespace/name`, in order; bounds the metric label.
    pub fn policies(&self) -> &[Arc<str>] {
        &self.policies
    }

    /// What happens to outbound connections to no known service.
    pub fn egress(&self) -> DefaultEgress {
        self.egress
    }
}

#[cfg(test)]
mod tests;
