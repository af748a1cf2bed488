//! S-18: the snapshot against a small reference evaluator that is written to be read, not to be fast.
//!
//! The reference knows no types, no index and no parser: a rule is lists of (field, values), and every field is spelled
//! out from the language's description.

use proptest::prelude::*;

use super::*;

/// A policy as written. Every field is `(name, values)`; a leading `not` negates.
#[derive(Debug, Clone)]
struct ReferencePolicy {
    deny: bool,
    selected: bool,
    rules: Vec<ReferenceRule>,
}

#[derive(Debug, Clone)]
struct ReferenceRule {
    from: Vec<Vec<ReferenceField>>,
    to: Vec<Vec<ReferenceField>>,
    /// (key, values, notValues)
    when: Vec<(&'static str, Vec<&'static str>, Vec<&'static str>)>,
}

type ReferenceField = (&'static str, Vec<&'static str>);

// ---- the reference ----

/// "allow" or "deny".
fn reference(policies: &[ReferencePolicy], ask: &TestRequest, http: bool) -> &'static str {
    let selected = || policies.iter().filter(|policy| policy.selected);
    let matches = |policy: &ReferencePolicy| {
        policy.rules.iter().any(|rule| rule_matches(rule, ask, http, policy.deny))
    };
    let mut allows = selected().filter(|policy| !policy.deny).peekable();
    if selected().any(|policy| policy.deny && matches(policy)) {
        "deny"
    } else if allows.peek().is_some() && allows.any(matches) {
        "allow"
    } else {
        "deny"
    }
}

fn rule_matches(rule: &ReferenceRule, ask: &TestRequest, http: bool, deny: bool) -> bool {
    let fields = rule.from.iter().chain(&rule.to).flatten().map(|(name, _)| *name);
    let names_http = fields.chain(rule.when.iter().map(|(key, _, _)| *key)).any(is_http_field);
    if names_http && !http && !deny {
        return false;
    }
    let holds = |parts: &Vec<Vec<ReferenceField>>| {
        let part_holds = |part: &Vec<ReferenceField>| {
            part.iter().all(|(name, values)| field_holds(name, values, ask, http, deny))
        };
        parts.is_empty() || parts.iter().any(part_holds)
    };
    let condition_holds =
        |(key, values, not_values): &(&'static str, Vec<&'static str>, Vec<&'static str>)| {
            (values.is_empty() || field_holds(key, values, ask, http, deny))
                && (not_values.is_empty()
                    || field_holds(&format!("not{key}"), not_values, ask, http, deny))
        };
    holds(&rule.from) && holds(&rule.to) && rule.when.iter().all(condition_holds)
}

fn is_http_field(name: &str) -> bool {
    let name = plain(name).0;
    [
        "hosts",
        "methods",
        "paths",
        "requestprincipals",
        "request.headers[x]",
        "request.auth.claims[g]",
        "request.auth.apikey[scopes]",
    ]
    .contains(&&*name)
}

/// The field's name without its `not`, in lower case, and whether it was there.
fn plain(name: &str) -> (String, bool) {
    match name.strip_prefix("not") {
        Some(name) => (name.to_lowercase(), true),
        None => (name.to_lowercase(), false),
    }
}

/// A field holds when the fact has the values it asks for. A fact of several values or readings: a denying rule is
/// content with any, an allowing rule wants all; for `not` it is the other way round. A claim or audience list always
/// counts by any.
fn field_holds(name: &str, values: &[&str], ask: &TestRequest, http: bool, deny: bool) -> bool {
    if is_http_field(name) && !http {
        return true;
    }
    let (name, negated) = plain(name);
    let facts = facts(&name, ask, deny != negated);
    let is_match = |fact: &String| values.iter().any(|value| value_matches(&name, value, fact));
    let is_list = ["request.auth.claims[g]", "request.auth.apikey[scopes]"].contains(&&*name);
    let by_any = is_list || deny != negated;
    let holds = if by_any {
        facts.iter().any(is_match)
    } else {
        !facts.is_empty() && facts.iter().all(is_match)
    };
    holds != negated
}

