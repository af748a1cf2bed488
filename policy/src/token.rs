//! What is asked of end-user tokens (JSON Web Tokens, RFC 7519): the rules that concern one workload, as data.
//!
//! Signatures, keys and times are the proxy's to check; this module only says which issuers are accepted, where their
//! tokens stand in a request, and what else must hold.

use std::sync::Arc;
use std::time::Duration;

use identity::{SpiffeId, TrustDomain};

use crate::TokenClaims;
use crate::pattern::IdPattern;

/// One issuer whose tokens are accepted, as a RequestAuthentication writes it (`spec.jwtRules[]`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtRule {
    /// `namespace/name#index`: stable, for logs.
    pub id: Arc<str>,
    /// What `iss` must be, to the letter.
    pub issuer: Arc<str>,
    /// `aud` must hold one of them; empty: any audience.
    pub audiences: Vec<Box<str>>,
    /// Where the issuer's public keys come from.
    pub keys: KeySource,
    /// How long one fetch of the keys may take (`timeout`). Default 5 s.
    pub timeout: Duration,
    /// Where the issuer's tokens may stand.
    pub places: Vec<TokenPlace>,
    /// Whether the app is to see the token (`forwardOriginalToken`). Default false.
    pub forward: bool,
    /// The header that gets the payload, base64url (`outputPayloadToHeader`), in lower case.
    pub payload_header: Option<Box<str>>,
    /// Headers that get a claim each (`outputClaimToHeaders`).
    pub claim_headers: Vec<ClaimHeader>,
    /// Text claims that are lists divided by blanks (`spaceDelimitedClaims`).
    pub space_delimited: Vec<Box<str>>,
}

/// Where an issuer's public keys (JWKS, RFC 7517 §5) come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeySource {
    /// The text of the set itself (`jwks`).
    Inline(Arc<str>),
    /// A file of the proxy's machine (`jwksUri: file:///…`); the absolute path.
    File(Arc<str>),
    /// An `https` address (`jwksUri`).
    Uri(Arc<str>),
    /// What the issuer's own `/.well-known/openid-configuration` names (OpenID Connect Discovery 1.0 §4); this is the
    /// issuer.
    Discovery(Arc<str>),
    /// The JWT authorities of the own trust domain, as the proxy's identity brings them (`issuer: spiffe://…` without
    /// keys, or `jwksUri: spiffe://…`): for the tokens that the mesh itself issues.
    MeshBundle(TrustDomain),
}

/// Where a token may stand in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenPlace {
    /// In a header, after a prefix that is compared without regard to case; a value without the prefix is no token.
    Header {
        /// The header's name, in lower case.
        name: Box<str>,
        /// Such as `Bearer `; may be empty.
        prefix: Box<str>,
    },
    /// In a query parameter of this name.
    Parameter(Box<str>),
    /// In a cookie of this name.
    Cookie(Box<str>),
}

impl TokenPlace {
    /// Where tokens stand unless the rule says otherwise: `Authorization: Bearer` (RFC 6750 §2.1), `Authorization:
    /// DPoP` (RFC 9449 §7.1), the parameter `access_token` (RFC 6750 §2.3).
    pub fn defaults() -> Vec<Self> {
        let scheme =
            |prefix: &str| Self::Header { name: "authorization".into(), prefix: prefix.into() };
        vec![scheme("Bearer "), scheme("DPoP "), Self::Parameter("access_token".into())]
    }

    /// The one place of a token of the mesh: where it is kept from leaving the mesh, and exchanged.
    pub(crate) fn of_the_mesh() -> Self {
        Self::Header { name: "authorization".into(), prefix: "Bearer ".into() }
    }

    /// These places in the order in which they are looked at, each once.
    pub fn in_order<'p>(places: impl IntoIterator<Item = &'p Self>) -> Vec<&'p Self> {
        let mut found: Vec<&Self> = Vec::new();
        for place in places {
            if !found.contains(&place) {
                found.push(place);
            }
        }
        found.sort_by(|a, b| a.order().cmp(&b.order()));
        found
    }

    /// The order in which places are looked at: headers by name, longer prefixes first, so that a value belongs to the
    /// place that describes it best; then parameters, then cookies.
    fn order(&self) -> (u8, &str, usize) {
        match self {
            Self::Header { name, prefix } => (0, name, usize::MAX - prefix.len()),
            Self::Parameter(name) => (1, name, 0),
            Self::Cookie(name) => (2, name, 0),
        }
    }
}

/// A header that gets the value of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimHeader {
    /// The header's name, in lower case.
    pub header: Box<str>,
    /// The claim, and the way down into it (`a.b` in the resource).
    pub claim: Vec<Box<str>>,
}

