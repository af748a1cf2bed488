//! Tokens that only their issuer can read: who is asked about them (OAuth 2.0 Token Introspection, RFC 7662).
//!
//! TokenIntrospections are compiled into the [`Introspections`] of a workload, once a change. Asking, and what is kept of
//! the answers, is the proxy's business.

use std::sync::Arc;
use std::time::Duration;

use crate::client_credential::{ClientAuthMethod, ClientCredential, SecretProblem};
use crate::client_traffic::{ClientTrafficTarget, ListenerOwner, ListenerPlace};
use crate::gateway::ObjectName;
use crate::resources::TokenIntrospection;
use crate::{ClaimHeader, Resources, TokenClaims, TokenPlace, Workload};

/// One issuer that is asked about tokens, as a TokenIntrospection writes it.
#[derive(Debug, Clone, PartialEq)]
pub struct IntrospectionRule {
    /// The TokenIntrospection, `namespace/name`.
    pub policy: Arc<str>,
    /// What it says.
    pub settings: Arc<IntrospectionSettings>,
    /// What we prove ourselves by. With a problem nobody is asked, and tokens are refused as they are while the issuer cannot be
    /// reached.
    pub credential: Result<ClientCredential, SecretProblem>,
}

/// What a TokenIntrospection says (`spec`).
#[derive(Debug, Clone, PartialEq)]
pub struct IntrospectionSettings {
    /// What `iss` of an answer must be where it has one, and what it counts as where it has none.
    pub issuer: Arc<str>,
    /// Where the issuer is asked, an `https` address; `None`: its discovery document says so (`introspection_endpoint`).
    pub endpoint: Option<Arc<str>>,
    /// Our name at the issuer.
    pub client_id: Arc<str>,
    /// How we prove it. Default [`ClientAuthMethod::ClientSecretBasic`].
    pub client_auth: ClientAuthMethod,
    /// The Secret that has what we prove it by.
    pub secret: ObjectName,
    /// `aud` of an answer must hold one of them; empty: any audience, or none.
    pub audiences: Vec<Box<str>>,
    /// Where tokens may stand. Default: `Authorization: Bearer`.
    pub places: Vec<TokenPlace>,
    /// Which tokens are asked about. Default [`IntrospectedTokens::Opaque`].
    pub tokens: IntrospectedTokens,
    /// How long an answer may take. Default 2 s.
    pub timeout: Duration,
    /// Whether the app is to see the token (`forwardOriginalToken`). Default false.
    pub forward: bool,
    /// Headers that get a claim each.
    pub claim_headers: Vec<ClaimHeader>,
    /// How long an answer that a token is active counts (`cache.ttl`), unless the token ends before. Default and most 60 s.
    pub active_for: Duration,
    /// How long an answer that a token is not active counts (`cache.negative`). Default and most 5 s.
    pub inactive_for: Duration,
    pub(crate) targets: Vec<ClientTrafficTarget>,
}

/// Which tokens an issuer is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IntrospectedTokens {
    /// All but JSON Web Tokens of an issuer that a RequestAuthentication names, which are verified by its keys.
    #[default]
    Opaque,
    /// Every token.
    All,
}

/// Everything that is asked of issuers about tokens where one workload lets others in: a sidecar, or a gateway with its
/// listeners. Immutable; the default asks nobody.
#[derive(Debug, Default, PartialEq)]
pub struct Introspections {
    /// In the order of their policies' names.
    rules: Vec<Arc<IntrospectionRule>>,
}

impl Introspections {
    /// Those that select the workload, and those about listeners, which only a gateway has.
    pub(crate) fn build(resources: &Resources, workload: &Workload) -> Self {
        let root = resources.root_namespace();
        let about = resources.token_introspections().iter();
        let about = about.filter(|policy| {
            !policy.settings().targets.is_empty() || policy.selects(workload, root)
        });
        Self { rules: about.map(|policy| Arc::new(rule_of(policy, resources))).collect() }
    }

    /// True when nobody is asked about any token.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// All of them, whatever they are about.
    pub fn all(&self) -> &[Arc<IntrospectionRule>] {
        &self.rules
    }

    /// Those about requests to the workload's sidecar (`None`), or to a gateway's listener. Of two that look in one place, the
    /// first by name takes the token.
    pub fn about<'t>(
        &'t self,
        listener: Option<ListenerPlace<'t>>,
    ) -> impl Iterator<Item = &'t Arc<IntrospectionRule>> {
        self.rules.iter().filter(move |rule| rule.is_about(listener.as_ref()))
    }

    /// The headers (lower case) that are made of answers here: what a client sends in one of them is not trusted. At a gateway
    /// they are those of all its listeners, behind which the same apps may be; in a sidecar not those of a gateway's rules,
    /// because a gateway before it makes them.
    pub fn made_headers(&self, listener: Option<ListenerPlace<'_>>) -> impl Iterator<Item = &str> {
        let gateway = listener.map(|listener| listener.gateway.clone());
        let about = self.rules.iter().filter(move |rule| rule.may_be_about(gateway.as_ref()));
        about.flat_map(|rule| rule.made_headers())
    }

    /// Whether a token that an issuer said to be active, by the word of `policy`, would still be taken: as far as it can be
    /// told from its claims.
    pub fn still_accepts(
        &self,
        policy: &str,
        claims: &TokenClaims,
        listener: Option<ListenerPlace<'_>>,
    ) -> bool {
        let mut rules = self.about(listener).filter(|rule| *rule.policy == *policy);
        rules.any(|rule| *rule.settings.issuer == *claims.issuer && rule.takes(&claims.audiences))
    }

    /// The headers (lower case) that a rule reads or makes.
    pub(crate) fn header_names(&self) -> impl Iterator<Item = &str> {
        let places = self.rules.iter().flat_map(|rule| &rule.settings.places);
        let read = places.filter_map(|place| match place {
            TokenPlace::Header { name, .. } => Some(&**name),
            _ => None,
        });
        read.chain(self.rules.iter().flat_map(|rule| rule.made_headers()))
    }
}

impl IntrospectionRule {
    /// Whether a token for these audiences is for us.
    pub fn takes<A: AsRef<str>>(&self, audiences: &[A]) -> bool {
        let wanted = &self.settings.audiences;
        wanted.is_empty() || wanted.iter().any(|w| audiences.iter().any(|has| **w == *has.as_ref()))
    }

    fn made_headers(&self) -> impl Iterator<Item = &str> {
        self.settings.claim_headers.iter().map(|made| &*made.header)
    }

    /// A ListenerSet may be of any gateway.
    fn may_be_about(&self, gateway: Option<&ObjectName>) -> bool {
        let targets = &self.settings.targets;
        let of_gateway = |target: &ClientTrafficTarget| match target.kind {
            ListenerOwner::ListenerSet => true,
            ListenerOwner::Gateway => gateway == Some(&target.object),
        };
        targets.is_empty() || gateway.is_some() && targets.iter().any(of_gateway)
    }

    fn is_about(&self, listener: Option<&ListenerPlace<'_>>) -> bool {
        let targets = &self.settings.targets;
        let targeted = |place| targets.iter().any(|target| target.is_about(place));
        targets.is_empty() || listener.is_some_and(targeted)
    }
}

/// The rule with what the Secret that it names holds.
fn rule_of(policy: &TokenIntrospection, resources: &Resources) -> IntrospectionRule {
    let settings = Arc::clone(policy.settings());
    let credential = ClientCredential::of(resources, &settings.secret, settings.client_auth);
    IntrospectionRule { policy: Arc::clone(policy.name()), settings, credential }
}

#[cfg(test)]
mod tests;
