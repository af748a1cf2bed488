//! What a walk sees: the request's values, and the variables of the rules.

use std::collections::HashMap;
use std::rc::Rc;

use zentinel_modsec::parser::VariableName;

use crate::facts::Facts;
use crate::rule::{Selector, Target};
use crate::template::{Place, Template};

/// The variables that are the same for all requests.
pub(crate) type Constants = HashMap<Vec<u8>, Vec<u8>>;

/// The values of the request, the variables of the rules, and what matched last.
pub(super) struct Scene<'s, 'r> {
    pub(super) facts: Facts<'r>,
    pub(super) tx: Tx<'s>,
    /// What the rule that matched last matched: names and values.
    pub(super) matched: Vec<(Vec<u8>, Rc<[u8]>)>,
    /// The places of the facts of each variable.
    places: HashMap<VariableName, Vec<usize>>,
    indexed: usize,
}

impl<'s, 'r> Scene<'s, 'r> {
    pub(super) fn new(facts: Facts<'r>, tx: Tx<'s>) -> Self {
        Self { facts, tx, matched: Vec::new(), places: HashMap::new(), indexed: 0 }
    }

    /// Notes where the facts stand that were added since the last time.
    pub(super) fn index(&mut self) {
        for (place, fact) in self.facts.all.iter().enumerate().skip(self.indexed) {
            self.places.entry(fact.variable).or_default().push(place);
        }
        self.indexed = self.facts.all.len();
    }

    /// How many facts there are of a variable: of a variable of rules that stands for two, in list 0 or 1.
    pub(super) fn many(&self, variable: VariableName, list: usize) -> usize {
        self.list(variable, list).len()
    }

    pub(super) fn place(
        &self,
        variable: VariableName,
        list: usize,
        number: usize,
    ) -> Option<usize> {
        self.list(variable, list).get(number).copied()
    }

    fn list(&self, variable: VariableName, list: usize) -> &[usize] {
        use VariableName as V;
        let variable = match (variable, list) {
            (V::Args, 0) => V::ArgsGet,
            (V::Args, _) => V::ArgsPost,
            (V::ArgsNames, 0) => V::ArgsGetNames,
            (V::ArgsNames, _) => V::ArgsPostNames,
            (other, 0) => other,
            _ => return &[],
        };
        self.places.get(&variable).map_or(&[], Vec::as_slice)
    }

    /// Whether a variable is none of the request's.
    pub(super) fn is_of_walk(&self, variable: VariableName) -> bool {
        use VariableName as V;
        matches!(
            variable,
            V::Tx | V::MatchedVar | V::MatchedVars | V::MatchedVarName | V::MatchedVarsNames
        )
    }

    /// The values of such a variable.
    pub(super) fn of_walk(&self, target: &Target) -> Vec<(Vec<u8>, Vec<u8>)> {
        use VariableName as V;
        let names = |(name, _): &(Vec<u8>, Rc<[u8]>)| (name.clone(), name.clone());
        let values = |(name, value): &(Vec<u8>, Rc<[u8]>)| (name.clone(), value.to_vec());
        match target.variable {
            V::Tx => self.tx.selected(&target.selector),
            V::MatchedVar => self.matched.last().map(values).into_iter().collect(),
            V::MatchedVarName => self.matched.last().map(names).into_iter().collect(),
            V::MatchedVars => self.matched.iter().map(values).collect(),
            V::MatchedVarsNames => self.matched.iter().map(names).collect(),
            _ => Vec::new(),
        }
    }

    pub(super) fn filled(&self, template: &Template) -> Vec<u8> {
        match template.fixed() {
            Some(text) => text.to_vec(),
            None => template.filled(|place| self.fill(place)),
        }
    }

    /// What a place of a template is filled with.
    pub(super) fn fill(&self, place: &Place) -> Option<Vec<u8>> {
        if place.variable == VariableName::Tx {
            return self.tx.get(&place.key).map(<[u8]>::to_vec);
        }
        let selector =
            if place.key.is_empty() { Selector::All } else { Selector::Named(place.key.clone()) };
        let target = Target { variable: place.variable, selector, counts: false };
        if self.is_of_walk(place.variable) {
            return self.of_walk(&target).pop().map(|(_, value)| value);
        }
        let fact = self.facts.all.iter().find(|fact| target.selects(fact.variable, &fact.key));
        fact.map(|fact| fact.value.to_vec())
    }
}

/// The variables of the rules: `TX`. Names are in lower case.
pub(crate) struct Tx<'s> {
    constants: &'s Constants,
    /// What this walk has set; `None` is what it has taken away.
    own: HashMap<Vec<u8>, Option<Vec<u8>>>,
}

impl<'s> Tx<'s> {
    pub(crate) fn new(constants: &'s Constants) -> Self {
        Self { constants, own: HashMap::new() }
    }

    pub(super) fn set_all(&mut self, all: Constants) {
        self.own.extend(all.into_iter().map(|(name, value)| (name, Some(value))));
    }

    pub(super) fn into_all(self) -> Constants {
        let mut all = self.constants.clone();
        for (name, value) in self.own {
            match value {
                Some(value) => drop(all.insert(name, value)),
                None => drop(all.remove(&name)),
            }
        }
        all
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<&[u8]> {
        match self.own.get(name) {
            Some(own) => own.as_deref(),
            None => self.constants.get(name).map(Vec::as_slice),
        }
    }

    /// Sets a variable, or takes it away. There are never more than a thousand.
    pub(super) fn set(&mut self, name: Vec<u8>, value: Option<Vec<u8>>) {
        const MOST: usize = 1_000;
        if self.own.len() < MOST || self.own.contains_key(&name) {
            self.own.insert(name, value);
        }
    }

    pub(super) fn add(&mut self, name: Vec<u8>, more: i64) {
        let sum = self.get(&name).map_or(0, crate::operator::number).saturating_add(more);
        self.set(name, Some(sum.to_string().into_bytes()));
    }

    /// Keeps what an operator captured as `TX:0` to `TX:9`.
    pub(super) fn capture(&mut self, captured: Vec<Vec<u8>>) {
        let mut captured = captured.into_iter();
        for digit in b'0'..=b'9' {
            let value = captured.next();
            if value.is_some() || self.own.contains_key(&[digit][..]) {
                self.set(vec![digit], value);
            }
        }
    }

    fn selected(&self, selector: &Selector) -> Vec<(Vec<u8>, Vec<u8>)> {
        if let Selector::Named(name) = selector {
            let name = name.to_ascii_lowercase();
            return self
                .get(&name)
                .map(|value| (name.clone(), value.to_vec()))
                .into_iter()
                .collect();
        }
        let constants = self.constants.iter().filter(|(name, _)| !self.own.contains_key(*name));
        let own = self.own.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        let all = constants.chain(own).filter(|(name, _)| selector.selects(name));
        let mut all: Vec<_> = all.map(|(name, value)| (name.clone(), value.clone())).collect();
        // The order of a map is chance, and what a rule does first is not to be.
        all.sort();
        all
    }
}
