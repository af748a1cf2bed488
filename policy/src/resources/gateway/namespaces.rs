//! `namespaces` of `allowedRoutes` and `allowedListeners`.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::gateway::{LabelExpression, LabelOperator, NamespaceScope, NamespaceSelector};
use crate::resources::label;
use crate::yaml::{DiagnosticCode, YamlReader, YamlValue};

/// The most expressions of a selector, and the most values of one: more than anybody writes by hand.
const MAX_EXPRESSIONS: usize = 64;
const MAX_VALUES: usize = 64;

#[derive(Clone, Copy, PartialEq)]
enum From {
    All,
    Same,
    None,
    Selector,
}

const OPERATORS: &[(&str, LabelOperator)] = &[
    ("In", LabelOperator::In),
    ("NotIn", LabelOperator::NotIn),
    ("Exists", LabelOperator::Exists),
    ("DoesNotExist", LabelOperator::DoesNotExist),
];

/// Reads it. `unless_written` is what holds without `from`; only where nobody is the default may `None` be written.
pub(super) fn read(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    unless_written: NamespaceScope,
    takes_none: bool,
) -> Option<NamespaceScope> {
    let mut map = reader.mapping(value)?;
    let words: &[(&str, From)] = &[
        ("All", From::All),
        ("Selector", From::Selector),
        ("Same", From::Same),
        ("None", From::None),
    ];
    let words = if takes_none { words } else { words.split_last().map_or(words, |(_, rest)| rest) };
    let from = map.take("from").map(|v| reader.choice(v, words));
    let selector = match from {
        Some(Some(From::Selector)) => map.require(reader, "selector"),
        _ => map.take("selector"),
    };
    map.finish(reader);
    if from != Some(Some(From::Selector))
        && let Some(selector) = selector
    {
        let fix = "write from: Selector beside it, or take it out".to_owned();
        let (code, mark) = (DiagnosticCode::NoEffect, selector.node.mark);
        reader.report_with_code(code, mark, "`selector` that is not asked", "none", Some(fix));
        return None;
    }
    Some(match from {
        None => unless_written,
        Some(from) => match from? {
            From::All => NamespaceScope::All,
            From::Same => NamespaceScope::Same,
            From::None => NamespaceScope::None,
            From::Selector => NamespaceScope::Selector(read_selector(reader, selector?)?),
        },
    })
}

fn read_selector(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<NamespaceSelector> {
    let mut map = reader.mapping(value)?;
    let labels = map.take("matchLabels").map_or(Some(BTreeMap::new()), |v| label::read(reader, v));
    let expressions = map.take("matchExpressions").map_or(Some(Vec::new()), |v| {
        let items = reader.filled_list(v, MAX_EXPRESSIONS)?;
        let read: Vec<_> = items.into_iter().map(|item| read_expression(reader, item)).collect();
        read.into_iter().collect()
    });
    map.finish(reader);
    Some(NamespaceSelector { labels: labels?, expressions: expressions? })
}

fn read_expression(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<LabelExpression> {
    let mut map = reader.mapping(value)?;
    let key = map.require(reader, "key").and_then(|v| {
        reader.parsed(v, "a label's key", |text| match label::is_key(text) {
            true => Ok(Arc::from(text)),
            false => Err("a name, or prefix/name"),
        })
    });
    let operator = map.require(reader, "operator").and_then(|v| reader.choice(v, OPERATORS));
    let values = match operator {
        Some(LabelOperator::In | LabelOperator::NotIn) => map.require(reader, "values"),
        _ => None,
    };
    let values = values.map_or(Some(Vec::new()), |v| read_values(reader, v));
    map.finish(reader);
    Some(LabelExpression { key: key?, operator: operator?, values: values? })
}

fn read_values(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<Vec<Arc<str>>> {
    let items = reader.filled_list(value, MAX_VALUES)?;
    let read: Vec<Option<Arc<str>>> = items
        .into_iter()
        .map(|item| match item.is_empty_text() {
            true => Some("".into()),
            false => reader.text(item).map(Into::into),
        })
        .collect();
    read.into_iter().collect()
}
