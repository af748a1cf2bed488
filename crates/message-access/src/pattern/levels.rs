//! Matching of patterns with levels: the subjects of NATS and the topic filters of MQTT.
//!
//! Both are compared level by level, without allocation. A pattern is compared with a pattern, because clients subscribe
//! to patterns: exactly, which the tests show by enumerating all topics of a small alphabet.

/// Whose patterns they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum LevelSyntax {
    /// `a.*.>`: `*` is one token, `>` one or more at the end.
    Nats,
    /// `a/+/#`: `+` is one level, `#` none or more at the end. Wildcards in front match no topic that begins with `$`
    /// (MQTT 5.0 §4.7.2).
    Mqtt,
}

/// One level of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level<'a> {
    Literal(&'a str),
    /// Exactly one level, whatever it is.
    One,
    /// The rest: none or more levels.
    Rest,
}

/// The levels of a pattern. The rest of NATS, one or more, is one and then the rest; so is a `#` that stands alone,
/// because no topic is without a level.
#[derive(Clone)]
struct Levels<'a> {
    syntax: LevelSyntax,
    parts: std::str::Split<'a, char>,
    first: bool,
    rest: bool,
}

impl<'a> Levels<'a> {
    fn of(syntax: LevelSyntax, pattern: &'a str) -> Self {
        let separator = match syntax {
            LevelSyntax::Nats => '.',
            LevelSyntax::Mqtt => '/',
        };
        Self { syntax, parts: pattern.split(separator), first: true, rest: false }
    }
}

impl<'a> Iterator for Levels<'a> {
    type Item = Level<'a>;

    fn next(&mut self) -> Option<Level<'a>> {
        if std::mem::take(&mut self.rest) {
            return Some(Level::Rest);
        }
        let first = std::mem::take(&mut self.first);
        Some(match (self.syntax, self.parts.next()?) {
            (LevelSyntax::Nats, "*") | (LevelSyntax::Mqtt, "+") => Level::One,
            (LevelSyntax::Nats, ">") => {
                self.rest = true;
                Level::One
            }
            (LevelSyntax::Mqtt, "#") if first => {
                self.rest = true;
                Level::One
            }
            (LevelSyntax::Mqtt, "#") => Level::Rest,
            (_, literal) => Level::Literal(literal),
        })
    }
}

/// Whether this is a subject or filter, wildcards allowed.
pub(super) fn is_valid(syntax: LevelSyntax, pattern: &str) -> bool {
    let parts = || {
        pattern.split(match syntax {
            LevelSyntax::Nats => '.',
            LevelSyntax::Mqtt => '/',
        })
    };
    let count = parts().count();
    match syntax {
        LevelSyntax::Nats => {
            !pattern.contains(|c: char| c.is_whitespace() || c.is_control())
                && parts()
                    .enumerate()
                    .all(|(at, token)| !token.is_empty() && (token != ">" || at + 1 == count))
        }
        LevelSyntax::Mqtt => {
            !pattern.is_empty()
                && !pattern.contains('\0')
                && parts().enumerate().all(|(at, level)| match level {
                    "+" => true,
                    "#" => at + 1 == count,
                    level => !level.contains(['+', '#']),
                })
        }
    }
}

/// Whether every topic that `asked` matches is matched by `pattern`.
pub(super) fn covers(syntax: LevelSyntax, pattern: &str, asked: &str) -> bool {
    if !is_valid(syntax, asked) {
        return false;
    }
    let (mut allowed, mut levels) = (Levels::of(syntax, pattern), Levels::of(syntax, asked));
    let mut first = true;
    loop {
        let hidden = first && syntax == LevelSyntax::Mqtt;
        first = false;
        match (allowed.next(), levels.next()) {
            (None, None) | (Some(Level::Rest), _) => return true,
            (Some(Level::One), Some(Level::Literal(level))) if hidden && level.starts_with('$') => {
                return false;
            }
            (Some(Level::One), Some(Level::Literal(_) | Level::One)) => {}
            (Some(Level::Literal(one)), Some(Level::Literal(other))) if one == other => {}
            _ => return false,
        }
    }
}

