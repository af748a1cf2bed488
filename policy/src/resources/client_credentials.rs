//! ClientCredentials (`policy.postern.dev/v1alpha1`): tokens that the proxy adds to requests for hosts outside the mesh; see
//! `docs/tokens.md`.

use std::sync::Arc;

use super::jwt_rule::{https, no_query};
use super::object::ResourceObject;
use super::selector::{self, MatchLabels};
use super::{Resources, provider_client};
use crate::client_credential::{ClientAuthMethod, ClientCredential, SecretProblem};
use crate::client_credentials::{ClientCredentialsSettings, TokenProvider};
use crate::gateway::ObjectName;
use crate::pattern::HostPattern;
use crate::yaml::{SourcePosition, YamlMapping, YamlReader};
use crate::{Diagnostic, Workload};

/// The most hosts, and the most scopes.
const MAX_HOSTS: usize = 64;
const MAX_SCOPES: usize = 32;
/// The longest name of a client or scope, and the longest audience or resource, in bytes.
const MAX_NAME: usize = 256;
const MAX_AUDIENCE: usize = 2048;

/// A ClientCredentials.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientCredentials {
    namespace: Arc<str>,
    selector: MatchLabels,
    settings: Arc<ClientCredentialsSettings>,
    secret: ObjectName,
    file: Arc<str>,
    mark: SourcePosition,
}

impl ClientCredentials {
    /// `namespace/name`.
    pub fn name(&self) -> &Arc<str> {
        &self.settings.name
    }

    /// What it says.
    pub fn settings(&self) -> &Arc<ClientCredentialsSettings> {
        &self.settings
    }

    /// The Secret that holds what the client proves itself by (`clientSecretRef`).
    pub fn secret(&self) -> &ObjectName {
        &self.secret
    }

    /// True when it is about the workload: in its namespace or the root one, and selected.
    pub fn selects(&self, workload: &Workload, root_namespace: &str) -> bool {
        let scope = *self.namespace == *workload.namespace || *self.namespace == *root_namespace;
        scope && self.selector.matches(&workload.labels)
    }

    /// What is wrong with the Secret that it names, as far as anything is.
    pub(super) fn secret_problem(&self, resources: &Resources) -> Option<Diagnostic> {
        let found = ClientCredential::of(resources, &self.secret, self.settings.client_auth);
        let SecretProblem { secret, why } = found.err()?;
        let expected = "a Secret of the own namespace that holds what `clientAuth` asks for";
        let found = format!("Secret {secret}: {why}");
        let diagnostic = Diagnostic::new(&self.file, self.mark, found, expected, None);
        Some(diagnostic.within(format!("ClientCredentials {}", self.name()).into()))
    }
}

pub(super) fn read(
    reader: &mut YamlReader,
    object: &ResourceObject<'_>,
) -> Option<ClientCredentials> {
    let Some(spec) = object.spec else {
        reader.report(object.mark, "no `spec`", "a `spec` with `hosts` and `clientId`", None);
        return None;
    };
    let mut map = reader.mapping(spec)?;
    let selector = map.take("selector").map(|v| selector::read(reader, v));
    let secret = map.require(reader, "clientSecretRef");
    let secret = secret.and_then(|v| provider_client::secret_ref(reader, v, &object.namespace));
    let settings = read_settings(reader, &mut map, object);
    map.finish(reader);
    Some(ClientCredentials {
        namespace: Arc::clone(&object.namespace),
        selector: selector.unwrap_or_else(|| Some(MatchLabels::default()))?,
        settings: Arc::new(settings?),
        secret: secret?,
        file: Arc::clone(reader.file()),
        mark: object.mark,
    })
}

