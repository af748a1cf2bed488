//! Does a rule match? The one place where rules meet facts.

use identity::SpiffeId;
use serde_json::Value;

use crate::pattern::{AddressPattern, FieldPatterns, TextPattern};
use crate::rule::{ApiKeyField, Condition, Operation, Rule, Source};
use crate::{ApiKeyFacts, ConnectionFacts, HttpFacts, TokenClaims};

/// How a rule counts what it can't be sure of, so that a doubt never widens access (S-18).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DoubtBias {
    /// The rule allows: it matches only what it is sure of.
    Allow,
    /// The rule denies (or audits): it matches whatever it can't rule out.
    Deny,
}

/// What is known of the HTTP request.
#[derive(Clone, Copy)]
pub(crate) enum HttpKnowledge<'a> {
    /// The request.
    Request(&'a HttpFacts<'a>),
    /// None yet, or none at all: take every HTTP field as holding (`true`) or failing (`false`).
    Assume(bool),
}

/// What is known of the client behind the peer.
#[derive(Clone, Copy)]
pub(crate) enum RemoteKnowledge {
    /// Its address.
    Known,
    /// A request may still name one: take every field about it as holding (`true`) or failing (`false`).
    Assume(bool),
}

/// All that a rule can ask about.
#[derive(Clone, Copy)]
pub(crate) struct RuleFacts<'a> {
    pub(crate) connection: &'a ConnectionFacts<'a>,
    /// The peer as the port's mTLS mode lets it count.
    pub(crate) peer: Option<&'a SpiffeId>,
    pub(crate) http: HttpKnowledge<'a>,
    pub(crate) remote: RemoteKnowledge,
    pub(crate) bias: DoubtBias,
}

/// A field of a source or an operation, by the word that answers use for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RuleField {
    Principal,
    Namespace,
    ServiceAccount,
    TrustDomain,
    Ip,
    RemoteIp,
    RequestPrincipal,
    Port,
    Method,
    Host,
    Path,
}

impl Rule {
    pub(crate) fn matches(&self, facts: &RuleFacts<'_>) -> bool {
        (self.from.is_empty() || self.from.iter().any(|source| source.matches(facts)))
            && (self.to.is_empty() || self.to.iter().any(|operation| operation.matches(facts)))
            && self.when.iter().all(|condition| condition.matches(facts))
    }
}

impl Source {
    pub(crate) fn matches(&self, facts: &RuleFacts<'_>) -> bool {
        self.judge(facts, &mut |_, holds| holds)
    }

    /// Calls `go_on` with each field and whether it holds, until it returns false; `true` when it never does.
    pub(crate) fn judge(
        &self,
        facts: &RuleFacts<'_>,
        go_on: &mut (impl FnMut(RuleField, bool) -> bool + ?Sized),
    ) -> bool {
        let peer = |test: &dyn Fn(&SpiffeId) -> bool| facts.peer.is_some_and(test);
        go_on(RuleField::Principal, self.principals.holds(|id| peer(&|p| id.matches(p))))
            && go_on(
                RuleField::Namespace,
                self.namespaces.holds(|text| peer(&|p| namespace_matches(text, p))),
            )
            && go_on(
                RuleField::ServiceAccount,
                self.service_accounts.holds(|account| peer(&|p| account.matches(p))),
            )
            && go_on(
                RuleField::TrustDomain,
                self.trust_domains.holds(|text| peer(&|p| text.matches(p.trust_domain()))),
            )
            && go_on(
                RuleField::Ip,
                self.ip_blocks.holds(|block| block.matches(facts.connection.source())),
            )
            && go_on(RuleField::RemoteIp, facts.remote_field(&self.remote_ip_blocks))
            && go_on(
                RuleField::RequestPrincipal,
                facts.http_field(&self.request_principals, |field, request| {
                    field.holds(|pattern| request.token.is_some_and(|token| pattern.matches(token)))
                }),
            )
    }
}

/// On the parsed id: a trust domain or path piece that merely looks like `/ns/x/` has no namespace.
pub(crate) fn namespace_matches(pattern: &TextPattern, peer: &SpiffeId) -> bool {
    peer.namespace().is_some_and(|namespace| pattern.matches(namespace))
}

impl Operation {
    pub(crate) fn matches(&self, facts: &RuleFacts<'_>) -> bool {
        self.judge(facts, &mut |_, holds| holds)
    }

