//! Durations, sizes and shares as configuration writes them: a number and a unit, never a bare number.

use std::time::Duration;

const DURATION_UNITS: &[(&str, u64)] =
    &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const SIZE_UNITS: &[(&str, u64)] =
    &[("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// Reads `250ms`, `10s`, `15m`, `1h`, `7d` and sums of them in falling order (`1m30s`). `None` for anything else.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = 0u64;
    let mut last_unit = u64::MAX;
    while !rest.is_empty() {
        let (number, unit, tail) = number_and_unit(rest, DURATION_UNITS)?;
        if unit >= last_unit {
            return None;
        }
        last_unit = unit;
        total = total.checked_add(number.checked_mul(unit)?)?;
        rest = tail;
    }
    (last_unit != u64::MAX).then(|| Duration::from_millis(total))
}

/// Reads `512B`, `64KiB`, `4MiB`, `1GiB`. `None` for anything else.
pub fn parse_size(text: &str) -> Option<u64> {
    let (number, unit, tail) = number_and_unit(text, SIZE_UNITS)?;
    if tail.is_empty() { number.checked_mul(unit) } else { None }
}

/// Reads a share from `0%` to `100%`, with at most four digits behind a point, in millionths. `None` for anything else.
pub fn parse_percentage(text: &str) -> Option<u32> {
    const PERCENT: u32 = 10_000;
    let number = text.strip_suffix('%')?;
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str, most: usize| {
        (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    if !digits(whole, 3) || !digits(part, 4) {
        return None;
    }
    let whole = whole.parse::<u32>().ok()?.checked_mul(PERCENT)?;
    let millionths = whole.checked_add(format!("{part:0<4}").parse().ok()?)?;
    (millionths <= 100 * PERCENT).then_some(millionths)
}

/// Splits `<digits><unit>…` at the first unit.
fn number_and_unit<'t>(text: &'t str, units: &[(&str, u64)]) -> Option<(u64, u64, &'t str)> {
    let digits_end = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, rest) = text.split_at(digits_end);
    let unit_end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
    let (name, tail) = rest.split_at(unit_end);
    let (_, unit) = units.iter().find(|(known, _)| *known == name)?;
    Some((digits.parse().ok()?, *unit, tail))
}

/// Writes a duration the way [`parse_duration`] reads it, in the largest unit that keeps it whole.
pub fn format_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    format_units(millis, DURATION_UNITS)
}

/// Writes a size the way [`parse_size`] reads it, in the largest unit that keeps it whole.
pub fn format_size(bytes: u64) -> String {
    format_units(bytes, SIZE_UNITS)
}

fn format_units(amount: u64, units: &[(&str, u64)]) -> String {
    let fits = |(_, unit): &&(&str, u64)| amount != 0 && amount.is_multiple_of(*unit);
    let (name, unit) = units.iter().rev().find(fits).unwrap_or(&units[0]);
    format!("{}{name}", amount / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s50_durations() {
        for (text, millis) in [
            ("250ms", Some(250)),
            ("10s", Some(10_000)),
            ("1m30s", Some(90_000)),
            ("1h", Some(3_600_000)),
            ("0s", Some(0)),
            ("7d", Some(604_800_000)),
            ("10", None),
            ("", None),
            ("s", None),
            ("1.5s", None),
            ("-1s", None),
            ("10 s", None),
            ("1s1m", None),
            ("1s1s", None),
            ("10sec", None),
            ("99999999999999999999s", None),
            ("18446744073709551615d", None),
        ] {
            assert_eq!(parse_duration(text), millis.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn s50_sizes() {
        for (text, bytes) in [
            ("0B", Some(0)),
            ("64KiB", Some(65_536)),
            ("4MiB", Some(4 << 20)),
            ("1GiB", Some(1 << 30)),
            ("64", None),
            ("64kb", None),
            ("64KiB1B", None),
            ("18446744073709551615KiB", None),
        ] {
            assert_eq!(parse_size(text), bytes, "{text}");
        }
    }

    #[test]
    fn percentages() {
        for (text, millionths) in [
            ("1%", Some(10_000)),
            ("0%", Some(0)),
            ("100%", Some(1_000_000)),
            ("100.0000%", Some(1_000_000)),
            ("0.05%", Some(500)),
            ("12.5%", Some(125_000)),
            ("0.0001%", Some(1)),
            ("0.00001%", None),
            ("100.0001%", None),
            ("101%", None),
            ("1000%", None),
            ("-1%", None),
            ("+1%", None),
            ("1", None),
            ("%", None),
            (".5%", None),
            ("1.%", None),
            ("1 %", None),
            ("1e2%", None),
            ("1%%", None),
            ("", None),
        ] {
            assert_eq!(parse_percentage(text), millionths, "{text}");
        }
    }

    #[test]
    fn written_as_read() {
        for text in ["250ms", "10s", "15m", "90s", "1h", "1d", "0ms"] {
            assert_eq!(parse_duration(text).map(format_duration).as_deref(), Some(text));
        }
        for text in ["512B", "64KiB", "3MiB", "0B"] {
            assert_eq!(parse_size(text).map(format_size).as_deref(), Some(text));
        }
    }
}