/// The values of a fact; none when it is absent. `wide`: every reading counts, as sent included.
fn facts(name: &str, ask: &TestRequest, wide: bool) -> Vec<String> {
    let peer = ask.peer.map(|id| SpiffeId::parse(&format!("spiffe://{id}")).unwrap());
    let one = |text: Option<String>| text.into_iter().collect();
    match name {
        "principals" | "source.principal" => one(ask.peer.map(str::to_owned)),
        "namespaces" => one(peer.and_then(|id| id.namespace().map(str::to_owned))),
        "trustdomains" => one(peer.map(|id| id.trust_domain().to_owned())),
        "serviceaccounts" => {
            one(peer.and_then(|id| Some(format!("{}/{}", id.namespace()?, id.service_account()?))))
        }
        "ipblocks" => vec![ask.source.replace("::ffff:", "")],
        "ports" => vec![ask.destination.rsplit(':').next().unwrap().to_owned()],
        "methods" => vec![ask.method.to_owned()],
        "hosts" => vec![ask.host.to_lowercase()],
        "requestprincipals" => one(ask
            .token
            .as_ref()
            .and_then(|t| Some(format!("{}/{}", t.issuer, t.subject.as_ref()?)))),
        "request.auth.claims[g]" => {
            let claims =
                ask.token.as_ref().and_then(|token| token.claims.get("g")?.as_array().cloned());
            claims
                .unwrap_or_default()
                .iter()
                .map(|claim| claim.as_str().unwrap().to_owned())
                .collect()
        }
        "request.auth.apikey[scopes]" => {
            let scopes = ask.api_key.iter().flat_map(|key| &key.scopes);
            scopes.map(|scope| scope.to_string()).collect()
        }
        "request.headers[x]" => {
            let lines = ask.headers.iter().map(|(_, line)| line.as_str());
            lines.flat_map(|line| line.split(',')).map(|piece| piece.trim().to_owned()).collect()
        }
        "paths" => {
            let path = CanonicalPath::parse(ask.path, PathNormalization::default()).unwrap();
            let readings = [Some(path.as_str()), path.decoded(), Some(path.raw()).filter(|_| wide)];
            readings.into_iter().flatten().map(str::to_owned).collect()
        }
        _ => panic!("unknown fact {name}"),
    }
}

fn value_matches(name: &str, value: &str, fact: &str) -> bool {
    match name {
        "ipblocks" => value == fact || (value == "10.0.0.0/8" && fact.starts_with("10.")),
        "hosts" => text_matches(&value.to_lowercase(), fact),
        _ => text_matches(value, fact),
    }
}

fn text_matches(pattern: &str, fact: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(""), _) => !fact.is_empty(),
        (Some(suffix), _) => fact.ends_with(suffix),
        (_, Some(prefix)) => fact.starts_with(prefix),
        _ => fact == pattern,
    }
}

// ---- what is tried ----

/// Fields and the values they are filled with; small sets, so that matches and near misses are common.
const SOURCE: &[(&str, &[&str])] = &[
    ("principals", &["td/ns/a/sa/x", "td/ns/b/sa/x", "td/ns/a/*", "td2/*", "*/sa/y", "*"]),
    ("namespaces", &["a", "b", "a*", "*"]),
    ("serviceAccounts", &["a/x", "b/y"]),
    ("trustDomains", &["td", "td2", "td*"]),
    ("ipBlocks", &["10.0.0.7", "10.0.0.0/8", "192.0.2.1"]),
    ("requestPrincipals", &["https://i/u", "https://i/v", "*"]),
];
const OPERATION: &[(&str, &[&str])] = &[
    ("ports", &["80", "81"]),
    ("methods", &["GET", "POST", "P*"]),
    ("hosts", &["h.one", "*.One", "g.two", "H.*"]),
    ("paths", &["/p", "/p/*", "/q", "*/r", "*"]),
];
const CONDITION: &[(&str, &[&str])] = &[
    ("source.principal", &["td/ns/a/sa/x", "*"]),
    ("request.headers[x]", &["1", "2", "1*"]),
    ("request.auth.claims[g]", &["m", "n"]),
    ("request.auth.apiKey[scopes]", &["read", "write", "*"]),
];

