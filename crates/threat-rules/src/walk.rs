//! One walk of the rules over one request.

mod exclusions;
mod scene;

use std::borrow::Cow;
use std::rc::Rc;

use zentinel_modsec::parser::VariableName;

use crate::facts::Facts;
use crate::inspection::{Inspection, RuleMatch};
use crate::pipeline::Memo;
use crate::read::Assembled;
use crate::request::{InspectedRequest, InspectionSettings};
use crate::rule::{Change, Control, Rule, Target, Then, name_of};

use exclusions::Exclusions;
use scene::Scene;
pub(crate) use scene::{Constants, Tx};

/// The names of the paranoia level, which a policy sets and no rule.
const PARANOIA: [&[u8]; 4] = [
    b"detection_paranoia_level",
    b"blocking_paranoia_level",
    b"executing_paranoia_level",
    b"paranoia_level",
];

/// So many values that one rule matched are remembered for the next link of its chain; more than a document has.
const MOST_MATCHED: usize = 8_192;

/// What is known of a rule set before any request: where its rules begin to look at requests, and what the rules
/// before that have set.
pub(crate) struct Start {
    place: usize,
    constants: Constants,
}

impl Start {
    /// Walks the rules that set things up.
    pub(crate) fn of(set: &Assembled, paranoia: u8) -> Self {
        let mut constants = Constants::new();
        for name in PARANOIA {
            constants.insert(name.to_vec(), paranoia.to_string().into_bytes());
        }
        let nothing = Constants::new();
        let mut walk = Walk::new(set, &nothing, Facts::default(), Exclusions::default());
        walk.scene.tx.set_all(constants);
        let [rules, _] = &set.phases;
        let mut place = 0;
        while rules.get(place).is_some() && !looks_at_request(rules, place) {
            place = walk.step(rules, place);
        }
        Self { place, constants: walk.scene.tx.into_all() }
    }
}

/// Whether a rule, or a link of its chain, is more than the setting of a constant.
fn looks_at_request(rules: &[Rule], place: usize) -> bool {
    let chain = rules.iter().skip(place);
    let links = 1 + chain.clone().take_while(|rule| rule.chained).count();
    chain.take(links).any(|rule| {
        let templates = |change: &Change| match change {
            Change::Set(text) | Change::Add(text) | Change::Subtract(text) => text.is_of_rules(),
            Change::Delete => true,
        };
        rule.targets.iter().any(|target| target.variable != VariableName::Tx)
            || !rule.operator.is_of_rules()
            || !rule
                .effects
                .iter()
                .all(|effect| effect.name.is_of_rules() && templates(&effect.change))
            || !rule.controls.is_empty()
            || rule.then == Then::End
    })
}

/// Walks both phases. `None` when `go_on` said no.
pub(crate) fn inspect(
    set: &Assembled,
    start: &Start,
    request: &InspectedRequest<'_>,
    settings: &InspectionSettings<'_>,
    go_on: &dyn Fn() -> bool,
) -> Option<(Inspection, Vec<u32>)> {
    let exclusions = Exclusions::of(settings.exclusions, request.target);
    let mut walk = Walk::new(set, &start.constants, Facts::of_head(request), exclusions);
    walk.scene.index();
    let [head, body] = &set.phases;
    walk.phase(head, start.place, go_on)?;
    let forced = walk.body_as.take();
    if walk.without_body {
        walk.scene.facts.add_body(&InspectedRequest { body: b"", ..*request }, None);
    } else {
        walk.scene.facts.add_body(request, forced.as_deref());
    }
    walk.scene.index();
    walk.phase(body, 0, go_on)?;
    walk.found.incomplete = walk.scene.facts.not_read;
    Some((walk.found, walk.fired))
}

struct Walk<'s, 'r> {
    memo: Memo<'s>,
    set: &'s Assembled,
    scene: Scene<'s, 'r>,
    exclusions: Exclusions<'r>,
    found: Inspection,
    /// All rules that matched, those that only steer, too.
    fired: Vec<u32>,
    /// Of the chain that is walked: what it adds to the score, and what it matched.
    chain_score: u32,
    chain_variable: Option<String>,
    removed: Vec<&'s Control>,
    stopped: bool,
    body_as: Option<String>,
    without_body: bool,
}

impl<'s, 'r> Walk<'s, 'r> {
    fn new(
        set: &'s Assembled,
        constants: &'s Constants,
        facts: Facts<'r>,
        exclusions: Exclusions<'r>,
    ) -> Self {
        Self {
            memo: Memo::new(&set.pipelines),
            set,
            scene: Scene::new(facts, Tx::new(constants)),
            exclusions,
            found: Inspection::default(),
            fired: Vec::new(),
            chain_score: 0,
            chain_variable: None,
            removed: Vec::new(),
            stopped: false,
            body_as: None,
            without_body: false,
        }
    }

    fn phase(&mut self, rules: &'s [Rule], from: usize, go_on: &dyn Fn() -> bool) -> Option<()> {
        let mut place = from;
        while place < rules.len() && !self.stopped {
            if !go_on() {
                return None;
            }
            place = self.step(rules, place);
        }
        Some(())
    }

