//! The rule that came nearest to allowing what was refused, and what it failed by.
//!
//! It is shown in `explain`, in `/decisions` and in the log. Looked for after a refusal only, so it costs the allowed
//! request nothing. It uses the very judgement of [`crate::evaluate`]; here is only the counting.
//!
//! What a caller *sent* in headers and tokens is never repeated, nor what a rule wants there: either may be a secret.

use std::fmt::{Display, Write as _};
use std::sync::Arc;

use serde::Serialize;

use super::rule_set::RuleEntry;
use crate::CanonicalPath;
use crate::evaluate::{HttpKnowledge, RuleFacts, RuleField};
use crate::pattern::{FieldPatterns, PathPattern};
use crate::rule::{Condition, Operation, Rule, Source};

/// The most sources, operations or conditions of one rule that are compared.
const MOST_PARTS: usize = 16;
/// The longest explanation, in bytes: it goes to the log with every refusal.
const MOST_TEXT: usize = 512;
/// A rule about somebody else is farther away than a rule about the caller that misses in one more thing.
const WEIGHT_OF_CALLER: u32 = 3;

/// The `ALLOW` rule that would have matched but for a few fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NearestMiss {
    /// The policy, `namespace/name`.
    pub policy: Arc<str>,
    /// The rule's place in the policy's `rules`, from 0.
    pub rule: u32,
    /// The fields that did not match: `principal`, `namespace`, `serviceAccount`, `trustDomain`, `ip`, `remoteIp`,
    /// `requestPrincipal`, `port`, `method`, `host`, `path`, or the key of a condition.
    pub missing: Vec<String>,
    /// The same for a person, with what there was and what the rule wants.
    pub would_match_but_for: String,
}

/// The nearest of these rules; the first of equally near ones.
pub(super) fn among<'e>(
    entries: impl Iterator<Item = &'e RuleEntry>,
    facts: &RuleFacts<'_>,
) -> Option<NearestMiss> {
    let misses = entries.map(|entry| (entry, RuleMiss::of(&entry.rule, facts)));
    let (entry, miss) = misses.min_by_key(|(_, miss)| miss.distance)?;
    Some(NearestMiss {
        policy: Arc::clone(entry.decider.policy()),
        rule: entry.decider.rule(),
        missing: miss.missing_names(),
        would_match_but_for: miss.mismatch_text(facts),
    })
}

