//! What a rule looks at.

use regex::bytes::RegexBuilder;
use zentinel_modsec::parser::{Selection, VariableName, VariableSpec};

use crate::facts::is_known;
use crate::rule::{Selector, Target, name_of};

/// A target of a rule.
pub(super) fn of_rule(spec: &VariableSpec) -> Result<Target, String> {
    let selector = match &spec.selection {
        None => Selector::All,
        Some(Selection::Key(key)) => Selector::Named(key.as_bytes().to_vec()),
        Some(Selection::Regex(pattern)) => like(pattern)?,
    };
    checked(Target { variable: spec.name, selector, counts: spec.count_mode })
}

/// A target that is left out: `ARGS:name`, `REQUEST_COOKIES:/^_ga/`.
pub(super) fn left_out(text: &str) -> Result<Target, String> {
    let (name, key) = text.split_once(':').map_or((text, None), |(name, key)| (name, Some(key)));
    let variable =
        VariableName::from_str(name.trim()).ok_or_else(|| format!("{name} is no variable"))?;
    let selector = match key {
        None => Selector::All,
        Some(key) => match key.strip_prefix('/').and_then(|key| key.strip_suffix('/')) {
            Some(pattern) if !pattern.is_empty() => like(pattern)?,
            _ => Selector::Named(key.as_bytes().to_vec()),
        },
    };
    Ok(Target { variable, selector, counts: false })
}

fn like(pattern: &str) -> Result<Selector, String> {
    let built = RegexBuilder::new(pattern)
        .unicode(false)
        .case_insensitive(true)
        .size_limit(1 << 20)
        .build();
    let regex = built.map_err(|error| format!("the selector /{pattern}/: {error}"))?;
    Ok(Selector::Like(Box::new(regex)))
}

fn checked(target: Target) -> Result<Target, String> {
    if !is_known(target.variable) {
        return Err(format!("the variable {} is not supported", name_of(target.variable)));
    }
    let of_xml = target.variable == VariableName::Xml;
    let path = match &target.selector {
        Selector::Named(path) => path.as_slice(),
        Selector::All => b"/*",
        Selector::Like(_) => b"",
    };
    if of_xml && !matches!(path, b"/*" | b"//@*") {
        return Err("of XPath only XML:/* and XML://@* are supported".to_owned());
    }
    Ok(target)
}
