//! What a rule asks about a value.

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use aho_corasick::AhoCorasick;
use ipnet::IpNet;
use regex::bytes::Regex;

use crate::template::{Place, Template};

/// One question.
pub(crate) enum Operator {
    /// A regular expression matches; in linear time, whatever the value.
    Matches(Box<Regex>),
    /// One of many phrases stands within, in any case.
    Phrases(Box<AhoCorasick>),
    Contains(Template),
    /// As `Contains`, but the phrase is a word.
    ContainsWord(Template),
    Begins(Template),
    Ends(Template),
    Equals(Template),
    /// The value stands within the text.
    Within(Template),
    Number(Comparison, Template),
    /// libinjection takes it for SQL.
    Sql,
    /// libinjection takes it for a script in HTML.
    Script,
    /// A percent sign begins no escape.
    BadPercent,
    /// It is no UTF-8.
    BadUtf8,
    /// A byte is none of these.
    OtherBytes(Box<[bool; 256]>),
    Address(Vec<IpNet>),
    Always,
    Never,
}

/// How numbers are compared.
#[derive(Clone, Copy)]
pub(crate) enum Comparison {
    Equal,
    Unequal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// What an operator says of a value.
pub(crate) struct Answer {
    pub(crate) holds: bool,
    /// What became of the groups of the pattern: `TX:0` to `TX:9`. Empty unless it was asked for.
    pub(crate) captured: Vec<Vec<u8>>,
}

impl Answer {
    fn plain(holds: bool) -> Self {
        Self { holds, captured: Vec::new() }
    }
}

impl Operator {
    /// Asks about a value. `fill` fills the places of the rule's text.
    pub(crate) fn ask(
        &self,
        value: &[u8],
        capture: bool,
        mut fill: impl FnMut(&Place) -> Option<Vec<u8>>,
    ) -> Answer {
        let mut with = |template: &Template, holds: &dyn Fn(&[u8]) -> bool| match template.fixed() {
            Some(text) => Answer::plain(holds(text)),
            None => Answer::plain(holds(&template.filled(&mut fill))),
        };
        match self {
            Self::Matches(pattern) if capture => captures(pattern, value),
            Self::Matches(pattern) => Answer::plain(pattern.is_match(value)),
            Self::Phrases(phrases) if capture => match phrases.find(value) {
                Some(found) => Answer {
                    holds: true,
                    captured: vec![value.get(found.range()).unwrap_or_default().to_vec()],
                },
                None => Answer::plain(false),
            },
            Self::Phrases(phrases) => Answer::plain(phrases.is_match(value)),
            Self::Contains(text) => with(text, &|text| contains(value, text)),
            Self::ContainsWord(text) => with(text, &|text| contains_word(value, text)),
            Self::Begins(text) => with(text, &|text| value.starts_with(text)),
            Self::Ends(text) => with(text, &|text| value.ends_with(text)),
            Self::Equals(text) => with(text, &|text| value == text),
            Self::Within(text) => with(text, &|text| contains(text, value)),
            Self::Number(comparison, text) => {
                with(text, &|text| comparison.holds(number(value), number(text)))
            }
            Self::Sql => {
                Answer::plain(detected(|| libinjectionrs::detect_sqli(value).is_injection()))
            }
            Self::Script => {
                Answer::plain(detected(|| libinjectionrs::detect_xss(value).is_injection()))
            }
            Self::BadPercent => Answer::plain(bad_percent(value)),
            Self::BadUtf8 => Answer::plain(std::str::from_utf8(value).is_err()),
            Self::OtherBytes(allowed) => Answer::plain(
                value.iter().any(|byte| !allowed.get(usize::from(*byte)).copied().unwrap_or(true)),
            ),
            Self::Address(networks) => Answer::plain(in_networks(value, networks)),
            Self::Always => Answer::plain(true),
            Self::Never => Answer::plain(false),
        }
    }

    /// Whether the answer depends on the rules and their variables alone.
    pub(crate) fn is_of_rules(&self) -> bool {
        match self {
            Self::Contains(text)
            | Self::ContainsWord(text)
            | Self::Begins(text)
            | Self::Ends(text)
            | Self::Equals(text)
            | Self::Within(text)
            | Self::Number(_, text) => text.is_of_rules(),
            _ => true,
        }
    }
}

impl Comparison {
    fn holds(self, left: i64, right: i64) -> bool {
        match self {
            Self::Equal => left == right,
            Self::Unequal => left != right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
        }
    }
}

fn captures(pattern: &Regex, value: &[u8]) -> Answer {
    // Groups cost much more than the answer, and most answers are no.
    if !pattern.is_match(value) {
        return Answer::plain(false);
    }
    let groups = pattern.captures(value);
    let group = |group: Option<regex::bytes::Match<'_>>| {
        group.map_or_else(Vec::new, |found| found.as_bytes().to_vec())
    };
    let captured =
        groups.map(|groups| groups.iter().take(10).map(group).collect()).unwrap_or_default();
    Answer { holds: true, captured }
}

/// The number that a text begins with, 0 without one, as the language has it.
pub(crate) fn number(text: &[u8]) -> i64 {
    let text = text.trim_ascii_start();
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    let number = digits.fold(0_i64, |number, byte| {
        number.saturating_mul(10).saturating_add(i64::from(byte - b'0'))
    });
    if negative { -number } else { number }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(text, part).is_some()
}

fn contains_word(text: &[u8], word: &[u8]) -> bool {
    let part_of_word =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    memchr::memmem::find_iter(text, word).any(|place| {
        let before = place.checked_sub(1).and_then(|before| text.get(before));
        !part_of_word(before) && !part_of_word(text.get(place + word.len()))
    })
}

fn bad_percent(value: &[u8]) -> bool {
    memchr::memchr_iter(b'%', value).any(|place| {
        let digits = value.get(place + 1..place + 3);
        !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

fn in_networks(value: &[u8], networks: &[IpNet]) -> bool {
    let address = std::str::from_utf8(value).ok().and_then(|text| text.parse::<IpAddr>().ok());
    address.is_some_and(|address| {
        networks.iter().any(|network| network.contains(&address.to_canonical()))
    })
}

/// What a detector of others says. One that gives up is no way past it.
fn detected(detect: impl FnOnce() -> bool) -> bool {
    catch_unwind(AssertUnwindSafe(detect)).unwrap_or(true)
}
