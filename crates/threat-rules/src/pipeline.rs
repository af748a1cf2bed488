//! Sequences of transformations, shared by all rules that begin alike, so that a value is transformed once and not once
//! a rule.

use std::rc::Rc;

use crate::transform::{Transform, by_name};

/// A place within the tree of sequences; [`Pipelines::NONE`] is the value as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Node(usize);

/// The tree of all sequences of a rule set: each node is one transformation of its parent's value.
#[derive(Default)]
pub(crate) struct Pipelines {
    steps: Vec<Step>,
}

struct Step {
    parent: Node,
    name: String,
    transform: Transform,
}

impl Pipelines {
    /// Nothing is transformed.
    pub(crate) const NONE: Node = Node(0);

    /// The node that one more transformation leads to. An error is a name that means nothing.
    pub(crate) fn step(&mut self, parent: Node, name: &str) -> Result<Node, String> {
        let transform =
            by_name(name).ok_or_else(|| format!("the transformation t:{name} is not supported"))?;
        let name = name.to_ascii_lowercase();
        let known = self.steps.iter().position(|step| step.parent == parent && step.name == name);
        let place = known.unwrap_or_else(|| {
            self.steps.push(Step { parent, name, transform });
            self.steps.len() - 1
        });
        Ok(Node(place + 1))
    }

    /// A value that no other rule looks at, transformed.
    pub(crate) fn apply(&self, node: Node, value: Rc<[u8]>) -> Rc<[u8]> {
        match node.0.checked_sub(1).and_then(|place| self.steps.get(place)) {
            None => value,
            Some(step) => {
                let value = self.apply(step.parent, value);
                (step.transform)(&value).map_or(value, Rc::from)
            }
        }
    }
}

/// The transformed values of one request, each made when it is first asked for.
pub(crate) struct Memo<'s> {
    pipelines: &'s Pipelines,
    /// For each node the values in the order of the facts.
    made: Vec<Vec<Option<Rc<[u8]>>>>,
}

impl<'s> Memo<'s> {
    pub(crate) fn new(pipelines: &'s Pipelines) -> Self {
        Self { pipelines, made: vec![Vec::new(); pipelines.steps.len() + 1] }
    }

    /// The value of one fact at a node.
    pub(crate) fn value(&mut self, node: Node, fact: usize, raw: &[u8]) -> Rc<[u8]> {
        if let Some(Some(made)) = self.made.get(node.0).and_then(|row| row.get(fact)) {
            return Rc::clone(made);
        }
        let value = match node.0.checked_sub(1).and_then(|place| self.pipelines.steps.get(place)) {
            None => Rc::from(raw),
            Some(step) => {
                let before = self.value(step.parent, fact, raw);
                (step.transform)(&before).map_or(before, Rc::from)
            }
        };
        if let Some(row) = self.made.get_mut(node.0) {
            if row.len() <= fact {
                row.resize(fact + 1, None);
            }
            if let Some(slot) = row.get_mut(fact) {
                *slot = Some(Rc::clone(&value));
            }
        }
        value
    }
}
