//! Did you mean …?

/// The word of `known` nearest to `word`, when one is near enough to be meant: at most a third of its letters apart,
/// case ignored.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > 64 {
        return None;
    }
    let word = word.to_lowercase();
    let distances = known.into_iter().map(|name| (distance(&word, &name.to_lowercase()), name));
    let (distance, name) = distances.min()?;
    (distance <= name.len().max(3) / 3).then_some(name)
}

/// The edit distance of two words, a swap of neighbours counting once.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replace = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn did_you_mean() {
        let known = ["methods", "paths", "hosts", "ports", "notMethods"];
        for (word, expect) in [
            ("method", Some("methods")),
            ("Methods", Some("methods")),
            ("mehtods", Some("methods")),
            ("path", Some("paths")),
            ("notmethods", Some("notMethods")),
            ("principals", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), expect, "{word}");
        }
    }
}
