//! The rules of an AuthorizationPolicy, as types that are ready to be judged.
//!
//! A rule = (any `from`) and (any `to`) and (all `when`). Inside a source or operation the fields are ANDed and the
//! values of a field ORed; an empty `from`, `to` or `when` restricts nothing.

use crate::pattern::{
    AccountPattern, AddressPattern, FieldPatterns, HostPattern, IdPattern, PathPattern,
    TextPattern, TokenPattern,
};
use crate::yaml::SourcePosition;

/// One rule.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rule {
    /// Where it stands in its file.
    pub(crate) mark: SourcePosition,
    pub(crate) from: Vec<Source>,
    pub(crate) to: Vec<Operation>,
    pub(crate) when: Vec<Condition>,
}

/// Who asks (`from[].source`).
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Source {
    pub(crate) principals: FieldPatterns<IdPattern>,
    pub(crate) request_principals: FieldPatterns<TokenPattern>,
    pub(crate) namespaces: FieldPatterns<TextPattern>,
    pub(crate) service_accounts: FieldPatterns<AccountPattern>,
    pub(crate) trust_domains: FieldPatterns<TextPattern>,
    pub(crate) ip_blocks: FieldPatterns<AddressPattern>,
    pub(crate) remote_ip_blocks: FieldPatterns<AddressPattern>,
}

/// What is asked (`to[].operation`).
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Operation {
    pub(crate) hosts: FieldPatterns<HostPattern>,
    pub(crate) ports: FieldPatterns<u16>,
    pub(crate) methods: FieldPatterns<TextPattern>,
    pub(crate) paths: FieldPatterns<PathPattern>,
}

/// A further condition (`when[]`): a key with its `values` and `notValues`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Condition {
    /// `request.headers[name]`, the name in lower case.
    Header(Box<str>, FieldPatterns<TextPattern>),
    /// `source.ip`
    SourceIp(FieldPatterns<AddressPattern>),
    /// `remote.ip`
    RemoteIp(FieldPatterns<AddressPattern>),
    /// `source.namespace`
    SourceNamespace(FieldPatterns<TextPattern>),
    /// `source.principal`
    SourcePrincipal(FieldPatterns<IdPattern>),
    /// `source.trustDomain`
    SourceTrustDomain(FieldPatterns<TextPattern>),
    /// `source.serviceAccount`
    SourceServiceAccount(FieldPatterns<AccountPattern>),
    /// `request.auth.principal`
    TokenPrincipal(FieldPatterns<TokenPattern>),
    /// `request.auth.audiences`
    TokenAudiences(FieldPatterns<TextPattern>),
    /// `request.auth.presenter`: the claim `azp`.
    TokenPresenter(FieldPatterns<TextPattern>),
    /// `request.auth.claims[a][b]`: the path of names.
    TokenClaim(Vec<Box<str>>, FieldPatterns<TextPattern>),
    /// `request.auth.apiKey[id]`, `[client]` or `[scopes]`
    ApiKey(ApiKeyField, FieldPatterns<TextPattern>),
    /// `destination.ip`
    DestinationIp(FieldPatterns<AddressPattern>),
    /// `destination.port`
    DestinationPort(FieldPatterns<u16>),
    /// `connection.sni`
    Sni(FieldPatterns<TextPattern>),
}

/// What a condition asks of a valid API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ApiKeyField {
    /// `[id]`
    Id,
    /// `[client]`
    Client,
    /// `[scopes]`: any of them.
    Scopes,
}

impl ApiKeyField {
    /// The word in the brackets, for each.
    pub(crate) const ALL: [(&'static str, Self); 3] =
        [("id", Self::Id), ("client", Self::Client), ("scopes", Self::Scopes)];

    pub(crate) fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, field)| *field == self).map_or("", |(word, _)| word)
    }
}

impl Rule {
    /// True when any field can only be known for an HTTP request.
    pub(crate) fn names_http(&self) -> bool {
        self.from.iter().any(Source::names_http)
            || self.to.iter().any(Operation::names_http)
            || self.when.iter().any(Condition::names_http)
    }

    /// The app ports the rule is limited to; `None` when it can apply to any.
    pub(crate) fn ports(&self) -> Option<Vec<u16>> {
        let conditions = self.when.iter().filter_map(|condition| match condition {
            Condition::DestinationPort(ports) if !ports.any_of.is_empty() => Some(&ports.any_of),
            _ => None,
        });
        if let Some(ports) = conditions.min_by_key(|ports| ports.len()) {
            return Some(ports.clone());
        }
        let limited = !self.to.is_empty() && self.to.iter().all(|to| !to.ports.any_of.is_empty());
        limited.then(|| self.to.iter().flat_map(|to| to.ports.any_of.iter().copied()).collect())
    }

    /// True when it asks for what is never logged: header fields, a token, or the client behind a trusted hop.
    pub(crate) fn needs_unlogged_facts(&self) -> bool {
        self.asks_remote_address()
            || self.from.iter().any(Source::names_http)
            || self.when.iter().any(Condition::names_http)
    }

    /// True when it asks for the address of the client behind a trusted hop.
    pub(crate) fn asks_remote_address(&self) -> bool {
        self.from.iter().any(|source| !source.remote_ip_blocks.is_empty())
            || self.when.iter().any(|condition| matches!(condition, Condition::RemoteIp(_)))
    }

    /// The header names it looks at.
    pub(crate) fn header_names(&self) -> impl Iterator<Item = &str> {
        self.when.iter().filter_map(|condition| match condition {
            Condition::Header(name, _) => Some(&**name),
            _ => None,
        })
    }
}

impl Source {
    fn names_http(&self) -> bool {
        !self.request_principals.is_empty()
    }
}

impl Operation {
    fn names_http(&self) -> bool {
        !(self.hosts.is_empty() && self.methods.is_empty() && self.paths.is_empty())
    }
}

impl Condition {
    fn names_http(&self) -> bool {
        matches!(
            self,
            Self::Header(..)
                | Self::TokenPrincipal(_)
                | Self::TokenAudiences(_)
                | Self::TokenPresenter(_)
                | Self::TokenClaim(..)
                | Self::ApiKey(..)
        )
    }
}
