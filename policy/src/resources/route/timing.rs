//! `timeouts` and `retry` of an HTTPRoute.

use std::time::Duration;

use crate::route::{RetryPolicy, RouteTimeout, RouteTimeouts};
use crate::yaml::{YamlMapping, YamlReader, YamlValue};

/// The most tries after the first: beyond them a retry only adds to what is wrong.
const MAX_ATTEMPTS: u64 = 10;
/// The most status codes of a retry: all there are.
const MAX_CODES: usize = 200;

/// Reads both, where they are.
pub(super) fn read(
    reader: &mut YamlReader,
    map: &mut YamlMapping<'_>,
) -> (Option<RouteTimeouts>, Option<Option<RetryPolicy>>) {
    let none = Some(RouteTimeouts::default());
    let timeouts = map.take("timeouts").map_or(none, |v| read_timeouts(reader, v));
    let retry = map.take("retry").map_or(Some(None), |v| read_retry(reader, v).map(Some));
    (timeouts, retry)
}

fn read_timeouts(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<RouteTimeouts> {
    let mut map = reader.mapping(value)?;
    let request = map.take("request").map(|v| read_timeout(reader, v));
    let written = map.take("backendRequest");
    let backend_request = written.map(|v| read_timeout(reader, v));
    map.finish(reader);
    let timeouts = RouteTimeouts {
        request: request.map_or(Some(None), |timeout| timeout.map(Some))?,
        backend_request: backend_request.map_or(Some(None), |timeout| timeout.map(Some))?,
    };
    if let (Some(written), Some(RouteTimeout::After(whole)), Some(RouteTimeout::After(one))) =
        (written, timeouts.request, timeouts.backend_request)
        && one > whole
    {
        let fix = "one try is a part of the request; shorten it".to_owned();
        reader.report_value(written, "no more than `request`", Some(fix));
        return None;
    }
    Some(timeouts)
}

fn read_timeout(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<RouteTimeout> {
    let duration = read_duration(reader, value)?;
    Some(match duration.is_zero() {
        true => RouteTimeout::Off,
        false => RouteTimeout::After(duration),
    })
}

fn read_retry(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<RetryPolicy> {
    let mut map = reader.mapping(value)?;
    let codes = map.take("codes").map_or(Some(Vec::new()), |v| read_codes(reader, v));
    let attempts = map.take("attempts").map(|v| reader.integer(v, 1..=MAX_ATTEMPTS));
    let back_off = map.take("backoff").map(|v| read_duration(reader, v));
    map.finish(reader);
    let attempts = attempts.map_or(Some(None), |attempts| attempts.map(Some))?;
    Some(RetryPolicy {
        codes: codes?,
        attempts: attempts.and_then(|attempts| u32::try_from(attempts).ok()),
        back_off: back_off.map_or(Some(None), |back_off| back_off.map(Some))?,
    })
}

fn read_codes(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<Vec<u16>> {
    let items = reader.filled_list(value, MAX_CODES)?;
    let read = |item| reader.integer(item, 400..=599).and_then(|code| u16::try_from(code).ok());
    let codes: Vec<_> = items.into_iter().map(read).collect();
    let mut codes: Vec<u16> = codes.into_iter().collect::<Option<_>>()?;
    codes.sort_unstable();
    codes.dedup();
    Some(codes)
}

fn read_duration(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<Duration> {
    let advice = "write up to four of h, m, s and ms with at most five digits each: 1m30s, 500ms";
    reader.parsed(value, "a duration such as 10s", |text| parse_duration(text).ok_or(advice))
}

/// A duration of the Gateway API (GEP-2257): one to four numbers of at most five digits, each with its unit.
fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    for _ in 0..4 {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at_checked(digits)?;
        let unit_len = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at_checked(unit_len)?;
        let millis = match unit {
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1_000,
            "ms" => 1,
            _ => return None,
        };
        let number: u64 = number.parse().ok().filter(|_| digits <= 5)?;
        total += Duration::from_millis(number * millis);
        rest = tail;
        if rest.is_empty() {
            return Some(total);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_the_gateway_api() {
        for (text, millis) in [
            ("0s", Some(0)),
            ("10s", Some(10_000)),
            ("500ms", Some(500)),
            ("1m30s", Some(90_000)),
            ("1h1m1s1ms", Some(3_661_001)),
            ("1s1h", Some(3_601_000)),
            ("99999h", Some(359_996_400_000)),
            ("100000h", None),
            ("1h1m1s1ms1s", None),
            ("1d", None),
            ("1", None),
            ("s", None),
            ("", None),
            ("-1s", None),
            ("1.5s", None),
            ("1 s", None),
        ] {
            assert_eq!(parse_duration(text), millis.map(Duration::from_millis), "{text}");
        }
    }
}