/// A small generator: the same seed, the same case.
struct CaseGenerator(u64);

impl CaseGenerator {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len())]
    }

    fn values(&mut self, of: &[&'static str]) -> Vec<&'static str> {
        (0..=self.roll(2)).map(|_| self.pick(of)).collect()
    }

    fn fields(
        &mut self,
        of: &'static [(&'static str, &'static [&'static str])],
    ) -> Vec<ReferenceField> {
        let mut fields: Vec<ReferenceField> = Vec::new();
        for _ in 0..=self.roll(2) {
            let (name, values) = self.pick(of);
            let name = if self.roll(3) == 0 { negated(name) } else { name };
            let accounts = |name: &str| name.to_lowercase().contains("serviceaccounts");
            let clash =
                fields.iter().any(|(other, _)| *other == name || accounts(other) || accounts(name));
            if !clash {
                fields.push((name, self.values(values)));
            }
        }
        fields
    }

    fn rule(&mut self) -> ReferenceRule {
        let from = (0..self.roll(3)).map(|_| self.fields(SOURCE)).collect();
        let to = (0..self.roll(3)).map(|_| self.fields(OPERATION)).collect();
        let mut rule = ReferenceRule { from, to, when: Vec::new() };
        if self.roll(3) == 0 {
            let (key, values) = self.pick(CONDITION);
            let (yes, no) = (self.values(values), self.values(values));
            rule.when = vec![match self.roll(3) {
                0 => (key, yes, Vec::new()),
                1 => (key, Vec::new(), no),
                _ => (key, yes, no),
            }];
        }
        rule
    }

    fn policy(&mut self) -> ReferencePolicy {
        let deny = self.roll(3) == 0;
        // DENY without rules is refused: it would never fire.
        let rules = (0..self.roll(4).max(usize::from(deny))).map(|_| self.rule()).collect();
        ReferencePolicy { deny, selected: self.roll(5) > 0, rules }
    }

    fn ask(&mut self) -> TestRequest {
        let peers = [
            None,
            Some("td/ns/a/sa/x"),
            Some("td/ns/b/sa/y"),
            Some("td2/ns/a/sa/y"),
            Some("td/other"),
            Some("td/ns/ab/sa/x"),
        ];
        let token = match self.roll(3) {
            0 => None,
            _ => Some(TokenClaims {
                issuer: "https://i".into(),
                subject: Some(self.pick(&["u", "v"]).into()),
                audiences: Vec::new(),
                claims: [(
                    "g".to_owned(),
                    serde_json::json!(
                        (0..self.roll(3)).map(|_| self.pick(&["m", "n", "o"])).collect::<Vec<_>>()
                    ),
                )]
                .into_iter()
                .collect(),
            }),
        };
        let scopes = |of: &mut Self| {
            (0..of.roll(3)).map(|_| of.pick(&["read", "write", "other"]).into()).collect()
        };
        let api_key = match self.roll(3) {
            0 => None,
            _ => Some(ApiKeyFacts { scopes: scopes(self), ..ApiKeyFacts::default() }),
        };
        let headers = (0..self.roll(3))
            .map(|_| ("x".to_owned(), self.pick(&["1", "2", "11", "1, 2", "3,1", ""]).to_owned()))
            .collect();
        TestRequest {
            peer: self.pick(&peers),
            source: self.pick(&["10.0.0.7", "::ffff:10.0.0.7", "10.9.9.9", "192.0.2.1"]),
            destination: self.pick(&["10.0.0.9:80", "10.0.0.9:81"]),
            method: self.pick(&["GET", "POST", "PUT"]),
            host: self.pick(&["h.one", "H.ONE", "g.two", "x.one"]),
            path: self.pick(&["/p", "//p", "/p/r", "/p%2Fr", "/q/../p/x", "/q", "/%70"]),
            headers,
            token,
            api_key,
            ..TestRequest::default()
        }
    }
}

