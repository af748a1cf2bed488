//! `stepUp`: where more is asked than being signed in.

use std::time::Duration;

use super::{path_patterns, patterns, refuse_twice, word};
use crate::sign_in::StepUp;
use crate::yaml::{DiagnosticCode, YamlReader, YamlValue, parse_duration};

/// The most items of `stepUp`.
const MAX_STEPS: usize = 32;
/// The most values of one item.
const MAX_ACR_VALUES: usize = 16;
const MAX_AGE: Duration = Duration::from_secs(30 * 24 * 3600);

pub(super) fn read(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<Vec<StepUp>> {
    let items = reader.filled_list(value, MAX_STEPS)?;
    let read: Vec<_> = items.into_iter().map(|item| read_step(reader, item)).collect();
    read.into_iter().collect()
}

fn read_step(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<StepUp> {
    let mut map = reader.mapping(value)?;
    let paths = map.require(reader, "paths").and_then(|v| path_patterns(reader, v));
    let acr_values = map.take("acrValues").map(|v| {
        let values = patterns(reader, v, MAX_ACR_VALUES, "an `acr` value", word)?;
        refuse_twice(reader, v, &values);
        Some(values)
    });
    let max_age = map.take("maxAge").map(|v| reader.parsed(v, "a time from 1s to 30d", age));
    map.finish(reader);
    if acr_values.is_none() && max_age.is_none() {
        let (found, expected) = ("a step that asks nothing", "`acrValues`, `maxAge` or both");
        let code = DiagnosticCode::NoEffect;
        reader.report_with_code(code, value.node.mark, found, expected, None);
    }
    Some(StepUp {
        paths: paths?,
        acr_values: acr_values.unwrap_or_else(|| Some(Vec::new()))?,
        max_age: max_age.map_or(Some(None), |age| age.map(Some))?,
    })
}

fn age(text: &str) -> Result<Duration, &'static str> {
    let bounds = Duration::from_secs(1)..=MAX_AGE;
    parse_duration(text).filter(|age| bounds.contains(age)).ok_or("such as 5m")
}
