//! All directives of a set as rules in the order of their phases.

use std::collections::{BTreeSet, HashMap};
use std::ops::RangeInclusive;

use zentinel_modsec::parser::Parser;

use super::rules::{Placed, parse, read};
use super::{Directive, MOST_RULES, actions, targets};
use crate::pipeline::Pipelines;
use crate::problem::RuleSetProblem;
use crate::rule::{Rule, Then};

/// A rule set, ready to be walked.
#[derive(Default)]
pub(crate) struct Assembled {
    /// The rules of phase 1 (before the body) and 2 (with it).
    pub(crate) phases: [Vec<Rule>; 2],
    pub(crate) pipelines: Pipelines,
    /// Rules that look at answers: they were read and are right, but no answer is inspected.
    pub(crate) of_answers: usize,
}

/// What stands in the place of a directive.
enum Item {
    Rule(Box<Placed>, Directive),
    Marker(String),
}

/// Directives that say what a policy says here, or how something works that is not here.
const WITHOUT_EFFECT: [&str; 34] = [
    "secruleengine",
    "secrequestbodyaccess",
    "secresponsebodyaccess",
    "secrequestbodylimit",
    "secrequestbodynofileslimit",
    "secrequestbodylimitaction",
    "secrequestbodyinmemorylimit",
    "secrequestbodyjsondepthlimit",
    "secresponsebodylimit",
    "secresponsebodylimitaction",
    "secresponsebodymimetype",
    "secargumentslimit",
    "secargumentseparator",
    "seccookieformat",
    "seccomponentsignature",
    "seccollectiontimeout",
    "secauditengine",
    "secauditlog",
    "secauditlogtype",
    "secauditlogparts",
    "secauditlogformat",
    "secauditlogstoragedir",
    "secauditlogrelevantstatus",
    "secdebuglog",
    "secdebugloglevel",
    "secdatadir",
    "sectmpdir",
    "secuploaddir",
    "secuploadkeepfiles",
    "secpcrematchlimit",
    "secpcrematchlimitrecursion",
    "secunicodemapfile",
    "secstatusengine",
    "secserversignature",
];

/// Whether a word is written as the name of a directive of the form is, `SecRuleScript`.
fn is_directive(name: &str) -> bool {
    let rest = name.strip_prefix("Sec").unwrap_or_default();
    let is_name = rest.starts_with(|letter: char| letter.is_ascii_uppercase());
    is_name && name.len() <= 40 && rest.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// Makes rules of directives. A rule of `allowed` that is not supported is left out, with its chain.
pub(super) fn assemble(
    directives: Vec<Directive>,
    allowed: &[u32],
) -> Result<Assembled, Vec<RuleSetProblem>> {
    let mut reading = Reading { allowed, ..Reading::default() };
    for directive in directives {
        reading.take(directive);
    }
    reading.finish()
}

#[derive(Default)]
struct Reading<'a> {
    allowed: &'a [u32],
    parser: Parser,
    pipelines: Pipelines,
    items: Vec<Item>,
    problems: Vec<RuleSetProblem>,
    removed: Vec<RangeInclusive<u32>>,
    updates: Vec<Directive>,
    ids: BTreeSet<u32>,
    /// The chain that the next rule is a link of.
    chain: Option<Chain>,
    of_answers: usize,
}

/// A chain that is not at its end.
#[derive(Clone, Copy)]
struct Chain {
    head: Option<u32>,
    phase: u8,
    /// Whether a link was left out, and all others have to be.
    broken: bool,
}

