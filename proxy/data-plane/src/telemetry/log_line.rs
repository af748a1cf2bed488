//! One JSON object on one line, written straight into a buffer.
//!
//! Every request has a line, so what stands in each is written without the formatting library, in bytes that are text by
//! construction.

use std::fmt::Display;
use std::io::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data_encoding::HEXLOWER;

/// Room for an ordinary line, so that its parts find it without asking.
const ORDINARY_LINE: usize = 768;

/// A line under construction.
pub(crate) struct LogLine<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> LogLine<'a> {
    /// Begins a line with its time and kind.
    pub(crate) fn begin(out: &'a mut Vec<u8>, now: SystemTime, kind: &'static str) -> Self {
        out.reserve(ORDINARY_LINE);
        out.extend_from_slice(b"{\"timestamp\":\"");
        out.extend_from_slice(&rfc3339(now));
        out.extend_from_slice(b"\",\"kind\":\"");
        out.extend_from_slice(kind.as_bytes());
        out.push(b'"');
        Self { out }
    }

    /// Adds a text from a peer or a file: escaped, control characters encoded
    /// (SECURITY-CASES S-52).
    #[inline]
    pub(crate) fn text(&mut self, key: &'static str, value: &str) -> &mut Self {
        self.key(key);
        push_text(self.out, value);
        self
    }

    /// Adds a text when there is one.
    #[inline]
    pub(crate) fn optional_text(&mut self, key: &'static str, value: Option<&str>) -> &mut Self {
        if let Some(value) = value {
            self.text(key, value);
        }
        self
    }

    /// Adds a constant of ours, which needs no escaping.
    #[inline]
    pub(crate) fn word(&mut self, key: &'static str, value: &'static str) -> &mut Self {
        self.key(key);
        self.out.push(b'"');
        self.out.extend_from_slice(value.as_bytes());
        self.out.push(b'"');
        self
    }

    /// Adds what a [`fragment`] has written.
    pub(crate) fn fragment(&mut self, fragment: &[u8]) -> &mut Self {
        self.out.extend_from_slice(fragment);
        self
    }

    /// Adds anything whose `Display` is free of characters that JSON escapes.
    pub(crate) fn plain(&mut self, key: &'static str, value: impl Display) -> &mut Self {
        self.key(key);
        push_quoted(self.out, value);
        self
    }

    /// Adds an address.
    #[inline]
    pub(crate) fn address(&mut self, key: &'static str, value: SocketAddr) -> &mut Self {
        self.key(key);
        push_address(self.out, value);
        self
    }

    /// Adds bytes as hexadecimal digits.
    pub(crate) fn hexadecimal(&mut self, key: &'static str, bytes: &[u8]) -> &mut Self {
        self.key(key);
        self.out.push(b'"');
        let from = self.out.len();
        self.out.resize(from + HEXLOWER.encode_len(bytes.len()), 0);
        HEXLOWER.encode_mut(bytes, &mut self.out[from..]);
        self.out.push(b'"');
        self
    }

    /// Adds a number.
    #[inline]
    pub(crate) fn number(&mut self, key: &'static str, value: impl Into<u64>) -> &mut Self {
        self.key(key);
        push_number(self.out, value.into(), 1);
        self
    }

    /// Adds a time span in milliseconds, with microseconds behind the point.
    #[inline]
    pub(crate) fn milliseconds(&mut self, key: &'static str, span: Duration) -> &mut Self {
        self.key(key);
        let whole = span.as_secs().saturating_mul(1000).saturating_add(span.subsec_millis().into());
        push_number(self.out, whole, 1);
        self.out.push(b'.');
        push_number(self.out, (span.subsec_micros() % 1000).into(), 3);
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
                true => push_control(self.out, c),
                false => self.out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        self
    }

    /// Ends the line.
    pub(crate) fn end(&mut self) {
        self.out.extend_from_slice(b"}\n");
    }

    #[inline]
    fn key(&mut self, key: &'static str) {
        self.out.extend_from_slice(b",\"");
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }
}

