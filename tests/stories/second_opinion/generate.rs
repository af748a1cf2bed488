//! Policies and requests by the dice: the same seed, the same case.
//!
//! The words are few, so that matches and near misses are common. Odd spellings of paths are among the requests, but
//! only those that both sides read alike; the others are the table of `differences`.

use serde_json::{Map, Value, json};

use super::{PORTS, Question};

/// The callers of random requests, as rows of [`super::PEERS`].
const CALLERS: usize = 6;

/// Fields of a source, each with the values it is filled with.
const SOURCE: &[(&str, &[&str])] = &[
    (
        "principals",
        &[
            "cluster.local/ns/shop/sa/web",
            "cluster.local/ns/shop/*",
            "partner.example/*",
            "cluster.local/ns/shop*",
            "*/sa/web",
            "*.v2",
            "*",
        ],
    ),
    ("namespaces", &["shop", "bank", "shop*", "*-eu", "*"]),
    ("serviceAccounts", &["shop/web", "bank/web", "shop-eu/web.v2"]),
    ("trustDomains", &["cluster.local", "partner.example"]),
    ("ipBlocks", &["127.0.0.10", "127.0.0.8/30", "10.0.0.0/8"]),
];

/// Fields of an operation.
const OPERATION: &[(&str, &[&str])] = &[
    ("ports", &["8080", "8081"]),
    ("methods", &["GET", "POST", "P*", "*"]),
    ("hosts", &["h.one", "*.One", "g.two", "H.*", "*"]),
    ("paths", &["/p", "/p/*", "/q", "*/r", "/p/{*}/r", "/p/{**}", "*"]),
];

/// Keys of conditions.
const CONDITION: &[(&str, &[&str])] = &[
    ("request.headers[x-tier]", &["gold", "silver", "g*", "*d", "*"]),
    ("source.principal", &["cluster.local/ns/shop/sa/web", "*/sa/batch", "*"]),
    ("source.namespace", &["shop", "shop-*"]),
    ("source.ip", &["127.0.0.11", "127.0.0.12/31"]),
    ("destination.port", &["8080"]),
];

/// What is asked for. No pattern above names what the odd ones climb out of, so a rule that also judges the path as it
/// was sent finds nothing more there.
const PATHS: &[&str] = &[
    "/p",
    "/p/",
    "/p/a",
    "/p/a/r",
    "/p/a/b/r",
    "/q",
    "/q?p=/p",
    "/x/r",
    "//p",
    "/p//a",
    "/zz/../p/a",
    "/p/./a",
    "/%70",
    "/q/%72",
    "/zz/%2e%2E/q",
    "/p\\a",
    "/p;v=1",
    "/P",
    "/",
];

/// A small generator of numbers.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.roll(from.len())]
    }

    /// One to four policies, at least one of which allows: without any we deny by default, and Envoy does not.
    pub(super) fn policies(&mut self) -> Vec<Value> {
        let allows = 1 + self.roll(2);
        let denies = self.roll(3);
        let actions = ["ALLOW", "DENY"].into_iter().zip([allows, denies]);
        let actions = actions.flat_map(|(action, count)| std::iter::repeat_n(action, count));
        actions.enumerate().map(|(number, action)| self.policy(number, action)).collect()
    }

    fn policy(&mut self, number: usize, action: &str) -> Value {
        let count = if action == "ALLOW" { 1 + self.roll(3) } else { 1 };
        let rules: Vec<Value> = (0..count).map(|_| self.rule(action == "DENY")).collect();
        super::policy(&format!("p{number}"), action, &Value::from(rules))
    }

    /// A rule that denies names more, so that something is left to allow.
    fn rule(&mut self, narrow: bool) -> Value {
        let mut rule = Map::new();
        let parts = |dice: &mut Self, word: &str, fields: &[(&str, &[&str])]| {
            let parts = (0..=dice.roll(2)).map(|_| json!({word: dice.part(fields)}));
            parts.collect::<Vec<_>>()
        };
        if narrow || self.roll(3) > 0 {
            rule.insert("from".into(), parts(self, "source", SOURCE).into());
        }
        if narrow || self.roll(3) > 0 {
            rule.insert("to".into(), parts(self, "operation", OPERATION).into());
        }
        if self.roll(3) == 0 {
            rule.insert("when".into(), json!([self.condition()]));
        }
        rule.into()
    }

    fn part(&mut self, fields: &[(&str, &[&str])]) -> Value {
        let mut part = Map::new();
        for _ in 0..=self.roll(3) {
            let (name, values) = fields[self.roll(fields.len())];
            let key = if self.roll(3) == 0 { negated(name) } else { name.to_owned() };
            // Service accounts stand alone: the language does not take them beside principals or namespaces.
            let accounts = |key: &str| key.ends_with("erviceAccounts");
            let clash = accounts(&key) || part.keys().any(|other| accounts(other));
            if part.is_empty() || !clash {
                part.insert(key, self.values(values));
            }
        }
        part.into()
    }

    fn condition(&mut self) -> Value {
        let (key, values) = CONDITION[self.roll(CONDITION.len())];
        match self.roll(3) {
            0 => json!({"key": key, "values": self.values(values)}),
            1 => json!({"key": key, "notValues": self.values(values)}),
            _ => {
                json!({"key": key, "values": self.values(values), "notValues": self.values(values)})
            }
        }
    }

    fn values(&mut self, of: &[&str]) -> Value {
        (0..=self.roll(2)).map(|_| self.pick(of)).collect()
    }

    pub(super) fn question(&mut self, set: usize) -> Question {
        let tier = self.pick(&["", "gold", "silver", "guild"]);
        Question {
            set,
            peer: self.roll(CALLERS),
            port: PORTS[self.roll(PORTS.len())],
            method: self.pick(&["GET", "POST", "PUT", "DELETE"]).to_owned(),
            host: self.pick(&["h.one", "H.ONE", "g.two", "x.one"]).to_owned(),
            path: self.pick(PATHS).to_owned(),
            headers: if tier.is_empty() { Vec::new() } else { vec![("x-tier", tier)] },
        }
    }
}

fn negated(name: &str) -> String {
    let (first, rest) = name.split_at(1);
    format!("not{}{rest}", first.to_uppercase())
}
