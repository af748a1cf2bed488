//! From which namespaces routes or ListenerSets may come.

use std::collections::BTreeMap;
use std::sync::Arc;

/// `namespaces` of `allowedRoutes` and of `allowedListeners`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamespaceScope {
    /// That of the object that says so.
    Same,
    /// Every one.
    All,
    /// None.
    None,
    /// Those whose labels match. A namespace that nothing is known of has the label of its name alone.
    Selector(NamespaceSelector),
}

/// `selector`: all of its parts must hold. Without any it takes every namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamespaceSelector {
    /// `matchLabels`.
    pub labels: BTreeMap<String, String>,
    /// `matchExpressions`.
    pub expressions: Vec<LabelExpression>,
}

/// A condition on one label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelExpression {
    /// The label.
    pub key: Arc<str>,
    /// How its value is compared.
    pub operator: LabelOperator,
    /// With what; empty for `Exists` and `DoesNotExist`.
    pub values: Vec<Arc<str>>,
}

/// `operator` of a label expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LabelOperator {
    /// The label is there, and its value among those.
    In,
    /// The label is not there, or its value not among those.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is not there.
    DoesNotExist,
}

/// The label that every namespace has: its name.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

impl NamespaceScope {
    /// Whether a namespace is among them. `own` is that of the object that says so; `labels` gives the labels of a
    /// namespace, where they are known.
    pub fn takes<'l>(
        &self,
        own: &str,
        namespace: &str,
        labels: impl Fn(&str) -> Option<&'l BTreeMap<String, String>>,
    ) -> bool {
        match self {
            Self::Same => own == namespace,
            Self::All => true,
            Self::None => false,
            Self::Selector(selector) => selector.matches(namespace, labels(namespace)),
        }
    }
}

impl NamespaceSelector {
    fn matches(&self, namespace: &str, labels: Option<&BTreeMap<String, String>>) -> bool {
        // The name cannot be claimed by a label that was written.
        let value = |key: &str| match key {
            NAME_LABEL => Some(namespace),
            _ => labels?.get(key).map(String::as_str),
        };
        self.labels.iter().all(|(key, wanted)| value(key) == Some(wanted))
            && self.expressions.iter().all(|expression| expression.holds(value(&expression.key)))
    }
}

impl LabelExpression {
    fn holds(&self, value: Option<&str>) -> bool {
        let among = value.is_some_and(|value| self.values.iter().any(|known| **known == *value));
        match self.operator {
            LabelOperator::In => among,
            LabelOperator::NotIn => !among,
            LabelOperator::Exists => value.is_some(),
            LabelOperator::DoesNotExist => value.is_none(),
        }
    }
}