    /// Walks the rule at a place, with its chain; the place to go on at.
    fn step(&mut self, rules: &'s [Rule], place: usize) -> usize {
        let Some(head) = rules.get(place) else { return rules.len() };
        let links = 1 + rules.iter().skip(place).take_while(|rule| rule.chained).count();
        let after = place + links;
        if self.is_removed(head) {
            return after;
        }
        (self.chain_score, self.chain_variable) = (0, None);
        if !rules.iter().skip(place).take(links).all(|link| self.matches(link, head)) {
            return after;
        }
        self.conclude(head);
        match head.then {
            Then::Next => after,
            Then::Skip(many) => skipped(rules, after, many),
            Then::Goto(place) => place,
            Then::End => {
                self.stopped = true;
                rules.len()
            }
        }
    }

    fn is_removed(&self, rule: &Rule) -> bool {
        let Some(id) = rule.id else { return false };
        self.exclusions.of_rule(id)
            || self.removed.iter().any(|control| match control {
                Control::RemoveRules(ids) => ids.contains(&id),
                Control::RemoveTagged(tag) => rule.tags.contains(tag),
                _ => false,
            })
    }

    /// Counts and lists a rule all of whose links matched.
    fn conclude(&mut self, head: &Rule) {
        let Some(id) = head.id else { return };
        self.fired.push(id);
        let steers = head.targets.iter().all(|target| target.variable == VariableName::Tx);
        let own = if head.about.refuses && !steers { head.about.severity.score() } else { 0 };
        let score = if self.chain_score > 0 { self.chain_score } else { own };
        if score == 0 {
            return;
        }
        self.found.score = self.found.score.saturating_add(score);
        if self.found.matches.len() < Inspection::MOST_MATCHES {
            let variable = self.chain_variable.take().unwrap_or_default();
            let (group, severity) = (head.about.group, head.about.severity);
            self.found.matches.push(RuleMatch { rule: id, group, variable, severity, score });
        }
    }

    /// Whether a rule matches; what each of its matches sets is set.
    fn matches(&mut self, rule: &'s Rule, head: &'s Rule) -> bool {
        if rule.targets.is_empty() {
            return self.consider(rule, VariableName::Tx, b"", &Rc::from(&b""[..]), true);
        }
        let mut first = true;
        for target in &rule.targets {
            if target.counts {
                let count = self.count(rule, head, target).to_string();
                first &=
                    !self.consider(rule, target.variable, b"", &Rc::from(count.as_bytes()), first);
            } else if self.scene.is_of_walk(target.variable) {
                for (key, value) in self.scene.of_walk(target) {
                    if !self.left_out(rule, head, target.variable, &key) {
                        first &=
                            !self.transformed_of_walk(rule, target.variable, &key, &value, first);
                    }
                }
            } else {
                first &= !self.of_request(rule, head, target, first);
            }
        }
        !first
    }

    /// Whether a value of the request that a target selects matches.
    fn of_request(
        &mut self,
        rule: &'s Rule,
        head: &'s Rule,
        target: &Target,
        mut first: bool,
    ) -> bool {
        let mut any = false;
        for list in 0..2_usize {
            for number in 0..self.scene.many(target.variable, list) {
                let Some(place) = self.scene.place(target.variable, list, number) else { continue };
                let Some(fact) = self.scene.facts.all.get(place) else { continue };
                if !target.selector.selects(&fact.key)
                    || self.left_out(rule, head, fact.variable, &fact.key)
                {
                    continue;
                }
                let mut before: Option<Rc<[u8]>> = None;
                for stage in &rule.stages {
                    let Some(fact) = self.scene.facts.all.get(place) else { continue };
                    let value = self.memo.value(*stage, place, &fact.value);
                    if before.as_ref().is_some_and(|before| Rc::ptr_eq(before, &value)) {
                        continue;
                    }
                    before = Some(Rc::clone(&value));
                    if self.consider_fact(rule, place, &value, first) {
                        (any, first) = (true, false);
                    }
                }
            }
        }
        any
    }

    fn transformed_of_walk(
        &mut self,
        rule: &'s Rule,
        variable: VariableName,
        key: &[u8],
        value: &[u8],
        first: bool,
    ) -> bool {
        let mut any = false;
        for stage in &rule.stages {
            let value = self.set.pipelines.apply(*stage, Rc::from(value));
            any |= self.consider(rule, variable, key, &value, first && !any);
        }
        any
    }

    fn consider_fact(
        &mut self,
        rule: &'s Rule,
        place: usize,
        value: &Rc<[u8]>,
        first: bool,
    ) -> bool {
        let answer = rule.operator.ask(value, rule.captures, |place| self.scene.fill(place));
        if answer.holds == rule.negated {
            return false;
        }
        let Some(fact) = self.scene.facts.all.get(place) else { return false };
        let (variable, key) = (fact.variable, fact.key.to_vec());
        self.matched(rule, variable, &key, value, answer.captured, first);
        true
    }

