//! TokenExchange (`policy.postern.dev/v1alpha1`): where users' tokens become tokens of the mesh itself; see
//! `docs/tokens.md`.

use std::sync::Arc;
use std::time::Duration;

use identity::jwt::internal::OWN_CLAIMS;
use identity::{SpiffeId, TrustDomain};

use super::listener_target;
use super::object::ResourceObject;
use super::selector::{self, MatchLabels};
use crate::Workload;
use crate::client_traffic::ClientTrafficTarget;
use crate::token_exchange::{MAX_EXCHANGED_LIFETIME, TokenExchangeRule};
use crate::yaml::{DiagnosticCode, YamlReader, YamlValue, parse_duration};

/// The most items of each list.
const MAX_ITEMS: usize = 32;
/// The longest issuer, claim or audience, in bytes.
const MAX_TEXT: usize = 2048;
/// The shortest life: a token is used no more for some seconds before its end, and would be got for each request.
const MIN_LIFETIME: Duration = Duration::from_secs(30);
/// The claims that are taken over where nothing is written.
const DEFAULT_CLAIMS: [&str; 2] = ["email", "groups"];

/// A TokenExchange.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenExchange {
    namespace: Arc<str>,
    selector: MatchLabels,
    targets: Vec<ClientTrafficTarget>,
    rule: Arc<TokenExchangeRule>,
}

impl TokenExchange {
    /// `namespace/name`.
    pub fn name(&self) -> &Arc<str> {
        &self.rule.name
    }

    /// The Gateways, ListenerSets and listeners it is about; empty: it selects workloads.
    pub fn targets(&self) -> &[ClientTrafficTarget] {
        &self.targets
    }

    /// True when it is about the workload: in its namespace or the root one, and selected.
    pub fn selects(&self, workload: &Workload, root_namespace: &str) -> bool {
        let scope = *self.namespace == *workload.namespace || *self.namespace == *root_namespace;
        self.targets.is_empty() && scope && self.selector.matches(&workload.labels)
    }

    /// What it says.
    pub fn rule(&self) -> &Arc<TokenExchangeRule> {
        &self.rule
    }
}

/// Every field has a default, so that an empty `spec` is one.
pub(super) fn read(reader: &mut YamlReader, object: &ResourceObject<'_>) -> Option<TokenExchange> {
    let Some(spec) = object.spec else {
        let expected = "a `spec`, such as {} for every workload of the namespace";
        reader.report(object.mark, "no `spec`", expected, None);
        return None;
    };
    let mut map = reader.mapping(spec)?;
    let selector = map.take("selector").map(|v| selector::read(reader, v));
    let refs = map.take("targetRefs");
    let targets = refs.map(|v| listener_target::read(reader, v, &object.namespace));
    let issuers = map.take("issuers").map(|v| texts(reader, v, bounded));
    let claims = map.take("claims").map(|v| texts(reader, v, claim));
    let lifetime = map.take("lifetime");
    let lifetime = lifetime.map(|v| reader.parsed(v, "a time from 30s to 5m", lifetime_of));
    let audience = map.take("audience");
    let audience = audience.map(|v| reader.parsed(v, "whom the token is for", audience_of));
    map.finish(reader);
    if let Some(refs) = refs.filter(|_| selector.is_some()) {
        reader.report(refs.node.mark, "`targetRefs` beside `selector`", "one of the two", None);
    }
    let default_claims = || Some(DEFAULT_CLAIMS.map(Box::from).to_vec());
    let rule = TokenExchangeRule {
        name: object.full_name().into(),
        issuers: issuers.unwrap_or_else(|| Some(Vec::new()))?,
        claims: claims.unwrap_or_else(default_claims)?,
        lifetime: lifetime.unwrap_or(Some(MAX_EXCHANGED_LIFETIME))?,
        audience: audience.map_or(Some(None), |audience| audience.map(Some))?,
    };
    Some(TokenExchange {
        namespace: Arc::clone(&object.namespace),
        selector: selector.unwrap_or_else(|| Some(MatchLabels::default()))?,
        targets: targets.unwrap_or_else(|| Some(Vec::new()))?,
        rule: Arc::new(rule),
    })
}

/// A list of which no item stands there twice.
fn texts(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    read: fn(&str) -> Result<Box<str>, &'static str>,
) -> Option<Vec<Box<str>>> {
    let mut taken: Vec<Box<str>> = Vec::new();
    for item in reader.filled_list(value, MAX_ITEMS)? {
        let text = reader.parsed(item, "a text", read)?;
        if taken.contains(&text) {
            let code = DiagnosticCode::Repeated;
            reader.report_value_with_code(code, item, "each once", None);
            return None;
        }
        taken.push(text);
    }
    Some(taken)
}

fn bounded(text: &str) -> Result<Box<str>, &'static str> {
    if text.len() <= MAX_TEXT { Ok(text.into()) } else { Err("write at most 2048 bytes") }
}

fn claim(text: &str) -> Result<Box<str>, &'static str> {
    match OWN_CLAIMS.contains(&text) {
        true => Err("the mesh's own authority says this claim itself; name one of the user's"),
        false => bounded(text),
    }
}

fn lifetime_of(text: &str) -> Result<Duration, &'static str> {
    let bounds = MIN_LIFETIME..=MAX_EXCHANGED_LIFETIME;
    parse_duration(text).filter(|time| bounds.contains(time)).ok_or("such as 2m")
}

/// A workload, or a whole trust domain. That it is the own one is seen by whoever issues the token.
fn audience_of(text: &str) -> Result<Arc<str>, &'static str> {
    let domain = text.strip_prefix("spiffe://").map(TrustDomain::parse);
    match SpiffeId::parse(text).is_ok() || domain.is_some_and(|domain| domain.is_ok()) {
        true => Ok(text.into()),
        false => Err("write spiffe://cluster.local/ns/shop/sa/cart, or spiffe://cluster.local"),
    }
}

#[cfg(test)]
mod tests;
