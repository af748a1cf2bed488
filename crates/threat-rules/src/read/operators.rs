//! What a rule asks.

use std::path::Path;

use aho_corasick::AhoCorasick;
use ipnet::IpNet;
use regex::bytes::{Regex, RegexBuilder};
use zentinel_modsec::parser::{OperatorName, OperatorSpec};

use super::files;
use crate::operator::{Comparison, Operator};
use crate::template::Template;

/// A compiled pattern takes no more than this.
const MOST_PATTERN_BYTES: usize = 16 << 20;
/// What a thread keeps of the states of one pattern; a pattern that needs more is slower, not wrong.
const PATTERN_CACHE_BYTES: usize = 512 << 10;

/// The operator of a rule; `file` is the one that the rule stands in, beside which its data stands.
pub(super) fn of_rule(spec: &OperatorSpec, file: &Path) -> Result<Operator, String> {
    use OperatorName as O;
    let text = || Template::read(&spec.argument);
    let number = |comparison| Ok(Operator::Number(comparison, Template::read(&spec.argument)?));
    match spec.name {
        O::Rx => Ok(Operator::Matches(Box::new(pattern(&spec.argument)?))),
        O::Pm => phrases(spec.argument.split_whitespace().map(str::to_owned).collect()),
        O::PmFromFile | O::Pmf => phrases(of_files(file, &spec.argument)?),
        O::Contains | O::StrMatch => Ok(Operator::Contains(text()?)),
        O::ContainsWord => Ok(Operator::ContainsWord(text()?)),
        O::BeginsWith => Ok(Operator::Begins(text()?)),
        O::EndsWith => Ok(Operator::Ends(text()?)),
        O::StreQ => Ok(Operator::Equals(text()?)),
        O::Within => Ok(Operator::Within(text()?)),
        O::Eq => number(Comparison::Equal),
        O::Ne => number(Comparison::Unequal),
        O::Gt => number(Comparison::Greater),
        O::Ge => number(Comparison::GreaterOrEqual),
        O::Lt => number(Comparison::Less),
        O::Le => number(Comparison::LessOrEqual),
        O::DetectSqli => Ok(Operator::Sql),
        O::DetectXss => Ok(Operator::Script),
        O::ValidateUrlEncoding => Ok(Operator::BadPercent),
        O::ValidateUtf8Encoding => Ok(Operator::BadUtf8),
        O::ValidateByteRange => Ok(Operator::OtherBytes(byte_range(&spec.argument)?)),
        O::IpMatch => {
            addresses(spec.argument.split(',').map(|one| one.trim().to_owned()).collect())
        }
        O::IpMatchFromFile | O::IpMatchF => addresses(of_files(file, &spec.argument)?),
        O::UnconditionalMatch => Ok(Operator::Always),
        O::NoMatch => Ok(Operator::Never),
        other => Err(format!("the operator {other:?} is not supported")),
    }
}

/// A pattern of the automata of the `regex` crate: matched in time that is linear in the value, whatever the pattern.
/// What would need more (look-around, back-references) is refused here.
fn pattern(text: &str) -> Result<Regex, String> {
    if text.to_ascii_lowercase().contains("%{tx.") {
        return Err("a pattern with places to fill in (%{tx.…}) is not supported".to_owned());
    }
    let text = of_bytes(text);
    let mut builder = RegexBuilder::new(&text);
    builder.unicode(false).dot_matches_new_line(true);
    builder.size_limit(MOST_PATTERN_BYTES).dfa_size_limit(PATTERN_CACHE_BYTES).nest_limit(128);
    builder
        .build()
        .map_err(|error| format!("the pattern is not supported: {}", last_line(&error.to_string())))
}

/// A pattern about bytes: what lies beyond ASCII, and `\x{e9}`, is written as the number of each byte.
fn of_bytes(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let braced = rest.strip_prefix("\\x{").and_then(|after| after.split_once('}'));
        let (written, after) = match braced {
            Some((digits, after)) if digits.len() <= 2 => (format!("\\x{digits:0>2}"), after),
            _ if letter == '\\' => {
                let two: String = rest.chars().take(2).collect();
                let after = rest.get(two.len()..).unwrap_or_default();
                (two, after)
            }
            _ => {
                let after = rest.get(letter.len_utf8()..).unwrap_or_default();
                (letter.to_string(), after)
            }
        };
        for byte in written.bytes() {
            if byte.is_ascii() {
                pattern.push(char::from(byte))
            } else {
                pattern.push_str(&format!("\\x{byte:02x}"))
            }
        }
        rest = after;
    }
    pattern
}

/// The reason at the end of a message of many lines.
fn last_line(message: &str) -> String {
    message.lines().last().unwrap_or(message).trim().to_owned()
}

fn phrases(phrases: Vec<String>) -> Result<Operator, String> {
    if phrases.is_empty() {
        return Err("there is no phrase".to_owned());
    }
    let built = AhoCorasick::builder().ascii_case_insensitive(true).build(phrases);
    Ok(Operator::Phrases(Box::new(built.map_err(|error| error.to_string())?)))
}

fn of_files(rules: &Path, names: &str) -> Result<Vec<String>, String> {
    let lists: Result<Vec<_>, _> =
        names.split_whitespace().map(|name| files::phrases(rules, name)).collect();
    Ok(lists?.concat())
}

fn addresses(texts: Vec<String>) -> Result<Operator, String> {
    let network = |text: String| {
        let address = || text.parse().map(|address: std::net::IpAddr| IpNet::from(address));
        text.parse::<IpNet>()
            .or_else(|_| address())
            .map_err(|_| format!("{text} is no address or network"))
    };
    texts.into_iter().map(network).collect::<Result<_, _>>().map(Operator::Address)
}

/// `9,10,13,32-126`
fn byte_range(text: &str) -> Result<Box<[bool; 256]>, String> {
    let mut allowed = Box::new([false; 256]);
    for part in text.split(',').map(str::trim) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (Ok(first), Ok(last)) = (first.parse::<u8>(), last.parse::<u8>()) else {
            return Err(format!("{part} is no range of bytes"));
        };
        for byte in first..=last {
            if let Some(slot) = allowed.get_mut(usize::from(byte)) {
                *slot = true;
            }
        }
    }
    Ok(allowed)
}
