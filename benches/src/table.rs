//! What is printed, as it comes to be: a table for people or JSON lines for programs.

use std::io::Write;

use anyhow::{Context, Result};
use serde_json::json;

use crate::checks::Refusals;
use crate::contender::Contender;
use crate::context::Context as Circumstances;
use crate::results::{Format, Measured, Summary};
use crate::rows::Row;

/// Writes to standard output.
pub(crate) struct Table {
    format: Format,
}

impl Table {
    pub(crate) fn new(format: Format) -> Self {
        Self { format }
    }

    /// Where and with what.
    pub(crate) fn beginning(&self, context: &Circumstances) -> Result<()> {
        match self.format {
            Format::Table => write(&context.lines().join("\n")),
            Format::Json => {
                let mut line = context.to_json();
                line["kind"] = "context".into();
                write(&line.to_string())
            }
        }
    }

    /// A row begins.
    pub(crate) fn row(&self, row: &Row) -> Result<()> {
        self.only_for_people(|| format!("\n{}: {}\n{}", row.name, row.title, row.figure.unit()))
    }

    /// A contender guards what it should.
    pub(crate) fn checked(
        &self,
        row: &Row,
        contender: &Contender,
        refusals: &Refusals,
    ) -> Result<()> {
        let (client, server) =
            (refusals.wrong_client.to_string(), refusals.wrong_server.to_string());
        match self.format {
            Format::Table => write(&format!(
                "  {:<14} lets the allowed identity through; another client: {client}, another server: {server}",
                contender.name,
            )),
            Format::Json => write(
                &json!({
                    "kind": "check", "row": row.name, "contender": contender.name, "allowed": "200",
                    "wrong_client": client, "wrong_server": server,
                })
                .to_string(),
            ),
        }
    }

    /// A run is over.
    pub(crate) fn run(&self, row: &Row, measured: &Measured) -> Result<()> {
        if self.format == Format::Json {
            return write(&measured.to_json(row).to_string());
        }
        let run = &measured.run;
        let percent = |share: f64| format!("{:.0} %", share * 100.0);
        write(&format!(
            "  {:>2} {:<14} {:>9.1}   {:>9.0}/s  CPU of proxies {:>5}, load {:>5}, others {:>5}{}",
            measured.round,
            measured.contender,
            run.value,
            run.rate,
            percent(run.proxies_busy),
            percent(run.load_busy),
            percent(run.others_busy),
            latency(run.counted.p50_us, run.counted.p99_us),
        ))
    }

    /// What a row comes to.
    pub(crate) fn summary(&self, summary: &Summary) -> Result<()> {
        let row = summary.row;
        self.only_for_people(|| format!("\n{} ({}), medians", row.name, row.figure.unit()))?;
        for line in &summary.lines {
            let (name, value) = (line.contender.name, line.value);
            if self.format == Format::Json {
                let spread = |spread: crate::statistics::Spread| json!({"median": spread.median, "min": spread.min, "max": spread.max});
                let ratio = line.ratio.map(spread);
                write(&json!({
                    "kind": "result", "row": row.name, "contender": name, "unit": row.figure.unit(),
                    "value": spread(value), "ratio": ratio,
                }).to_string())?;
                continue;
            }
            let ratio = line.ratio.map_or_else(String::new, |ratio| {
                let what =
                    if row.is_pairwise() { "beside the one before" } else { "postern / this" };
                format!("   {what} {:.2} ({:.2} to {:.2})", ratio.median, ratio.min, ratio.max)
            });
            write(&format!(
                "  {name:<14} {:>9.1} ({:.1} to {:.1}){ratio}",
                value.median, value.min, value.max
            ))?;
        }
        Ok(())
    }

    fn only_for_people(&self, text: impl FnOnce() -> String) -> Result<()> {
        match self.format {
            Format::Table => write(&text()),
            Format::Json => Ok(()),
        }
    }
}

/// In milliseconds, where there is one.
pub(crate) fn latency(p50_us: Option<f64>, p99_us: Option<f64>) -> String {
    match (p50_us, p99_us) {
        (Some(p50), Some(p99)) => format!(", p50 {:.2} ms, p99 {:.2} ms", p50 / 1e3, p99 / 1e3),
        _ => String::new(),
    }
}

fn write(text: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{text}").context("writing the results")
}