/// What one rule fails by.
struct RuleMiss<'r> {
    distance: u32,
    source: Option<(&'r Source, Vec<RuleField>)>,
    operation: Option<(&'r Operation, Vec<RuleField>)>,
    conditions: Vec<&'r Condition>,
}

impl<'r> RuleMiss<'r> {
    fn of(rule: &'r Rule, facts: &RuleFacts<'_>) -> Self {
        let source = nearest(&rule.from, |source, note| {
            source.judge(facts, note);
        });
        let operation = nearest(&rule.to, |operation, note| {
            operation.judge(facts, note);
        });
        let conditions = rule.when.iter().filter(|condition| !condition.matches(facts));
        let conditions: Vec<_> = conditions.take(MOST_PARTS).collect();
        let parts = [&source.as_ref().map(|s| &s.1), &operation.as_ref().map(|o| &o.1)];
        let parts = parts.into_iter().flatten().flat_map(|parts| parts.iter());
        let distance = parts.map(|part| part.weight()).sum::<u32>()
            + conditions.iter().map(|condition| condition.weight()).sum::<u32>();
        Self { distance, source, operation, conditions }
    }

    fn parts(&self) -> impl Iterator<Item = RuleField> {
        let source = self.source.iter().flat_map(|(_, parts)| parts);
        source.chain(self.operation.iter().flat_map(|(_, parts)| parts)).copied()
    }

    fn missing_names(&self) -> Vec<String> {
        let conditions = self.conditions.iter().map(|condition| condition.key());
        self.parts().map(|part| part.as_str().to_owned()).chain(conditions).collect()
    }

    fn mismatch_text(&self, facts: &RuleFacts<'_>) -> String {
        let mut text = String::new();
        let mut add = |part: &str| {
            let separator = if text.is_empty() { "" } else { "; " };
            // Writing to a String cannot fail.
            let _ = write!(text, "{separator}{part}");
        };
        if let Some((source, parts)) = &self.source {
            parts.iter().for_each(|part| add(&source.mismatch_text(*part, facts)));
        }
        if let Some((operation, parts)) = &self.operation {
            parts.iter().for_each(|part| add(&operation.mismatch_text(*part, facts)));
        }
        self.conditions.iter().for_each(|condition| add(&condition.mismatch_text(facts)));
        shortened(text)
    }
}

/// The alternative that fails by least, with what it fails by; `None` when there is none, which fails by nothing.
fn nearest<T>(
    alternatives: &[T],
    judge: impl Fn(&T, &mut dyn FnMut(RuleField, bool) -> bool),
) -> Option<(&T, Vec<RuleField>)> {
    let judged = alternatives.iter().take(MOST_PARTS).map(|alternative| {
        let mut missing = Vec::new();
        judge(alternative, &mut |part, holds| {
            if !holds {
                missing.push(part);
            }
            true
        });
        (alternative, missing)
    });
    judged.min_by_key(|(_, missing)| missing.iter().map(|part| part.weight()).sum::<u32>())
}

/// What the sources of a rule fail by, where a caller is none of them.
#[derive(Debug, Default)]
pub(crate) struct SourceMiss {
    pub(crate) distance: usize,
    pub(crate) names: Vec<String>,
    pub(crate) texts: Vec<String>,
}

/// The source that fails by least; nothing where one holds or the rule is about anybody.
pub(crate) fn source_miss(sources: &[Source], facts: &RuleFacts<'_>) -> SourceMiss {
    let found = nearest(sources, |source, note| {
        source.judge(facts, note);
    });
    let Some((source, missing)) = found else { return SourceMiss::default() };
    SourceMiss {
        distance: missing.len(),
        names: missing.iter().map(|part| part.as_str().to_owned()).collect(),
        texts: missing.iter().map(|part| source.mismatch_text(*part, facts)).collect(),
    }
}

pub(crate) fn shortened(mut text: String) -> String {
    if text.len() > MOST_TEXT {
        let end = (0..=MOST_TEXT - 3).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

impl RuleField {
    fn as_str(self) -> &'static str {
        match self {
            Self::Principal => "principal",
            Self::Namespace => "namespace",
            Self::ServiceAccount => "serviceAccount",
            Self::TrustDomain => "trustDomain",
            Self::Ip => "ip",
            Self::RemoteIp => "remoteIp",
            Self::RequestPrincipal => "requestPrincipal",
            Self::Port => "port",
            Self::Method => "method",
            Self::Host => "host",
            Self::Path => "path",
        }
    }

    fn weight(self) -> u32 {
        match self {
            Self::Principal | Self::Namespace | Self::ServiceAccount | Self::TrustDomain => {
                WEIGHT_OF_CALLER
            }
            _ => 1,
        }
    }
}

/// `<what> <what there was>, and the rule wants <field>`.
fn mismatch_text<T: Display>(what: &str, was: impl Display, field: &FieldPatterns<T>) -> String {
    format!("{what} {was}, and the rule wants {field}")
}

/// The text for a field of requests, where there is no request.
fn without_request(what: &str) -> String {
    format!("{what}, which opaque bytes do not have")
}

impl Source {
    fn mismatch_text(&self, part: RuleField, facts: &RuleFacts<'_>) -> String {
        let what = part.as_str();
        let Some(peer) = facts.peer else { return self.mismatch_without_peer(part, facts) };
        match part {
            RuleField::Principal => mismatch_text(what, peer.without_scheme(), &self.principals),
            RuleField::Namespace => {
                mismatch_text(what, peer.namespace().unwrap_or("(none)"), &self.namespaces)
            }
            RuleField::ServiceAccount => {
                mismatch_text(what, peer.without_scheme(), &self.service_accounts)
            }
            RuleField::TrustDomain => mismatch_text(what, peer.trust_domain(), &self.trust_domains),
            _ => self.mismatch_without_peer(part, facts),
        }
    }

    fn mismatch_without_peer(&self, part: RuleField, facts: &RuleFacts<'_>) -> String {
        let what = part.as_str();
        match part {
            RuleField::Ip => mismatch_text(what, facts.connection.source(), &self.ip_blocks),
            RuleField::RemoteIp => {
                mismatch_text(what, facts.connection.remote(), &self.remote_ip_blocks)
            }
            RuleField::RequestPrincipal => token_mismatch(what, facts),
            RuleField::Principal => mismatch_text(what, "(plaintext: none)", &self.principals),
            RuleField::Namespace => mismatch_text(what, "(plaintext: none)", &self.namespaces),
            RuleField::ServiceAccount => {
                mismatch_text(what, "(plaintext: none)", &self.service_accounts)
            }
            _ => mismatch_text(what, "(plaintext: none)", &self.trust_domains),
        }
    }
}

/// Issuers and subjects are personal data: the text says only whether there was a token.
fn token_mismatch(what: &str, facts: &RuleFacts<'_>) -> String {
    match facts.http {
        HttpKnowledge::Assume(_) => without_request(what),
        HttpKnowledge::Request(request) if request.token.is_none() => {
            format!("{what}: there is no token")
        }
        HttpKnowledge::Request(_) => format!("{what}: the token is not one the rule wants"),
    }
}

/// As with tokens, the text says only whether there was a key.
fn api_key_mismatch(what: &str, facts: &RuleFacts<'_>) -> String {
    match facts.http {
        HttpKnowledge::Assume(_) => without_request(what),
        HttpKnowledge::Request(request) if request.api_key.is_none() => {
            format!("{what}: there is no API key")
        }
        HttpKnowledge::Request(_) => format!("{what}: the API key is not one the rule wants"),
    }
}

impl Operation {
    fn mismatch_text(&self, part: RuleField, facts: &RuleFacts<'_>) -> String {
        let what = part.as_str();
        let HttpKnowledge::Request(request) = facts.http else {
            return match part {
                RuleField::Port => {
                    mismatch_text(what, facts.connection.destination.port(), &self.ports)
                }
                _ => without_request(what),
            };
        };
        match part {
            RuleField::Method => mismatch_text(what, request.method, &self.methods),
            RuleField::Host => mismatch_text(what, request.host, &self.hosts),
            RuleField::Path => {
                mismatch_text(what, observed_path(request.path, &self.paths), &self.paths)
            }
            _ => mismatch_text(what, facts.connection.destination.port(), &self.ports),
        }
    }
}

/// The path, and how an app may read it where that is what the rule does not take: an `ALLOW` rule must match every
/// reading.
fn observed_path(path: &CanonicalPath<'_>, field: &FieldPatterns<PathPattern>) -> String {
    let shown = path.as_str();
    let alone = |pattern: &PathPattern| pattern.matches_canonical(path);
    match path.decoded() {
        _ if !field.holds(alone) => shown.to_owned(),
        Some(reading) => format!("{shown}, which an app may read as {}", reading.escape_debug()),
        None if path.raw() != shown => {
            format!("{shown}, which was sent as {}", path.raw().escape_debug())
        }
        None => shown.to_owned(),
    }
}

impl Condition {
    /// The key as policies write it.
    pub(crate) fn key(&self) -> String {
        match self {
            Self::Header(name, _) => format!("request.headers[{name}]"),
            Self::TokenClaim(path, _) => format!("request.auth.claims[{}]", path.join("][")),
            Self::ApiKey(part, _) => format!("request.auth.apiKey[{}]", part.as_str()),
            Self::SourceIp(_) => "source.ip".into(),
            Self::RemoteIp(_) => "remote.ip".into(),
            Self::SourceNamespace(_) => "source.namespace".into(),
            Self::SourcePrincipal(_) => "source.principal".into(),
            Self::SourceTrustDomain(_) => "source.trustDomain".into(),
            Self::SourceServiceAccount(_) => "source.serviceAccount".into(),
            Self::TokenPrincipal(_) => "request.auth.principal".into(),
            Self::TokenAudiences(_) => "request.auth.audiences".into(),
            Self::TokenPresenter(_) => "request.auth.presenter".into(),
            Self::DestinationIp(_) => "destination.ip".into(),
            Self::DestinationPort(_) => "destination.port".into(),
            Self::Sni(_) => "connection.sni".into(),
        }
    }

    fn weight(&self) -> u32 {
        match self {
            Self::SourceNamespace(_)
            | Self::SourcePrincipal(_)
            | Self::SourceTrustDomain(_)
            | Self::SourceServiceAccount(_) => WEIGHT_OF_CALLER,
            _ => 1,
        }
    }

    fn mismatch_text(&self, facts: &RuleFacts<'_>) -> String {
        let key = self.key();
        let peer = facts.peer.map_or("(plaintext: none)", |peer| peer.without_scheme());
        match self {
            Self::SourceIp(field) => mismatch_text(&key, facts.connection.source(), field),
            Self::RemoteIp(field) => mismatch_text(&key, facts.connection.remote(), field),
            Self::DestinationIp(field) => {
                mismatch_text(&key, facts.connection.destination.ip(), field)
            }
            Self::DestinationPort(field) => {
                mismatch_text(&key, facts.connection.destination.port(), field)
            }
            Self::Sni(field) => {
                mismatch_text(&key, facts.connection.sni.unwrap_or("(none)"), field)
            }
            Self::SourceNamespace(field) | Self::SourceTrustDomain(field) => {
                mismatch_text(&key, peer, field)
            }
            Self::SourcePrincipal(field) => mismatch_text(&key, peer, field),
            Self::SourceServiceAccount(field) => mismatch_text(&key, peer, field),
            Self::Header(..) => match facts.http {
                HttpKnowledge::Request(_) => format!("{key}: absent, or not what the rule wants"),
                HttpKnowledge::Assume(_) => without_request(&key),
            },
            Self::TokenPrincipal(_)
            | Self::TokenAudiences(_)
            | Self::TokenPresenter(_)
            | Self::TokenClaim(..) => token_mismatch(&key, facts),
            Self::ApiKey(..) => api_key_mismatch(&key, facts),
        }
    }
}
