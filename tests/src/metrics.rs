//! A scrape of a proxy, read.

use std::collections::BTreeMap;

/// All samples of one scrape.
#[derive(Debug)]
pub struct Metrics {
    /// The scrape as it came, in Prometheus' text format.
    pub text: String,
    samples: Vec<Sample>,
}

/// One line of a scrape.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The metric's name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

impl Metrics {
    /// Reads Prometheus' text format; panics on a line that is none.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        Self { text: text.to_owned(), samples: lines.map(Sample::parse).collect() }
    }

    /// The sum of all samples of `name` whose labels include all of `labels`; 0 when there are none.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.matching(name, labels).map(|sample| sample.value).sum()
    }

    /// The samples of `name` whose labels include all of `labels`.
    pub fn matching<'a>(
        &'a self,
        name: &'a str,
        labels: &'a [(&str, &str)],
    ) -> impl Iterator<Item = &'a Sample> {
        self.samples.iter().filter(move |sample| sample.name == name && sample.has(labels))
    }

    /// Panics with the metric's lines unless at least one matching sample counts more than zero.
    #[track_caller]
    pub fn expect(&self, name: &str, labels: &[(&str, &str)]) {
        assert!(
            self.sum(name, labels) > 0.0,
            "expected {name}{labels:?} above zero; the scrape has\n{}",
            self.lines(name)
        );
    }

    /// The lines of one metric as they came.
    #[must_use]
    pub fn lines(&self, name: &str) -> String {
        let lines = self.text.lines().filter(|line| line.starts_with(name));
        lines.collect::<Vec<_>>().join("\n")
    }
}

impl Sample {
    fn parse(line: &str) -> Self {
        let bad = || panic!("not a sample: {line}");
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(bad);
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => {
                (name, labels.strip_suffix('}').unwrap_or_else(|| panic!("not a sample: {line}")))
            }
            None => (series, ""),
        };
        Self {
            name: name.to_owned(),
            labels: parse_labels(labels),
            value: value.parse().unwrap_or_else(|_| panic!("not a value: {line}")),
        }
    }

    fn has(&self, labels: &[(&str, &str)]) -> bool {
        labels
            .iter()
            .all(|(name, value)| self.labels.get(*name).is_some_and(|found| found == value))
    }
}

/// Reads `a="b",c="d"`; label values of ours hold no escaped quotes.
fn parse_labels(text: &str) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let mut rest = text.trim_end_matches(',');
    while let Some((name, tail)) = rest.split_once("=\"") {
        let (value, tail) = tail.split_once('"').expect("a label value is closed");
        labels.insert(name.to_owned(), value.to_owned());
        rest = tail.trim_start_matches(',');
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_is_summed_by_labels() {
        let metrics = Metrics::parse("# TYPE a counter\na{x=\"1\",y=\"2\"} 3\na{x=\"1\"} 4\nb 5\n");
        assert_eq!(metrics.sum("a", &[("x", "1")]), 7.0);
        assert_eq!(metrics.sum("a", &[("y", "2")]), 3.0);
        assert_eq!(metrics.sum("b", &[]), 5.0);
        assert_eq!(metrics.sum("c", &[]), 0.0);
    }
}