fn negated(name: &str) -> &'static str {
    let all = [
        "notPrincipals",
        "notNamespaces",
        "notServiceAccounts",
        "notTrustDomains",
        "notIpBlocks",
        "notRequestPrincipals",
        "notPorts",
        "notMethods",
        "notHosts",
        "notPaths",
    ];
    all.into_iter().find(|not| not[3..].eq_ignore_ascii_case(name)).unwrap()
}

/// The policies as YAML (JSON is YAML).
fn written(policies: &[ReferencePolicy]) -> String {
    let fields = |fields: &Vec<ReferenceField>| -> serde_json::Value {
        fields
            .iter()
            .map(|(name, values)| ((*name).to_owned(), serde_json::json!(values)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let rule = |rule: &ReferenceRule| {
        let mut map = serde_json::Map::new();
        let mut put = |key: &str, items: Vec<serde_json::Value>| {
            if !items.is_empty() {
                map.insert(key.to_owned(), items.into());
            }
        };
        put("from", rule.from.iter().map(|f| serde_json::json!({"source": fields(f)})).collect());
        put("to", rule.to.iter().map(|f| serde_json::json!({"operation": fields(f)})).collect());
        let conditions = rule.when.iter().map(|(key, yes, no)| {
            let mut condition = serde_json::json!({"key": key});
            for (name, values) in [("values", yes), ("notValues", no)] {
                if !values.is_empty() {
                    condition[name] = serde_json::json!(values);
                }
            }
            condition
        });
        put("when", conditions.collect());
        serde_json::Value::from(map)
    };
    let mut text = String::from("# generated\n");
    for (index, policy) in policies.iter().enumerate() {
        let spec = serde_json::json!({
            "action": if policy.deny { "DENY" } else { "ALLOW" },
            "selector": {"matchLabels": {"app": if policy.selected { "cart" } else { "other" }}},
            "rules": policy.rules.iter().map(rule).collect::<Vec<_>>(),
        });
        text.push_str(&super::policy(&format!("p{index}"), &spec.to_string()));
    }
    text
}

fn sets() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|sets| sets.parse().ok()).unwrap_or(2000)
}

proptest! {
    // 2,000 policy sets with 10 requests each, as HTTP and as TCP: 40,000 verdicts. The long run,
    // `PROPTEST_CASES=50000 cargo test -p policy --release against_the_reference`, has a million.
    #![proptest_config(ProptestConfig::with_cases(sets()))]

    #[test]
    fn s18_policy_semantics_against_the_reference(seed: u64) {
        let mut dice = CaseGenerator(seed);
        let policies: Vec<ReferencePolicy> = (0..=dice.roll(4)).map(|_| dice.policy()).collect();
        let text = written(&policies);
        let snapshot = snapshot(&text);
        for _ in 0..10 {
            let ask = dice.ask();
            let (http, tcp) = (ask.verdict(&snapshot), ask.opaque_verdict(&snapshot));
            prop_assert_eq!(http.split(' ').next(), Some(reference(&policies, &ask, true)), "{}\n{:?}\n{}", text, ask, http);
            prop_assert_eq!(tcp.split(' ').next(), Some(reference(&policies, &ask, false)), "TCP {}\n{:?}\n{}", text, ask, tcp);
            let before = ask.connection_verdict(&snapshot);
            let before = before.split(' ').next().unwrap();
            prop_assert!(before == "undecided" || (http.starts_with(before) && tcp.starts_with(before)), "{}\n{:?}\n{} {} {}", text, ask, before, http, tcp);
        }
    }
}
