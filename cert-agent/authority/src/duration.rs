//! Durations as people write them: `30s`, `10m`, `1h`, `7d`, `10y`.

use std::time::Duration;

/// Reads a whole number and a unit: s, m, h, d, w, or y (365 days).
///
/// # Errors
/// A sentence that says what to write instead.
pub fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || {
        format!("`{text}` is not a duration; write a number and a unit, such as 30s, 10m, 1h or 7d")
    };
    let unit_at = text.len().checked_sub(1).ok_or_else(wrong)?;
    let (number, unit) = text.split_at_checked(unit_at).ok_or_else(wrong)?;
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        "y" => 365 * 86_400,
        _ => return Err(wrong()),
    };
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}

/// Writes a span as a person would say it, in its two largest units.
#[must_use]
pub fn human(seconds: u64) -> String {
    let units = [(365 * 86_400, "y"), (86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
    let mut rest = seconds;
    let mut words = Vec::new();
    for (size, unit) in units {
        if rest >= size && words.len() < 2 {
            words.push(format!("{}{unit}", rest / size));
            rest %= size;
        } else if !words.is_empty() {
            break;
        }
    }
    if words.is_empty() { "0s".to_owned() } else { words.join(" ") }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn durations_are_read() {
        let check = |text: &str, expect: Option<u64>| {
            assert_eq!(parse(text).ok().map(|d| d.as_secs()), expect, "{text}");
        };
        check("2s", Some(2));
        check("10m", Some(600));
        check("1h", Some(3600));
        check("7d", Some(604_800));
        check("10y", Some(315_360_000));
        check("", None);
        check("h", None);
        check("1", None);
        check("-1h", None);
        check("+1h", None);
        check("1.5h", None);
        check("1 h", None);
        check("99999999999999999999h", None);
        check("18446744073709551615y", None);
        check("1é", None);
    }

    #[test]
    fn spans_are_written_in_two_units() {
        let check = |seconds, expect: &str| assert_eq!(human(seconds), expect);
        check(0, "0s");
        check(59, "59s");
        check(3600, "1h");
        check(3661, "1h 1m");
        check(86_400 * 30, "30d");
    }
}