/// What is asked of a token's own binding to a key (`cnf`, RFC 7800).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum ConfirmationRequirement {
    /// A binding is not checked: the workloads that may present the token have checked it.
    Ignored,
    /// A token that is bound must be presented with its key; one that is not bound may come without.
    #[default]
    IfPresent,
    /// Every token must be bound, and presented with its key.
    Required,
}

impl JwtRule {
    /// The rule as it holds for one workload: a token of the mesh that is meant for nobody in particular is taken where it
    /// is for the workload itself, or for the whole trust domain.
    pub(crate) fn of_workload(self: &Arc<Self>, namespace: &str, account: &str) -> Arc<Self> {
        let KeySource::MeshBundle(domain) = &self.keys else { return Arc::clone(self) };
        if !self.audiences.is_empty() {
            return Arc::clone(self);
        }
        let whole = format!("spiffe://{}", domain.as_str());
        // Without a name of its own, a workload takes what is for the whole trust domain.
        let own = SpiffeId::workload(domain, namespace, account).ok();
        let own = own.map(|id| id.as_str().into());
        Arc::new(Self {
            audiences: own.into_iter().chain([whole.into()]).collect(),
            ..Self::clone(self)
        })
    }
}

/// A [`JwtRule`] together with what TokenPolicies ask beyond it.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenRule {
    /// The rule.
    pub jwt: Arc<JwtRule>,
    /// What is asked of `cnf`. Default [`ConfirmationRequirement::IfPresent`].
    pub confirmation: ConfirmationRequirement,
    /// Whether a token must have an `aud` even where the rule names no audiences. Default true.
    pub audience_required: bool,
    /// Each list must have a pattern that matches the peer.
    pub(crate) presenters: Vec<Arc<[IdPattern]>>,
}

impl TokenRule {
    /// Whether this peer may present the issuer's tokens; nobody (plaintext) may, once any workload is named.
    pub fn may_present(&self, peer: Option<&SpiffeId>) -> bool {
        let fits = |list: &Arc<[IdPattern]>| {
            peer.is_some_and(|peer| list.iter().any(|pattern| pattern.matches(peer)))
        };
        self.presenters.iter().all(fits)
    }
}

/// Everything a workload asks of tokens. Immutable, compared by address: verdicts about tokens live as long as it.
#[derive(Debug, Default, PartialEq)]
pub struct TokenRules {
    rules: Vec<TokenRule>,
    places: Vec<TokenPlace>,
    made_headers: Vec<Box<str>>,
}

impl TokenRules {
    pub(crate) fn new(rules: Vec<TokenRule>) -> Self {
        let mut places: Vec<TokenPlace> = Vec::new();
        let mut made_headers = Vec::new();
        for rule in &rules {
            places.extend(
                rule.jwt.places.iter().filter(|p| !places.contains(p)).cloned().collect::<Vec<_>>(),
            );
            made_headers.extend(rule.jwt.payload_header.clone());
            made_headers.extend(rule.jwt.claim_headers.iter().map(|made| made.header.clone()));
        }
        places.sort_by(|a, b| a.order().cmp(&b.order()));
        made_headers.sort_unstable();
        made_headers.dedup();
        Self { rules, places, made_headers }
    }

    /// True when no RequestAuthentication is about the workload: tokens are then the app's own business.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The rules, in the order of their ids.
    pub fn rules(&self) -> &[TokenRule] {
        &self.rules
    }

    /// Whether a token that was verified once would still be taken from this peer: as far as it can be told from its
    /// claims.
    pub fn accepts(&self, claims: &TokenClaims, peer: Option<&SpiffeId>) -> bool {
        self.rules.iter().any(|rule| {
            let wanted = &rule.jwt.audiences;
            let audience = wanted.is_empty()
                || claims.audiences.iter().any(|audience| wanted.iter().any(|w| **w == *audience));
            *rule.jwt.issuer == *claims.issuer && audience && rule.may_present(peer)
        })
    }

    /// Whether a rule names this issuer.
    pub fn know_issuer(&self, issuer: &str) -> bool {
        self.rules.iter().any(|rule| *rule.jwt.issuer == *issuer)
    }

    /// Every place where a token may stand, in the order they are looked at, each once.
    pub fn places(&self) -> &[TokenPlace] {
        &self.places
    }

    /// The headers we make from tokens (lower case): what a client sends in one of them is not trusted.
    pub fn made_headers(&self) -> &[Box<str>] {
        &self.made_headers
    }

    /// The headers (lower case) that a rule reads or makes.
    pub(crate) fn header_names(&self) -> impl Iterator<Item = &str> {
        let read = self.places.iter().filter_map(|place| match place {
            TokenPlace::Header { name, .. } => Some(&**name),
            _ => None,
        });
        read.chain(self.made_headers.iter().map(|made| &**made))
    }
}
