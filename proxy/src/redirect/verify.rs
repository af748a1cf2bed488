//! What is loaded against what should be: finds a table that is gone, was made with other flags, or
//! was edited since.

use serde_json::Value;

use super::interception::InterceptionRules;
use super::ruleset::rule::{Chain, Rule, Verdict};
use super::ruleset::{self, TABLE};

/// Most differences named in one run; the first few tell the story.
const LIMIT: usize = 20;

/// Names what differs, one sentence each; empty when the table is as the settings want it.
///
/// `loaded` is the listing of [`super::nft::list_table`], `None` when there is no table.
///
/// A rule is compared by its place, its comment (which carries a fingerprint of what it says) and
/// its verdict. Somebody with the right to edit the table can forge all three: this finds
/// accidents and other tools, not an attacker who already owns the network namespace.
#[must_use]
pub fn differences(settings: &InterceptionRules, loaded: Option<&Value>) -> Vec<String> {
    let Some(loaded) = loaded else {
        return vec![format!(
            "the table inet {TABLE} is not loaded: traffic is not intercepted; run `postern-proxy redirect apply`"
        )];
    };
    let expected = ruleset::chains(settings);
    let mut found: Vec<String> =
        expected.iter().flat_map(|chain| chain_differences(chain, loaded)).collect();
    for name in items(loaded, "chain").filter_map(|chain| text(chain, "name")) {
        if !expected.iter().any(|chain| chain.name == name) {
            found.push(format!("chain {name} is not ours"));
        }
    }
    found.truncate(LIMIT);
    found
}

fn chain_differences(chain: &Chain, loaded: &Value) -> Vec<String> {
    let name = chain.name;
    let Some(there) = items(loaded, "chain").find(|item| text(item, "name") == Some(name)) else {
        return vec![format!("chain {name} is missing")];
    };
    if let Some(difference) = hook_difference(chain, there) {
        return vec![difference];
    }
    let rules: Vec<&Value> =
        items(loaded, "rule").filter(|rule| text(rule, "chain") == Some(name)).collect();
    rule_differences(chain, &rules)
}

fn hook_difference(chain: &Chain, there: &Value) -> Option<String> {
    let base = chain.base?;
    let same = text(there, "type") == Some(base.kind)
        && text(there, "hook") == Some(base.hook)
        && there.get("prio").and_then(Value::as_i64) == Some(base.priority)
        && text(there, "policy") == Some("accept");
    let name = chain.name;
    (!same).then(|| {
        format!(
            "chain {name} does not hang where it should ({} {} priority {})",
            base.kind, base.hook, base.priority
        )
    })
}

fn rule_differences(chain: &Chain, loaded: &[&Value]) -> Vec<String> {
    let name = chain.name;
    let mut found = Vec::new();
    for rule in &chain.rules {
        match loaded.iter().find(|there| text(there, "comment") == Some(&rule.comment())) {
            None => found
                .push(format!("chain {name}: missing or made with other flags: {}", rule.body())),
            Some(there) if !verdict_is(there, rule.verdict) => {
                found.push(format!("chain {name}: edited since: {}", rule.body()));
            }
            Some(_) => {}
        }
    }
    for there in loaded {
        if !chain.rules.iter().any(|rule| text(there, "comment") == Some(&rule.comment())) {
            found.push(format!(
                "chain {name}: a rule that should not be there: {}",
                described(there)
            ));
        }
    }
    if found.is_empty() && !same_order(&chain.rules, loaded) {
        found.push(format!("chain {name}: the rules are repeated or not in their order"));
    }
    found
}

fn same_order(rules: &[Rule], loaded: &[&Value]) -> bool {
    rules.len() == loaded.len()
        && rules
            .iter()
            .zip(loaded)
            .all(|(rule, there)| text(there, "comment") == Some(&rule.comment()))
}

/// The last statement of a rule is its verdict.
fn verdict_is(rule: &Value, verdict: Verdict) -> bool {
    let statement =
        rule.get("expr").and_then(Value::as_array).and_then(|statements| statements.last());
    let says = |key: &str| statement.is_some_and(|statement| statement.get(key).is_some());
    let detail = |path: &str| statement.and_then(|statement| statement.pointer(path));
    match verdict {
        Verdict::Accept => says("accept"),
        Verdict::Return => says("return"),
        Verdict::Drop => says("drop"),
        Verdict::Reset | Verdict::Prohibit => says("reject"),
        Verdict::Goto(chain) => detail("/goto/target").and_then(Value::as_str) == Some(chain),
        Verdict::Redirect(port) => {
            detail("/redirect/port").and_then(Value::as_u64) == Some(u64::from(port))
        }
    }
}

fn described(rule: &Value) -> String {
    match text(rule, "comment") {
        Some(comment) => format!("{comment:?}"),
        None => rule.get("expr").map_or_else(|| "without a comment".to_owned(), Value::to_string),
    }
}

/// The objects of one kind (`chain`, `rule`, ..) in a listing.
fn items<'a>(listing: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    let all = listing.get("nftables").and_then(Value::as_array);
    all.into_iter().flatten().filter_map(move |item| item.get(kind))
}

fn text<'a>(item: &'a Value, key: &str) -> Option<&'a str> {
    item.get(key).and_then(Value::as_str)
}