fn read_settings(
    reader: &mut YamlReader,
    map: &mut YamlMapping<'_>,
    object: &ResourceObject<'_>,
) -> Option<ClientCredentialsSettings> {
    let hosts = map.require(reader, "hosts").and_then(|v| {
        let items = reader.filled_list(v, MAX_HOSTS)?;
        let expected = "a host, such as api.example.com or *.example.com";
        let read: Vec<_> = items
            .into_iter()
            .map(|item| reader.parsed(item, expected, HostPattern::parse))
            .collect();
        read.into_iter().collect::<Option<_>>()
    });
    let provider = read_provider(reader, map);
    let client_id = map.require(reader, "clientId");
    let client_id = client_id.and_then(|v| provider_client::id(reader, v));
    let client_auth = map.take("clientAuth");
    let client_auth = client_auth.map(|v| reader.choice(v, ClientAuthMethod::CHOICES));
    let scopes = map.take("scopes").map(|v| {
        let items = reader.filled_list(v, MAX_SCOPES)?;
        let read: Vec<_> =
            items.into_iter().map(|item| reader.parsed(item, "a scope", scope)).collect();
        read.into_iter().collect::<Option<_>>()
    });
    let audience = map.take("audience").map(|v| reader.parsed(v, "an audience", audience));
    let resource = map.take("resource").map(|v| reader.parsed(v, "an absolute URI", resource));
    Some(ClientCredentialsSettings {
        name: object.full_name().into(),
        hosts: hosts?,
        provider: provider?,
        client_id: client_id?,
        client_auth: client_auth.unwrap_or_else(|| Some(ClientAuthMethod::default()))?,
        scopes: scopes.unwrap_or_else(|| Some(Vec::new()))?,
        audience: audience.map_or(Some(None), |audience| audience.map(Some))?,
        resource: resource.map_or(Some(None), |resource| resource.map(Some))?,
    })
}

fn read_provider(reader: &mut YamlReader, map: &mut YamlMapping<'_>) -> Option<TokenProvider> {
    let (issuer, endpoint) = (map.take("issuer"), map.take("tokenEndpoint"));
    match (issuer, endpoint) {
        (Some(issuer), None) => reader.parsed(issuer, "the provider's https address", |text| {
            https(text).and_then(|()| no_query(text)).map(|()| TokenProvider::Issuer(text.into()))
        }),
        (None, Some(endpoint)) => reader.parsed(endpoint, "an https address", |text| {
            https(text).map(|()| TokenProvider::Endpoint(text.into()))
        }),
        (issuer, _) => {
            let found = match issuer {
                Some(_) => "`issuer` beside `tokenEndpoint`",
                None => "neither `issuer` nor `tokenEndpoint`",
            };
            reader.report(map.mark(), found, "one of the two", None);
            None
        }
    }
}

/// RFC 6749 §3.3.
fn scope(text: &str) -> Result<Box<str>, &'static str> {
    let plain = |byte: u8| matches!(byte, b'!' | b'#'..=b'[' | b']'..=b'~');
    match text.len() <= MAX_NAME && text.bytes().all(plain) {
        true => Ok(text.into()),
        false => Err("one word of visible ASCII without quotes and '\\\\', at most 256"),
    }
}

fn audience(text: &str) -> Result<Box<str>, &'static str> {
    let plain = !text.chars().any(char::is_control) && text.len() <= MAX_AUDIENCE;
    if plain { Ok(text.into()) } else { Err("at most 2048 bytes, without control characters") }
}

/// RFC 8707 §2: absolute, without a fragment.
fn resource(text: &str) -> Result<Box<str>, &'static str> {
    let absolute = text.split_once(':').is_some_and(|(scheme, rest)| {
        let begins = scheme.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
        begins && !rest.is_empty()
    });
    let plain = text.len() <= MAX_AUDIENCE && text.bytes().all(|byte| byte.is_ascii_graphic());
    match absolute && plain && !text.contains('#') {
        true => Ok(text.into()),
        false => {
            Err("write it with its scheme and without a fragment, such as https://api.example.com/")
        }
    }
}

#[cfg(test)]
mod tests;
