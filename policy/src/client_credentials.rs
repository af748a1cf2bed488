//! Tokens of a workload's own for hosts outside the mesh: which hosts get one, and where it comes from (RFC 6749 §4.4).

use std::sync::Arc;

use crate::client_credential::{ClientAuthMethod, ClientCredential, SecretProblem};
use crate::pattern::HostPattern;
use crate::{HostName, Resources, Workload};

/// What one ClientCredentials says, without what its Secret holds.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientCredentialsSettings {
    /// `namespace/name`: stable, for logs.
    pub name: Arc<str>,
    /// The hosts whose requests get a token (`hosts`).
    pub(crate) hosts: Vec<HostPattern>,
    /// Where tokens are asked for.
    pub provider: TokenProvider,
    /// Who we are to the provider (`clientId`).
    pub client_id: Arc<str>,
    /// How we prove it (`clientAuth`). Default [`ClientAuthMethod::ClientSecretBasic`].
    pub client_auth: ClientAuthMethod,
    /// What is asked for (`scopes`). Default: whatever the provider gives.
    pub scopes: Vec<Box<str>>,
    /// For whom, as some providers want it (`audience`). Default: it is not sent.
    pub audience: Option<Box<str>>,
    /// For what, an absolute URI (`resource`, RFC 8707 §2). Default: it is not sent.
    pub resource: Option<Box<str>>,
}

/// Where tokens are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenProvider {
    /// Where the discovery document of this issuer says (`issuer`).
    Issuer(Arc<str>),
    /// At this `https` address (`tokenEndpoint`).
    Endpoint(Arc<str>),
}

impl TokenProvider {
    /// For whom an assertion of the client is (RFC 7523 §3).
    pub fn as_str(&self) -> &str {
        match self {
            Self::Issuer(address) | Self::Endpoint(address) => address,
        }
    }
}

/// A ClientCredentials with what its Secret holds.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientCredentialsRule {
    /// What it says.
    pub settings: Arc<ClientCredentialsSettings>,
    /// What the client proves itself by. With a problem, no request leaves for its hosts.
    pub credential: Result<ClientCredential, SecretProblem>,
}

/// The tokens that one workload adds to what it sends. The default adds none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClientCredentialsTable {
    /// In the order of their names.
    rules: Vec<Arc<ClientCredentialsRule>>,
}

impl ClientCredentialsTable {
    /// The ClientCredentials that select the workload.
    pub fn build(resources: &Resources, workload: &Workload) -> Self {
        let root = resources.root_namespace();
        let about = resources.client_credentials().iter();
        let about = about.filter(|object| object.selects(workload, root)).map(|object| {
            let settings = Arc::clone(object.settings());
            let method = settings.client_auth;
            let credential = ClientCredential::of(resources, object.secret(), method);
            Arc::new(ClientCredentialsRule { settings, credential })
        });
        let mut rules: Vec<_> = about.collect();
        rules.sort_by(|a, b| a.settings.name.cmp(&b.settings.name));
        Self { rules }
    }

    /// True when nothing is added anywhere.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The rule for requests to a host: that of the closest pattern, then the first by its name.
    pub fn rule(&self, host: &HostName) -> Option<&Arc<ClientCredentialsRule>> {
        let closest = |rule: &Arc<ClientCredentialsRule>| {
            let fitting = rule.settings.hosts.iter().filter(|pattern| pattern.matches(host));
            fitting.map(HostPattern::specificity).max()
        };
        let fitting = self.rules.iter().filter_map(|rule| Some((closest(rule)?, rule)));
        // Of several the last is taken by `max_by_key`, and the first is meant.
        fitting.rev().max_by_key(|(closeness, _)| *closeness).map(|(_, rule)| rule)
    }

    /// The rules in force.
    pub fn rules(&self) -> impl Iterator<Item = &Arc<ClientCredentialsRule>> {
        self.rules.iter()
    }
}

#[cfg(test)]
mod tests;