    /// Calls `go_on` with each field and whether it holds, until it returns false; `true` when it never does.
    pub(crate) fn judge(
        &self,
        facts: &RuleFacts<'_>,
        go_on: &mut (impl FnMut(RuleField, bool) -> bool + ?Sized),
    ) -> bool {
        let port = facts.connection.destination.port();
        go_on(RuleField::Port, self.ports.holds(|wanted| *wanted == port))
            && go_on(
                RuleField::Method,
                facts.http_field(&self.methods, |field, request| {
                    field.holds(|m| m.matches(request.method))
                }),
            )
            && go_on(
                RuleField::Host,
                facts.http_field(&self.hosts, |field, request| {
                    field.holds(|h| h.matches(request.host))
                }),
            )
            && go_on(
                RuleField::Path,
                facts.http_field(&self.paths, |field, request| {
                    let path = request.path;
                    holds_in_readings(
                        field,
                        facts.bias,
                        |p| p.matches_all_readings(path),
                        |p| p.matches_any_reading(path),
                    )
                }),
            )
    }
}

/// A field over a fact with several readings: an allowing rule needs X in all readings and notX in none; a denying one
/// takes X in any reading, and does not apply because of notX only where notX holds in all.
pub(crate) fn holds_in_readings<T>(
    field: &FieldPatterns<T>,
    bias: DoubtBias,
    in_all: impl Fn(&T) -> bool,
    in_any: impl Fn(&T) -> bool,
) -> bool {
    let sure = |value: &T, sure: bool| if sure { in_all(value) } else { in_any(value) };
    let allows = bias == DoubtBias::Allow;
    (field.any_of.is_empty() || field.any_of.iter().any(|value| sure(value, allows)))
        && !field.none_of.iter().any(|value| sure(value, !allows))
}

impl Condition {
    pub(crate) fn matches(&self, facts: &RuleFacts<'_>) -> bool {
        let connection = facts.connection;
        let peer = |test: &dyn Fn(&SpiffeId) -> bool| facts.peer.is_some_and(test);
        match self {
            Self::SourceIp(field) => field.holds(|block| block.matches(connection.source())),
            Self::RemoteIp(field) => facts.remote_field(field),
            Self::DestinationIp(field) => {
                field.holds(|block| block.matches(connection.destination.ip().to_canonical()))
            }
            Self::DestinationPort(field) => {
                field.holds(|port| *port == connection.destination.port())
            }
            Self::Sni(field) => {
                field.holds(|text| connection.sni.is_some_and(|sni| text.matches(sni)))
            }
            Self::SourceNamespace(field) => {
                field.holds(|text| peer(&|p| namespace_matches(text, p)))
            }
            Self::SourcePrincipal(field) => field.holds(|id| peer(&|p| id.matches(p))),
            Self::SourceTrustDomain(field) => {
                field.holds(|text| peer(&|p| text.matches(p.trust_domain())))
            }
            Self::SourceServiceAccount(field) => {
                field.holds(|account| peer(&|p| account.matches(p)))
            }
            Self::Header(name, field) => facts
                .http_field(field, |field, request| header_holds(name, field, request, facts.bias)),
            Self::TokenPrincipal(field) => facts.http_field(field, |field, request| {
                field.holds(|pattern| request.token.is_some_and(|token| pattern.matches(token)))
            }),
            Self::TokenAudiences(field) => facts.http_field(field, |field, request| {
                let audiences = request.token.map(|token| &*token.audiences).unwrap_or_default();
                field.holds(|text| audiences.iter().any(|audience| text.matches(audience)))
            }),
            Self::TokenPresenter(field) => facts.http_field(field, |field, request| {
                claim_holds(&["azp"], field, request.token, facts.bias)
            }),
            Self::TokenClaim(path, field) => facts.http_field(field, |field, request| {
                claim_holds(path, field, request.token, facts.bias)
            }),
            Self::ApiKey(part, field) => facts.http_field(field, |field, request| {
                field.holds(|pattern| request.api_key.is_some_and(|key| part.matches(key, pattern)))
            }),
        }
    }
}

