//! What was measured: lines of JSON, a run each, kept in a file from run to run, and what they come to.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde_json::{Value, json};

use crate::contender::Contender;
use crate::context::Context as Circumstances;
use crate::measure::Run;
use crate::proxies::Proxy;
use crate::rows::{ROWS, Row};
use crate::statistics::{Spread, spread};
use crate::table::Table;
use crate::{markdown, plot};

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A table for people
    Table,
    /// One JSON object a line
    Json,
}

/// One run of one contender.
#[derive(Debug)]
pub(crate) struct Measured {
    /// Contenders of one round are neighbours in time.
    pub(crate) round: u32,
    pub(crate) contender: String,
    pub(crate) run: Run,
}

impl Measured {
    /// As it is kept.
    pub(crate) fn to_json(&self, row: &Row) -> Value {
        let run = &self.run;
        let round = |value: f64| (value * 1000.0).round() / 1000.0;
        json!({
            "kind": "run", "row": row.name, "contender": self.contender, "round": self.round,
            "value": round(run.value), "unit": row.figure.unit(), "units_per_second": round(run.rate),
            "p50_us": run.counted.p50_us, "p99_us": run.counted.p99_us,
            "proxies_busy": round(run.proxies_busy), "load_busy": round(run.load_busy),
            "others_busy": round(run.others_busy),
        })
    }
}

/// All rows there are results of.
pub(crate) struct Results {
    directory: Option<PathBuf>,
    /// By the name of the row: the circumstances, then the runs.
    lines: BTreeMap<String, Vec<Value>>,
    /// Those measured now.
    new: Vec<&'static Row>,
}

/// The file of lines, beside which the others are made.
const LINES: &str = "latest.jsonl";

impl Results {
    /// What the folder holds already; without a folder nothing is kept.
    ///
    /// # Errors
    /// When a file is damaged.
    pub(crate) fn read(directory: Option<&Path>) -> Result<Self> {
        let file = directory.map(|directory| directory.join(LINES)).filter(|file| file.is_file());
        let text = file.map(fs::read_to_string).transpose()?.unwrap_or_default();
        let mut lines: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for line in text.lines() {
            let value: Value =
                serde_json::from_str(line).with_context(|| format!("{LINES}: {line}"))?;
            let row = value["row"].as_str().unwrap_or_default().to_owned();
            lines.entry(row).or_default().push(value);
        }
        Ok(Self { directory: directory.map(Path::to_owned), lines, new: Vec::new() })
    }

    /// Takes a row's runs in the place of those it had, and writes the files anew.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(crate) fn take(
        &mut self,
        row: &'static Row,
        context: &Circumstances,
        measured: Vec<Measured>,
    ) -> Result<()> {
        let mut circumstances = context.to_json();
        circumstances["kind"] = "context".into();
        circumstances["row"] = row.name.into();
        let runs = measured.iter().map(|measured| measured.to_json(row));
        self.lines
            .insert(row.name.to_owned(), std::iter::once(circumstances).chain(runs).collect());
        self.new.push(row);
        self.write()
    }

    /// Writes the files anew from the lines there are.
    ///
    /// # Errors
    /// When one cannot be written.
    pub(crate) fn write(&self) -> Result<()> {
        let Some(directory) = &self.directory else { return Ok(()) };
        let write = |name: &str, text: String| {
            let path = directory.join(name);
            fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
        };
        fs::create_dir_all(directory)
            .with_context(|| format!("creating {}", directory.display()))?;
        let in_order = ROWS.iter().filter_map(|row| self.lines.get(row.name)).flatten();
        write(LINES, in_order.map(|line| format!("{line}\n")).collect())?;
        let summaries: Vec<Summary> = ROWS.iter().filter_map(|row| self.summary(row)).collect();
        write("latest.md", markdown::page(&summaries))?;
        write("latest.svg", plot::page(&summaries))
    }

    /// Prints what the rows measured now come to.
    ///
    /// # Errors
    /// When nobody listens.
    pub(crate) fn show(&self, table: &Table) -> Result<()> {
        self.new
            .iter()
            .filter_map(|row| self.summary(row))
            .try_for_each(|summary| table.summary(&summary))
    }

    fn summary(&self, row: &'static Row) -> Option<Summary> {
        Summary::of(row, self.lines.get(row.name)?)
    }
}

/// What the runs of a row come to.
pub(crate) struct Summary {
    pub(crate) row: &'static Row,
    pub(crate) context: Value,
    pub(crate) lines: Vec<Line>,
}

