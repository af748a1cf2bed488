//! What the blocks of a DestinationRule have in common: durations, counts, and keys that are refused by name.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::yaml::{
    DiagnosticCode, YamlMapping, YamlReader, YamlValue, format_duration, parse_duration,
};

/// Refuses keys that are known and not supported, each with what to do instead.
pub(super) fn refuse_keys(
    reader: &mut YamlReader,
    map: &mut YamlMapping<'_>,
    keys: &[(&'static str, &str)],
) {
    for (key, instead) in keys {
        let Some(value) = map.take_unsupported(key) else { continue };
        let found = format!("`{key}`, which is not supported by this version");
        let (mark, fix) = (value.node.mark, (*instead).to_owned());
        let code = DiagnosticCode::Unsupported;
        reader.report_with_code(code, mark, found, "no such key", Some(fix));
    }
}

/// A duration within bounds, as `250ms`, `10s` or `1h`.
pub(super) fn duration(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    bounds: RangeInclusive<Duration>,
) -> Option<Duration> {
    let (least, most) = (format_duration(*bounds.start()), format_duration(*bounds.end()));
    reader.parsed(value, &format!("a duration from {least} to {most}"), |text| {
        let duration = parse_duration(text).ok_or("write a whole number and ms, s, m or h");
        let within = |duration: &Duration| bounds.contains(duration);
        duration.and_then(|d| Some(d).filter(within).ok_or("every wait has an end"))
    })
}

/// A whole number within bounds.
pub(super) fn count(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    bounds: RangeInclusive<u32>,
) -> Option<u32> {
    let number = reader.integer(value, u64::from(*bounds.start())..=u64::from(*bounds.end()))?;
    u32::try_from(number).ok()
}

/// A share in percent.
pub(super) fn percent(reader: &mut YamlReader, value: YamlValue<'_>, least: u8) -> Option<u8> {
    u8::try_from(reader.integer(value, u64::from(least)..=100)?).ok()
}