impl Reading<'_> {
    fn take(&mut self, directive: Directive) {
        let result = match directive.name.to_ascii_lowercase().as_str() {
            "secrule" | "secaction" => return self.rule(directive),
            "secmarker" => match directive.words.as_slice() {
                [name] => {
                    self.items.push(Item::Marker(name.clone()));
                    Ok(())
                }
                _ => Err("SecMarker takes one name".to_owned()),
            },
            "secdefaultaction" => parse(&directive, &mut self.parser).map(|_| ()),
            "secruleremovebyid" => self.remove(&directive),
            "secruleupdatetargetbyid" => {
                self.updates.push(directive.clone());
                Ok(())
            }
            name if WITHOUT_EFFECT.contains(&name) => Ok(()),
            _ if is_directive(&directive.name) => {
                Err(format!("the directive {} is not supported", directive.name))
            }
            // What stands in a file that holds no rules is nobody's to read.
            _ => Err("the line begins with no directive".to_owned()),
        };
        if let Err(message) = result {
            self.problems.push(directive.problem(None, message));
        }
    }

    fn remove(&mut self, directive: &Directive) -> Result<(), String> {
        for word in directive
            .words
            .iter()
            .flat_map(|word| word.split([' ', ',']))
            .filter(|word| !word.is_empty())
        {
            self.removed.push(actions::ids(word)?);
        }
        Ok(())
    }

    fn rule(&mut self, directive: Directive) {
        let before = self.chain.take();
        let placed = read(
            &directive,
            &mut self.parser,
            &mut self.pipelines,
            before.map(|chain| chain.phase),
        );
        let id = match before {
            Some(chain) => chain.head,
            None => placed.as_ref().map_or_else(|_| id_in(&directive), |placed| placed.rule.id),
        };
        let mut chain = before.unwrap_or(Chain { head: id, phase: 2, broken: false });
        let links_on = match &placed {
            Ok(placed) => placed.rule.chained,
            Err(_) => directive
                .words
                .last()
                .is_some_and(|text| text.split(',').any(|word| word.trim() == "chain")),
        };
        match self.checked(placed, before.is_some(), id) {
            Ok(mut placed) => {
                if before.is_some() {
                    placed.rule.id = None;
                }
                chain.phase = placed.phase;
                if !chain.broken {
                    self.items.push(Item::Rule(Box::new(placed), directive));
                }
            }
            Err(message) => {
                self.drop_chain(before.is_some());
                if !chain.broken && !id.is_some_and(|id| self.allowed.contains(&id)) {
                    self.problems.push(directive.problem(id, message));
                }
                chain.broken = true;
            }
        }
        self.chain = links_on.then_some(chain);
    }

    fn checked(
        &mut self,
        placed: Result<Placed, String>,
        link: bool,
        id: Option<u32>,
    ) -> Result<Placed, String> {
        let placed = placed?;
        if self.items.len() >= MOST_RULES {
            return Err(format!("there are more than {MOST_RULES} rules"));
        }
        match id {
            _ if link => Ok(placed),
            None => Err("a rule needs an id".to_owned()),
            Some(id) if self.ids.insert(id) => Ok(placed),
            Some(_) => Err("another rule has the same id".to_owned()),
        }
    }

    /// Takes back the links of a chain that cannot be whole.
    fn drop_chain(&mut self, link: bool) {
        while link
            && matches!(self.items.last(), Some(Item::Rule(placed, _)) if placed.rule.chained)
        {
            self.items.pop();
        }
    }

    fn finish(mut self) -> Result<Assembled, Vec<RuleSetProblem>> {
        if self.chain.is_some_and(|chain| !chain.broken)
            && let Some(Item::Rule(placed, directive)) = self.items.last()
        {
            self.problems.push(directive.problem(placed.rule.id, "the chain has no end"));
        }
        for update in std::mem::take(&mut self.updates) {
            if let Err(message) = self.update(&update) {
                self.problems.push(update.problem(None, message));
            }
        }
        let phases = self.phases();
        if !self.problems.is_empty() {
            return Err(self.problems);
        }
        Ok(Assembled { phases, pipelines: self.pipelines, of_answers: self.of_answers })
    }

    /// `SecRuleUpdateTargetById 942100 "!ARGS:password"`
    fn update(&mut self, directive: &Directive) -> Result<(), String> {
        let [ids, targets] = directive.words.as_slice() else {
            return Err("SecRuleUpdateTargetById takes ids and targets".to_owned());
        };
        let ids = ids.split([' ', ',']).map(actions::ids).collect::<Result<Vec<_>, _>>()?;
        for item in &mut self.items {
            let Item::Rule(placed, _) = item else { continue };
            if !placed.rule.id.is_some_and(|id| ids.iter().any(|range| range.contains(&id))) {
                continue;
            }
            for target in targets.split(['|', ',']).map(str::trim) {
                match target.strip_prefix('!') {
                    Some(target) => placed.rule.exceptions.push(targets::left_out(target)?),
                    None => placed.rule.targets.push(targets::left_out(target)?),
                }
            }
        }
        Ok(())
    }

    /// The rules of each phase, with places instead of the names of markers.
    fn phases(&mut self) -> [Vec<Rule>; 2] {
        let mut lists: [Vec<(Rule, Option<String>, Directive)>; 2] = Default::default();
        let mut markers: HashMap<String, [usize; 2]> = HashMap::new();
        let mut removing = false;
        for item in std::mem::take(&mut self.items) {
            match item {
                Item::Marker(name) => {
                    let ends = [lists[0].len(), lists[1].len()];
                    markers.insert(name, ends);
                }
                Item::Rule(placed, directive) => {
                    let Placed { rule, phase, skip_after } = *placed;
                    let gone = |id: u32| self.removed.iter().any(|range| range.contains(&id));
                    removing = rule.id.map_or(removing, gone);
                    match phase {
                        _ if removing => {}
                        1 => lists[0].push((rule, skip_after, directive)),
                        2 => lists[1].push((rule, skip_after, directive)),
                        _ => self.of_answers += 1,
                    }
                }
            }
        }
        let mut phase = 0;
        lists.map(|list| {
            phase += 1;
            let end = list.len();
            let place = |(place, (mut rule, marker, directive)): (
                usize,
                (Rule, Option<String>, Directive),
            )| {
                if let Some(marker) = marker {
                    match markers.get(&marker) {
                        // Nothing jumps back: a marker that lies behind ends the phase.
                        Some(ends) => {
                            let to = if phase == 1 { ends[0] } else { ends[1] };
                            rule.then = Then::Goto(if to > place { to } else { end });
                        }
                        None => self.problems.push(
                            directive.problem(rule.id, format!("there is no marker {marker}")),
                        ),
                    }
                }
                rule
            };
            list.into_iter().enumerate().map(place).collect()
        })
    }
}

/// The id that a rule says, where it cannot be read as a whole.
fn id_in(directive: &Directive) -> Option<u32> {
    let text = directive.words.last()?;
    let digits = text.split("id:").nth(1)?.trim_start_matches(['\'', '"']);
    digits.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}