/// One contender of a row.
pub(crate) struct Line {
    pub(crate) contender: Contender,
    pub(crate) value: Spread,
    /// Postern's figure divided by this one's, of runs in one round; in rows that compare a program with itself, this
    /// one's divided by that of the one before.
    pub(crate) ratio: Option<Spread>,
    pub(crate) p50_us: Option<f64>,
    pub(crate) p99_us: Option<f64>,
    pub(crate) rate: f64,
    pub(crate) proxies_busy: f64,
    pub(crate) load_busy: f64,
    pub(crate) others_busy: f64,
}

impl Summary {
    fn of(row: &'static Row, lines: &[Value]) -> Option<Self> {
        let context = lines.iter().find(|line| line["kind"] == "context")?.clone();
        let runs_of = |name: &str| -> Vec<&Value> {
            lines.iter().filter(|line| line["kind"] == "run" && line["contender"] == name).collect()
        };
        let ratio = |above: &str, below: &str| {
            let (above, below) = (runs_of(above), runs_of(below));
            let of_round = |round: &Value| above.iter().find(|run| run["round"] == *round);
            let ratios = below.iter().filter_map(|below| {
                Some(of_round(&below["round"])?["value"].as_f64()? / below["value"].as_f64()?)
            });
            spread(ratios)
        };
        let mut found = Vec::new();
        for (index, contender) in row.contenders.iter().enumerate() {
            let runs = runs_of(contender.name);
            let all = |key: &str| spread(runs.iter().filter_map(|run| run[key].as_f64()));
            let Some(value) = all("value") else { continue };
            let before = index.checked_sub(1).and_then(|before| row.contenders.get(before));
            let ratio = match (row.is_pairwise(), contender.is_ours(), before) {
                (true, _, Some(before)) if index % 2 == 1 => ratio(contender.name, before.name),
                (false, false, _) if contender.proxy.is_some() => ratio("postern", contender.name),
                _ => None,
            };
            let median = |key: &str| all(key).map(|all| all.median);
            found.push(Line {
                contender: *contender,
                value,
                ratio,
                p50_us: median("p50_us"),
                p99_us: median("p99_us"),
                rate: median("units_per_second").unwrap_or(0.0),
                proxies_busy: median("proxies_busy").unwrap_or(0.0),
                load_busy: median("load_busy").unwrap_or(0.0),
                others_busy: all("others_busy").map_or(0.0, |all| all.max),
            });
        }
        Some(Self { row, context, lines: found })
    }

    /// Ours.
    pub(crate) fn ours(&self) -> Option<&Line> {
        self.lines.iter().find(|line| line.contender.is_ours())
    }

    /// The one with the smallest median among the settings of these programs.
    pub(crate) fn best(&self, of: &[Proxy]) -> Option<&Line> {
        let candidates = self
            .lines
            .iter()
            .filter(|line| line.contender.proxy.is_some_and(|proxy| of.contains(&proxy)));
        candidates.min_by(|one, other| one.value.median.total_cmp(&other.value.median))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::rows::named;

    /// A row's lines, as a file has them.
    fn lines(row: &str, runs: &[(&str, u32, f64)]) -> Vec<Value> {
        let run = |(contender, round, value): &(&str, u32, f64)| json!({"kind": "run", "row": row, "contender": contender, "round": round, "value": value});
        std::iter::once(json!({"kind": "context", "row": row}))
            .chain(runs.iter().map(run))
            .collect()
    }

    #[test]
    fn ratios_are_of_one_round() {
        let runs = [
            ("haproxy-h1", 1, 10.0),
            ("haproxy-h2", 1, 5.0),
            ("postern", 1, 5.0),
            ("haproxy-h1", 2, 40.0),
            ("haproxy-h2", 2, 20.0),
            ("postern", 2, 30.0),
        ];
        let summary = Summary::of(named("h1-small").unwrap(), &lines("h1-small", &runs)).unwrap();
        let best = summary.best(&[Proxy::Haproxy, Proxy::Nginx]).unwrap();
        assert_eq!(best.contender.name, "haproxy-h2");
        let ratio = best.ratio.unwrap();
        assert_eq!((ratio.min, ratio.median, ratio.max), (1.0, 1.25, 1.5));
        assert!(summary.ours().unwrap().ratio.is_none());
        assert!(summary.best(&[Proxy::Envoy]).is_none());
    }

    #[test]
    fn a_program_beside_itself() {
        let runs = [("postern", 1, 10.0), ("postern-10k", 1, 11.0)];
        let summary = Summary::of(named("scale").unwrap(), &lines("scale", &runs)).unwrap();
        let ratios: Vec<_> =
            summary.lines.iter().map(|line| line.ratio.map(|ratio| ratio.median)).collect();
        assert_eq!(ratios, [None, Some(1.1)]);
    }
}