/// Whether any topic is matched by both.
pub(super) fn overlaps(syntax: LevelSyntax, pattern: &str, asked: &str) -> bool {
    if !is_valid(syntax, asked) {
        return true;
    }
    let (mut denied, mut levels) = (Levels::of(syntax, pattern), Levels::of(syntax, asked));
    let mut first = true;
    loop {
        let hidden = first && syntax == LevelSyntax::Mqtt;
        first = false;
        match (denied.next(), levels.next()) {
            (None, None) | (Some(Level::Rest), _) | (_, Some(Level::Rest)) => return true,
            (Some(Level::Literal(level)), Some(Level::One))
            | (Some(Level::One), Some(Level::Literal(level)))
                if hidden && level.starts_with('$') =>
            {
                return false;
            }
            (Some(Level::Literal(one)), Some(Level::Literal(other))) if one != other => {
                return false;
            }
            (Some(_), Some(_)) => {}
            (None, Some(_)) | (Some(_), None) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Every sequence of these levels, of up to this length, joined.
    fn sequences(levels: &[&str], longest: usize, separator: &str) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        let mut last: Vec<Vec<&str>> = vec![Vec::new()];
        for _ in 0..longest {
            last = last
                .iter()
                .flat_map(|begun| levels.iter().map(move |level| [&begun[..], &[*level]].concat()))
                .collect();
            all.extend(last.iter().map(|levels| levels.join(separator)));
        }
        all
    }

    /// The definition of matching, by recursion: what the brokers' documentation says, and nothing of the code above.
    fn matches(syntax: LevelSyntax, pattern: &[&str], topic: &[&str]) -> bool {
        let (one, rest) = match syntax {
            LevelSyntax::Nats => ("*", ">"),
            LevelSyntax::Mqtt => ("+", "#"),
        };
        match (pattern, topic) {
            ([], []) => true,
            ([end], topic) if *end == rest => syntax == LevelSyntax::Mqtt || !topic.is_empty(),
            ([level, pattern @ ..], [name, topic @ ..]) => {
                (*level == one || level == name) && matches(syntax, pattern, topic)
            }
            _ => false,
        }
    }

    fn matched(
        syntax: LevelSyntax,
        separator: char,
        pattern: &str,
        topics: &[String],
    ) -> BTreeSet<usize> {
        let levels: Vec<&str> = pattern.split(separator).collect();
        let hidden = syntax == LevelSyntax::Mqtt && matches!(levels.first(), Some(&("+" | "#")));
        let fits = |topic: &String| {
            let topic: Vec<&str> = topic.split(separator).collect();
            !(hidden && topic[0].starts_with('$')) && matches(syntax, &levels, &topic)
        };
        topics.iter().enumerate().filter(|(_, topic)| fits(topic)).map(|(at, _)| at).collect()
    }

    /// Compares every pattern of up to three levels with every other, by the topics that each matches. Topics are longer
    /// than patterns and have a name that no pattern has, so that a difference shows.
    fn compare(syntax: LevelSyntax, separator: char, wildcards: [&str; 2], names: &[&str]) {
        let joined = separator.to_string();
        let topics = sequences(&[names, &["other"]].concat(), 5, &joined);
        let patterns: Vec<String> = sequences(&[names, &wildcards].concat(), 3, &joined)
            .into_iter()
            .filter(|pattern| is_valid(syntax, pattern))
            .collect();
        let matched: Vec<BTreeSet<usize>> =
            patterns.iter().map(|pattern| matched(syntax, separator, pattern, &topics)).collect();
        for (one, of_one) in patterns.iter().zip(&matched) {
            for (other, of_other) in patterns.iter().zip(&matched) {
                assert_eq!(
                    covers(syntax, one, other),
                    of_other.is_subset(of_one),
                    "{one} covers {other}"
                );
                assert_eq!(
                    overlaps(syntax, one, other),
                    !of_other.is_disjoint(of_one),
                    "{one} overlaps {other}"
                );
            }
        }
    }

    #[test]
    fn subjects_of_nats_by_enumeration() {
        compare(LevelSyntax::Nats, '.', ["*", ">"], &["a", "b"]);
    }

    #[test]
    fn filters_of_mqtt_by_enumeration() {
        compare(LevelSyntax::Mqtt, '/', ["+", "#"], &["a", "$s", ""]);
    }

    #[test]
    fn what_is_no_pattern_is_covered_by_nothing_and_touched_by_all() {
        for asked in ["a.>.b", "a..b", "", "a b"] {
            assert!(!covers(LevelSyntax::Nats, ">", asked), "{asked}");
            assert!(overlaps(LevelSyntax::Nats, "x", asked), "{asked}");
        }
        for asked in ["a/#/b", "", "a+"] {
            assert!(!covers(LevelSyntax::Mqtt, "#", asked), "{asked}");
            assert!(overlaps(LevelSyntax::Mqtt, "x", asked), "{asked}");
        }
    }
}