    /// Asks the rule's operator about a value.
    fn consider(
        &mut self,
        rule: &'s Rule,
        variable: VariableName,
        key: &[u8],
        value: &Rc<[u8]>,
        first: bool,
    ) -> bool {
        let answer = rule.operator.ask(value, rule.captures, |place| self.scene.fill(place));
        if answer.holds == rule.negated {
            return false;
        }
        self.matched(rule, variable, key, value, answer.captured, first);
        true
    }

    /// Remembers a match and sets what it sets.
    fn matched(
        &mut self,
        rule: &'s Rule,
        variable: VariableName,
        key: &[u8],
        value: &Rc<[u8]>,
        captured: Vec<Vec<u8>>,
        first: bool,
    ) {
        if first {
            self.scene.matched.clear();
        }
        if first && !self.scene.is_of_walk(variable) {
            self.chain_variable = Some(shown(variable, key));
        }
        if self.scene.matched.len() < MOST_MATCHED {
            let name = if key.is_empty() {
                name_of(variable).into_owned().into_bytes()
            } else {
                full_name(variable, key)
            };
            self.scene.matched.push((name, Rc::clone(value)));
        }
        if rule.captures {
            self.scene.tx.capture(captured);
        }
        for effect in &rule.effects {
            let name = self.scene.filled(&effect.name).to_ascii_lowercase();
            self.change(name, &effect.change);
        }
        self.control(&rule.controls);
    }

    fn change(&mut self, name: Vec<u8>, change: &Change) {
        if PARANOIA.contains(&name.as_slice()) {
            return;
        }
        let number = |text: Vec<u8>| crate::operator::number(&text);
        match change {
            Change::Set(text) => {
                let text = self.scene.filled(text);
                self.scene.tx.set(name, Some(text));
            }
            Change::Delete => self.scene.tx.set(name, None),
            Change::Add(text) => {
                let more = number(self.scene.filled(text));
                if name.starts_with(b"inbound_anomaly_score") || name == b"anomaly_score" {
                    self.chain_score =
                        self.chain_score.max(u32::try_from(more).unwrap_or_default());
                }
                self.scene.tx.add(name, more);
            }
            Change::Subtract(text) => {
                let less = number(self.scene.filled(text));
                self.scene.tx.add(name, less.saturating_neg());
            }
        }
    }

    fn control(&mut self, controls: &'s [Control]) {
        for control in controls {
            match control {
                Control::Stop => self.stopped = true,
                Control::BodyAs(kind) => self.body_as = Some(kind.clone()),
                Control::NoBody => self.without_body = true,
                other => self.removed.push(other),
            }
        }
    }

    fn count(&self, rule: &Rule, head: &Rule, target: &Target) -> usize {
        if self.scene.is_of_walk(target.variable) {
            return self.scene.of_walk(target).len();
        }
        let facts =
            self.scene.facts.all.iter().filter(|fact| target.selects(fact.variable, &fact.key));
        facts.filter(|fact| !self.left_out(rule, head, fact.variable, &fact.key)).count()
    }

    /// Whether a rule does not look at a value: by itself, by another rule, or by the policy.
    fn left_out(&self, rule: &Rule, head: &Rule, variable: VariableName, key: &[u8]) -> bool {
        rule.exceptions.iter().any(|target| target.selects(variable, key))
            || (!self.removed.is_empty() && self.target_removed(head, variable, key))
            || head.id.is_some_and(|id| self.exclusions.of_value(id, variable, key))
    }

    fn target_removed(&self, head: &Rule, variable: VariableName, key: &[u8]) -> bool {
        self.removed.iter().any(|control| match control {
            Control::RemoveTarget { rules, target } => {
                head.id.is_some_and(|id| rules.contains(&id)) && target.selects(variable, key)
            }
            Control::RemoveTargetTagged { tag, target } => {
                head.tags.contains(tag) && target.selects(variable, key)
            }
            _ => false,
        })
    }
}

/// The place after so many rules more, each with its chain.
fn skipped(rules: &[Rule], from: usize, many: usize) -> usize {
    let mut place = from;
    for _ in 0..many.min(rules.len()) {
        place += 1 + rules.iter().skip(place).take_while(|rule| rule.chained).count();
    }
    place
}

fn full_name(variable: VariableName, key: &[u8]) -> Vec<u8> {
    let mut name = name_of(variable).into_owned().into_bytes();
    name.push(b':');
    name.extend(key);
    name
}

/// A name for logs: short, in one line, and never longer because a client wanted it so.
fn shown(variable: VariableName, key: &[u8]) -> String {
    const MOST_BYTES: usize = 64;
    let mut name = name_of(variable).into_owned();
    // Of a variable of names the name is the value.
    if key.is_empty() || name.ends_with("_NAMES") {
        return name;
    }
    name.push(':');
    let turns = |letter| matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let clean = |letter: char| {
        let odd = letter.is_control() || letter == char::REPLACEMENT_CHARACTER || turns(letter);
        if odd { '?' } else { letter }
    };
    let text: Cow<'_, str> = String::from_utf8_lossy(key);
    for letter in text.chars().map(clean) {
        if name.len() + letter.len_utf8() > MOST_BYTES {
            break;
        }
        name.push(letter);
    }
    name
}
