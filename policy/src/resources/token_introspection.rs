//! TokenIntrospection (`policy.postern.dev/v1alpha1`): whose issuer is asked about tokens that nobody else can read; see
//! `docs/tokens.md`.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::Resources;
use super::jwt_rule;
use super::listener_target;
use super::object::ResourceObject;
use super::provider_client;
use super::selector::{self, MatchLabels};
use crate::client_credential::{ClientAuthMethod, ClientCredential, SecretProblem};
use crate::introspection::{IntrospectedTokens, IntrospectionSettings};
use crate::token::TokenPlace;
use crate::yaml::{
    SourcePosition, YamlMapping, YamlReader, YamlValue, format_duration, parse_duration,
};
use crate::{Diagnostic, Workload};

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(2);
/// An answer that is kept longer would let in whom the issuer has thrown out a minute ago.
const MOST_ACTIVE: Duration = Duration::from_secs(60);
/// A token that was not active yet is tried again by its client.
const MOST_INACTIVE: Duration = Duration::from_secs(5);
const TOKENS: &[(&str, IntrospectedTokens)] =
    &[("opaque", IntrospectedTokens::Opaque), ("all", IntrospectedTokens::All)];

/// A TokenIntrospection. All that are about a workload or a listener hold together, each for the places it looks in.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenIntrospection {
    name: Arc<str>,
    namespace: Arc<str>,
    selector: MatchLabels,
    settings: Arc<IntrospectionSettings>,
    place: (Arc<str>, SourcePosition),
}

impl TokenIntrospection {
    /// `namespace/name`.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What it says.
    pub fn settings(&self) -> &Arc<IntrospectionSettings> {
        &self.settings
    }

    /// What is wrong with the Secret that it names, as far as anything is.
    pub(super) fn secret_problem(&self, resources: &Resources) -> Option<Diagnostic> {
        let IntrospectionSettings { secret, client_auth, .. } = &*self.settings;
        let SecretProblem { secret, why } =
            ClientCredential::of(resources, secret, *client_auth).err()?;
        let expected = "a Secret of the own namespace that holds what `clientAuth` asks for";
        let (file, mark) = &self.place;
        let diagnostic =
            Diagnostic::new(file, *mark, format!("Secret {secret}: {why}"), expected, None);
        Some(diagnostic.within(format!("TokenIntrospection {}", self.name).into()))
    }

    /// True when it is about the workload: in its namespace or the root one, and selected.
    pub fn selects(&self, workload: &Workload, root_namespace: &str) -> bool {
        let scope = *self.namespace == *workload.namespace || *self.namespace == *root_namespace;
        self.settings.targets.is_empty() && scope && self.selector.matches(&workload.labels)
    }
}

pub(super) fn read(
    reader: &mut YamlReader,
    object: &ResourceObject<'_>,
) -> Option<TokenIntrospection> {
    let Some(spec) = object.spec else {
        reader.report(object.mark, "no `spec`", "a `spec` that names an issuer", None);
        return None;
    };
    let mut map = reader.mapping(spec)?;
    let selector = map.take("selector").map(|v| selector::read(reader, v));
    let refs = map.take("targetRefs");
    if let Some(refs) = refs.filter(|_| selector.is_some()) {
        reader.report(refs.node.mark, "`targetRefs` beside `selector`", "one of the two", None);
    }
    let targets = refs.map(|v| listener_target::read(reader, v, &object.namespace));
    let settings = read_settings(reader, &mut map, &object.namespace);
    map.finish(reader);
    let targets = targets.unwrap_or_else(|| Some(Vec::new()))?;
    Some(TokenIntrospection {
        name: object.full_name().into(),
        namespace: Arc::clone(&object.namespace),
        selector: selector.unwrap_or_else(|| Some(MatchLabels::default()))?,
        settings: Arc::new(IntrospectionSettings { targets, ..settings? }),
        place: (Arc::clone(reader.file()), object.mark),
    })
}