impl RuleFacts<'_> {
    /// Judges a field about the client behind the peer.
    fn remote_field(&self, field: &FieldPatterns<AddressPattern>) -> bool {
        match self.remote {
            _ if field.is_empty() => true,
            RemoteKnowledge::Assume(holds) => holds,
            RemoteKnowledge::Known => field.holds(|block| block.matches(self.connection.remote())),
        }
    }

    /// Judges a field that only an HTTP request can satisfy.
    fn http_field<T>(
        &self,
        field: &FieldPatterns<T>,
        judge: impl FnOnce(&FieldPatterns<T>, &HttpFacts<'_>) -> bool,
    ) -> bool {
        match self.http {
            _ if field.is_empty() => true,
            HttpKnowledge::Assume(holds) => holds,
            HttpKnowledge::Request(request) => judge(field, request),
        }
    }
}

impl ApiKeyField {
    fn matches(self, key: &ApiKeyFacts, pattern: &TextPattern) -> bool {
        match self {
            Self::Id => pattern.matches(&*key.id),
            Self::Client => pattern.matches(&*key.client),
            Self::Scopes => key.scopes.iter().any(|scope| pattern.matches(&**scope)),
        }
    }
}

/// A header condition (S-15). A header has a value for each line and each piece between commas, because apps take
/// either. An allowing rule needs *all* of them to match and none to be unwanted; a denying one fires if *any* does.
fn header_holds(
    name: &str,
    field: &FieldPatterns<TextPattern>,
    request: &HttpFacts<'_>,
    bias: DoubtBias,
) -> bool {
    let mut seen = HeaderMatches {
        lines: 0,
        all_wanted: true,
        any_wanted: false,
        all_unwanted: true,
        any_unwanted: false,
    };
    request.headers.values(name, &mut |line| seen.line(line, field));
    let present = seen.lines > 0;
    let wanted = field.any_of.is_empty()
        || match bias {
            DoubtBias::Allow => present && seen.all_wanted,
            DoubtBias::Deny => seen.any_wanted,
        };
    let unwanted = match bias {
        DoubtBias::Allow => seen.any_unwanted,
        DoubtBias::Deny => present && seen.all_unwanted && !field.none_of.is_empty(),
    };
    wanted && !unwanted
}

/// How the values of one header compare to a condition's patterns.
struct HeaderMatches {
    lines: usize,
    all_wanted: bool,
    any_wanted: bool,
    all_unwanted: bool,
    any_unwanted: bool,
}

impl HeaderMatches {
    fn line(&mut self, line: &[u8], field: &FieldPatterns<TextPattern>) {
        self.lines += 1;
        let line = line.trim_ascii();
        // A value that holds a comma may be one value to the app: a denying rule looks at it whole, too, and an
        // allowing one may name it whole and exactly.
        let mut whole = false;
        if line.contains(&b',') {
            let exact = |p: &TextPattern| matches!(p, TextPattern::Exact(_)) && p.matches(line);
            whole = field.any_of.iter().any(exact);
            self.any_wanted |= any(&field.any_of, line);
            self.any_unwanted |= any(&field.none_of, line);
        }
        for piece in line.split(|b| *b == b',') {
            let piece = piece.trim_ascii();
            let (wanted, unwanted) = (any(&field.any_of, piece), any(&field.none_of, piece));
            self.all_wanted &= wanted || whole;
            self.any_wanted |= wanted;
            self.all_unwanted &= unwanted;
            self.any_unwanted |= unwanted;
        }
    }
}

fn any(patterns: &[TextPattern], value: &[u8]) -> bool {
    patterns.iter().any(|pattern| pattern.matches(value))
}

/// A claim matches as a string, or by any element of a list. A claim of another type can't be judged: the bias decides.
fn claim_holds<N: AsRef<str>>(
    path: &[N],
    field: &FieldPatterns<TextPattern>,
    token: Option<&TokenClaims>,
    bias: DoubtBias,
) -> bool {
    let Some(claim) = token.and_then(|token| claim_at(path, token)) else {
        return field.holds(|_| false);
    };
    let words = matches!(path, [name] if matches!(name.as_ref(), "scope" | "permission"));
    match claim {
        Value::String(text) if words => {
            field.holds(|p| text.split_ascii_whitespace().any(|word| p.matches(word)))
        }
        Value::String(text) => field.holds(|p| p.matches(text)),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            field.holds(|p| items.iter().filter_map(Value::as_str).any(|item| p.matches(item)))
        }
        _ => bias == DoubtBias::Deny,
    }
}

fn claim_at<'t, N: AsRef<str>>(path: &[N], token: &'t TokenClaims) -> Option<&'t Value> {
    let (first, rest) = path.split_first()?;
    let root = token.claims.get(first.as_ref())?;
    rest.iter().try_fold(root, |value, name| value.get(name.as_ref()))
}
