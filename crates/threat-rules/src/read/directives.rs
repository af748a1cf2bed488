//! A file as directives: lines that end in a backslash are one, quotes hold words together.

use std::path::Path;

use super::Directive;
use crate::problem::RuleSetProblem;

/// The directives of a text. An error is a quote that does not end.
pub(super) fn split(file: &Path, text: &str) -> Result<Vec<Directive>, RuleSetProblem> {
    let mut directives = Vec::new();
    let mut lines = text.lines().zip(1..);
    while let Some((first, line)) = lines.next() {
        let mut whole = first.to_owned();
        // A comment ends with its line, so that it never swallows a rule.
        if whole.trim_start().starts_with('#') || whole.trim().is_empty() {
            continue;
        }
        while let Some(more) = continued(&whole) {
            whole.truncate(more);
            let Some((next, _)) = lines.next() else { break };
            whole.push_str(next);
        }
        let problem = |message: &str| RuleSetProblem {
            file: file.to_owned(),
            line,
            rule: None,
            message: message.to_owned(),
        };
        let mut words = words(&whole).ok_or_else(|| problem("a quote does not end"))?.into_iter();
        if let Some(name) = words.next() {
            directives.push(Directive {
                file: file.to_owned(),
                line,
                name,
                words: words.collect(),
            });
        }
    }
    Ok(directives)
}

/// Where a line goes on with the next: the place of the backslash at its end.
fn continued(line: &str) -> Option<usize> {
    let line = line.trim_end_matches(['\r', ' ', '\t']);
    let backslashes = line.len() - line.trim_end_matches('\\').len();
    (backslashes % 2 == 1).then(|| line.len() - 1)
}

/// The words of a line. Within quotes a backslash before the quote is left out; all others stand for themselves.
fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    while let Some(first) = rest.chars().next() {
        let (word, after) = match first {
            '"' | '\'' => quoted(rest.get(1..)?, first)?,
            _ => {
                let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                (rest.get(..end)?.to_owned(), rest.get(end..)?)
            }
        };
        words.push(word);
        rest = after.trim_start();
    }
    Some(words)
}

fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut word = String::new();
    let mut letters = text.char_indices();
    while let Some((place, letter)) = letters.next() {
        if letter == quote {
            return Some((word, text.get(place + 1..)?));
        }
        word.push(letter);
        if letter == '\\' {
            let (_, escaped) = letters.next()?;
            if escaped == quote {
                word.pop();
            }
            word.push(escaped);
        }
    }
    None
}