/// All of it but the targets. Every field is read, so that all mistakes are told.
fn read_settings(
    reader: &mut YamlReader,
    map: &mut YamlMapping<'_>,
    namespace: &Arc<str>,
) -> Option<IntrospectionSettings> {
    let issuer = map.require(reader, "issuer").and_then(|v| read_issuer(reader, v));
    let endpoint = map.take("endpoint").map(|v| read_endpoint(reader, v));
    let client_id = map.require(reader, "clientId");
    let client_id = client_id.and_then(|v| provider_client::id(reader, v));
    let client_auth = map.take("clientAuth").map(|v| reader.choice(v, ClientAuthMethod::CHOICES));
    let secret = map.require(reader, "clientSecretRef");
    let secret = secret.and_then(|v| provider_client::secret_ref(reader, v, namespace));
    let audiences = jwt_rule::texts(reader, map.take("audiences"));
    let places = map.take("fromHeaders").map(|v| jwt_rule::read_header_places(reader, v));
    let tokens = map.take("tokens").map(|v| reader.choice(v, TOKENS));
    let timeout = map
        .take("timeout")
        .map(|v| reader.parsed(v, "a time from 100ms to 30s", jwt_rule::timeout));
    let forward = map.take("forwardOriginalToken").map(|v| reader.boolean(v));
    let claim_headers = map.take("claimHeaders").map(|v| jwt_rule::read_claim_headers(reader, v));
    let cache = map.take("cache").map(|v| read_cache(reader, v));
    let (active_for, inactive_for) = cache.unwrap_or(Some((MOST_ACTIVE, MOST_INACTIVE)))?;
    Some(IntrospectionSettings {
        issuer: issuer?,
        endpoint: endpoint.map_or(Some(None), |endpoint| endpoint.map(Some))?,
        client_id: client_id?,
        client_auth: client_auth.unwrap_or_else(|| Some(ClientAuthMethod::default()))?,
        secret: secret?,
        audiences: audiences?,
        places: places.unwrap_or_else(|| Some(vec![bearer()]))?,
        tokens: tokens.unwrap_or_else(|| Some(IntrospectedTokens::default()))?,
        timeout: timeout.unwrap_or(Some(DEFAULT_TIMEOUT))?,
        forward: forward.unwrap_or(Some(false))?,
        claim_headers: claim_headers.unwrap_or_default(),
        active_for,
        inactive_for,
        targets: Vec::new(),
    })
}

/// Where RFC 6750 §2.1 has tokens. The other two places of that document leave tokens in logs and histories.
fn bearer() -> TokenPlace {
    TokenPlace::Header { name: "authorization".into(), prefix: "Bearer ".into() }
}

/// An issuer as discovery has it, also where the endpoint is named: it stands in what policies compare.
fn read_issuer(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<Arc<str>> {
    reader.parsed(value, "an https issuer", |text| {
        jwt_rule::https(text).and_then(|()| jwt_rule::no_query(text)).map(|()| text.into())
    })
}

fn read_endpoint(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<Arc<str>> {
    let expected = "the issuer's introspection endpoint";
    reader.parsed(value, expected, |text| jwt_rule::https(text).map(|()| text.into()))
}

fn read_cache(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<(Duration, Duration)> {
    let mut map = reader.mapping(value)?;
    let active = map.take("ttl").map_or(Some(MOST_ACTIVE), |v| up_to(reader, v, MOST_ACTIVE));
    let inactive =
        map.take("negative").map_or(Some(MOST_INACTIVE), |v| up_to(reader, v, MOST_INACTIVE));
    map.finish(reader);
    Some((active?, inactive?))
}

fn up_to(reader: &mut YamlReader, value: YamlValue<'_>, most: Duration) -> Option<Duration> {
    let bounds: RangeInclusive<Duration> = Duration::ZERO..=most;
    let expected = format!("a time from 0s to {}", format_duration(most));
    reader.parsed(value, &expected, |text| {
        parse_duration(text).filter(|time| bounds.contains(time)).ok_or("such as 5s")
    })
}

#[cfg(test)]
mod tests;