/// Writes fields once that many lines share, to be added by [`LogLine::fragment`].
pub(crate) fn fragment(write: impl FnOnce(&mut LogLine<'_>)) -> Box<[u8]> {
    let mut out = Vec::new();
    write(&mut LogLine { out: &mut out });
    out.into()
}

/// What `Display` writes, in quotes.
fn push_quoted(out: &mut Vec<u8>, value: impl Display) {
    // Writing to memory cannot fail.
    let _ = write!(out, "\"{value}\"");
}

/// Decimal digits, at least so many.
fn push_number(out: &mut Vec<u8>, value: u64, least: usize) {
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    let mut rest = value;
    while rest > 0 || digits.len() - at < least {
        at -= 1;
        digits[at] = digit(rest);
        rest /= 10;
    }
    out.extend_from_slice(&digits[at..]);
}

/// The last decimal digit.
fn digit(number: u64) -> u8 {
    b'0' + u8::try_from(number % 10).unwrap_or(0)
}

/// An address in quotes, as `Display` has it.
fn push_address(out: &mut Vec<u8>, address: SocketAddr) {
    let SocketAddr::V4(address) = address else { return push_quoted(out, address) };
    let [first, rest @ ..] = address.ip().octets();
    out.push(b'"');
    push_number(out, first.into(), 1);
    for octet in rest {
        out.push(b'.');
        push_number(out, octet.into(), 1);
    }
    out.push(b':');
    push_number(out, address.port().into(), 1);
    out.push(b'"');
}

fn push_text(out: &mut Vec<u8>, value: &str) {
    out.push(b'"');
    match value.bytes().all(is_clean) {
        true => out.extend_from_slice(value.as_bytes()),
        false => escape(out, value),
    }
    out.push(b'"');
}

/// ASCII that stands for itself in JSON, which nearly every text consists of.
fn is_clean(byte: u8) -> bool {
    const CLEAN: [bool; 256] = {
        let mut clean = [false; 256];
        let mut byte = 0x20;
        while byte < 0x7f {
            clean[byte] = byte != b'"' as usize && byte != b'\\' as usize;
            byte += 1;
        }
        clean
    };
    CLEAN[usize::from(byte)]
}

fn escape(out: &mut Vec<u8>, value: &str) {
    let mut from = 0;
    for (at, c) in value.char_indices() {
        let clean = !matches!(c, '"' | '\\' | '\u{7f}') && !c.is_control();
        if clean {
            continue;
        }
        out.extend_from_slice(&value.as_bytes()[from..at]);
        from = at + c.len_utf8();
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            other => push_control(out, other),
        }
    }
    out.extend_from_slice(&value.as_bytes()[from..]);
}

fn push_control(out: &mut Vec<u8>, c: char) {
    let _ = write!(out, "\\u{:04x}", u32::from(c));
}

/// RFC 3339, UTC, milliseconds; the years to 9999.
fn rfc3339(now: SystemTime) -> [u8; 24] {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = gregorian_date(days);
    let mut text = *b"0000-00-00T00:00:00.000Z";
    let fields = [
        (3, 4, year),
        (6, 2, month),
        (9, 2, day),
        (12, 2, second / 3600),
        (15, 2, second / 60 % 60),
        (18, 2, second % 60),
        (22, 3, u64::from(since.subsec_millis())),
    ];
    for (last, length, number) in fields {
        let mut rest = number;
        for back in 0..length {
            text[last - back] = digit(rest);
            rest /= 10;
        }
    }
    text
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
            let time = UNIX_EPOCH + Duration::new(seconds, millis * 1_000_000);
            assert_eq!(rfc3339(time), expect.as_bytes(), "{expect}");
        };
        check(0, 0, "1970-01-01T00:00:00.000Z");
        check(951_782_400, 7, "2000-02-29T00:00:00.007Z");
        check(1_780_272_000, 999, "2026-06-01T00:00:00.999Z");
        check(4_102_444_799, 0, "2099-12-31T23:59:59.000Z");
    }

    fn line(write: impl FnOnce(&mut LogLine<'_>)) -> String {
        let mut out = Vec::new();
        write(&mut LogLine::begin(&mut out, UNIX_EPOCH, "request"));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn s52_a_peers_text_cannot_break_the_line() {
        let out = line(|line| {
            line.text("path", "/a\"b\\c\r\nd\u{1b}[31m\u{7f}é").number("status", 200u64).end();
        });
        let read: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(read["path"], "/a\"b\\c\r\nd\u{1b}[31m\u{7f}é");
        assert_eq!(read["status"], 200);
        assert_eq!(out.matches('\n').count(), 1);
        assert!(!out.contains('\u{1b}') && !out.contains('\u{7f}'));
    }

    #[test]
    fn values_are_written_as_the_formatting_library_would() {
        let check = |found: String, expect: &str| {
            let begin = r#"{"timestamp":"1970-01-01T00:00:00.000Z","kind":"request","k":"#;
            assert_eq!(found.strip_prefix(begin).and_then(|f| f.strip_suffix("}\n")), Some(expect));
        };
        for number in [0, 7, 10, 200, 65_535, 1_234_567_890, u64::MAX] {
            check(line(|line| line.number("k", number).end()), &number.to_string());
        }
        for address in
            ["0.0.0.0:0", "10.0.0.7:8080", "255.255.255.255:65535", "[::1]:80", "[fe80::1%3]:1"]
        {
            let parsed: SocketAddr = address.parse().unwrap();
            check(line(|line| line.address("k", parsed).end()), &format!("\"{parsed}\""));
            check(line(|line| line.plain("k", parsed).end()), &format!("\"{parsed}\""));
        }
        check(line(|line| line.hexadecimal("k", &[0, 0xaf, 0x19]).end()), "\"00af19\"");
        for (span, expect) in [
            (Duration::ZERO, "0.000"),
            (Duration::from_nanos(1_999), "0.001"),
            (Duration::from_micros(1_050), "1.050"),
            (Duration::new(3_600, 7_008_999), "3600007.008"),
        ] {
            check(line(|line| line.milliseconds("k", span).end()), expect);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_reads_back(text in ".{0,40}", ascii in "[\\x00-\\x7f]{0,24}") {
            for value in [text, ascii] {
                let out = line(|line| line.text("k", &value).end());
                let read: serde_json::Value = serde_json::from_str(&out).unwrap();
                proptest::prop_assert_eq!(read["k"].as_str(), Some(&*value));
                let control = |c: char| c.is_control();
                proptest::prop_assert!(!out.trim_end_matches('\n').contains(control));
            }
        }
    }
}
