//! One JSON object on one line, written straight into a buffer.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A line under construction.
pub(crate) struct LogLine<'a> {
    out: &'a mut String,
}

impl<'a> LogLine<'a> {
    /// Begins a line with its time and kind.
    pub(crate) fn begin(out: &'a mut String, now: SystemTime, kind: &'static str) -> Self {
        out.push_str("{\"timestamp\":\"");
        write_time(out, now);
        out.push_str("\",\"kind\":\"");
        out.push_str(kind);
        out.push('"');
        Self { out }
    }

    /// Adds a text from a peer or a file: escaped, control characters encoded
    /// (SECURITY-CASES S-52).
    pub(crate) fn text(&mut self, key: &'static str, value: &str) -> &mut Self {
        self.key(key);
        self.out.push('"');
        escape(self.out, value);
        self.out.push('"');
        self
    }

    /// Adds a text when there is one.
    pub(crate) fn optional_text(&mut self, key: &'static str, value: Option<&str>) -> &mut Self {
        if let Some(value) = value {
            self.text(key, value);
        }
        self
    }

    /// Adds a constant of ours, which needs no escaping.
    pub(crate) fn word(&mut self, key: &'static str, value: &'static str) -> &mut Self {
        self.key(key);
        self.out.push('"');
        self.out.push_str(value);
        self.out.push('"');
        self
    }

    /// Adds what a [`fragment`] has written.
    pub(crate) fn fragment(&mut self, fragment: &str) -> &mut Self {
        self.out.push_str(fragment);
        self
    }

    /// Adds anything whose `Display` is free of characters that JSON escapes: numbers, addresses, constants of ours.
    pub(crate) fn plain(&mut self, key: &'static str, value: impl std::fmt::Display) -> &mut Self {
        self.key(key);
        // Writing to a String cannot fail.
        let _ = write!(self.out, "\"{value}\"");
        self
    }

    /// Adds a number.
    pub(crate) fn number(&mut self, key: &'static str, value: impl Into<u64>) -> &mut Self {
        self.key(key);
        push_number(self.out, value.into(), 1);
        self
    }

    /// Adds a time span in milliseconds, with microseconds behind the point.
    pub(crate) fn milliseconds(&mut self, key: &'static str, span: Duration) -> &mut Self {
        let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        self.key(key);
        push_number(self.out, micros / 1000, 1);
        self.out.push('.');
        push_number(self.out, micros % 1000, 3);
        self
    }

    /// Adds a structure. Control characters beyond ASCII, which JSON leaves as they are, are encoded
    /// like those of [`Self::text`].
    pub(crate) fn json(&mut self, key: &'static str, value: &impl serde::Serialize) -> &mut Self {
        // Of our own types none has a key that is no text, or can fail otherwise.
        let Ok(text) = serde_json::to_string(value) else { return self };
        self.key(key);
        for c in text.chars() {
            match c.is_control() {
                true => {
                    let _ = write!(self.out, "\\u{:04x}", u32::from(c));
                }
                false => self.out.push(c),
            }
        }
        self
    }

    /// Ends the line.
    pub(crate) fn end(&mut self) {
        self.out.push_str("}\n");
    }

    fn key(&mut self, key: &'static str) {
        self.out.push_str(",\"");
        self.out.push_str(key);
        self.out.push_str("\":");
    }
}

/// Writes fields once that many lines share, to be added by [`LogLine::fragment`].
pub(crate) fn fragment(write: impl FnOnce(&mut LogLine<'_>)) -> Box<str> {
    let mut out = String::new();
    write(&mut LogLine { out: &mut out });
    out.into()
}

/// Decimal digits, at least so many. The formatting library does the same at several times the
/// cost, and every request has a line.
fn push_number(out: &mut String, value: u64, least: usize) {
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    let mut rest = value;
    while rest > 0 || digits.len() - at < least {
        at -= 1;
        digits[at] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
    }
    out.push_str(std::str::from_utf8(&digits[at..]).unwrap_or_default());
}

fn escape(out: &mut String, value: &str) {
    let mut from = 0;
    for (at, c) in value.char_indices() {
        let clean = !matches!(c, '"' | '\\' | '\u{7f}') && !c.is_control();
        if clean {
            continue;
        }
        out.push_str(&value[from..at]);
        from = at + c.len_utf8();
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            other => {
                let _ = write!(out, "\\u{:04x}", u32::from(other));
            }
        }
    }
    out.push_str(&value[from..]);
}

/// RFC 3339, UTC, milliseconds.
fn write_time(out: &mut String, now: SystemTime) {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = gregorian_date(days);
    let date = [(year, 4, '-'), (month, 2, '-'), (day, 2, 'T')];
    let time = [(second / 3600, 2, ':'), (second / 60 % 60, 2, ':'), (second % 60, 2, '.')];
    for (number, least, after) in date.into_iter().chain(time) {
        push_number(out, number, least);
        out.push(after);
    }
    push_number(out, u64::from(since.subsec_millis()), 3);
    out.push('Z');
}

/// The Gregorian date of a number of days since 1970-01-01, by counting 400-year eras that begin
/// in March, so that the leap day is the last of its year.
fn gregorian_date(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc3339() {
        let check = |seconds: u64, millis: u32, expect: &str| {
            let mut out = String::new();
            write_time(&mut out, UNIX_EPOCH + Duration::new(seconds, millis * 1_000_000));
            assert_eq!(out, expect);
        };
        check(0, 0, "1970-01-01T00:00:00.000Z");
        check(951_782_400, 7, "2000-02-29T00:00:00.007Z");
        check(1_780_272_000, 999, "2026-06-01T00:00:00.999Z");
        check(4_102_444_799, 0, "2099-12-31T23:59:59.000Z");
    }

    #[test]
    fn s52_a_peers_text_cannot_break_the_line() {
        let mut out = String::new();
        let mut line = LogLine::begin(&mut out, UNIX_EPOCH, "request");
        line.text("path", "/a\"b\\c\r\nd\u{1b}[31m\u{7f}é").number("status", 200u64).end();
        let read: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(read["path"], "/a\"b\\c\r\nd\u{1b}[31m\u{7f}é");
        assert_eq!(read["status"], 200);
        assert_eq!(out.matches('\n').count(), 1);
        assert!(!out.contains('\u{1b}') && !out.contains('\u{7f}'));
    }
}
