//! `policy diff`: recorded traffic under two sets of resources, and every verdict that changes.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use policy::Snapshot;
use serde::Serialize;

use super::recorded::{self, RecordedMessage, RecordedTraffic};
use super::{ConfigArgs, OutputFormat, load, note, table};
use crate::explain::{ExplainAnswer, InputLine, explain};
use data_plane::control::config::Config;

/// Replay recorded traffic on two sets of resources and print every verdict that changes.
///
/// Header fields, tokens and the client behind a trusted hop are not in a log: rules about them see none,
/// in both sets alike.
/// Exit code 0 = no verdict changes, 1 = some do, 2 = bad configuration or resources.
#[derive(Debug, Clone, clap::Args)]
pub struct DiffArgs {
    /// The resources in force: a directory or a file.
    old: PathBuf,
    /// The resources to come: a directory or a file.
    new: PathBuf,
    #[command(flatten)]
    config: ConfigArgs,
    /// The access log of the workload's proxy, or what `GET /decisions` answered; `-` is stdin.
    #[arg(long, value_name = "FILE")]
    log: PathBuf,
    /// How to write the answer. Default: a table on a terminal, JSON on a pipe.
    #[arg(long, value_enum)]
    output: Option<OutputFormat>,
}

pub(super) fn run(args: &DiffArgs) -> anyhow::Result<ExitCode> {
    let load = |resources| load(&args.config.config, Some(resources));
    let (old, new) = match (load(&args.old)?, load(&args.new)?) {
        (Ok(old), Ok(new)) => (old, new),
        (Err(code), _) | (_, Err(code)) => return Ok(code),
    };
    let recording = recorded::read_file(&args.log)?;
    let (before, after) = (old.snapshot(), new.snapshot());
    if before.needs_unlogged_facts() || after.needs_unlogged_facts() {
        note(
            "rules ask for header fields, tokens, API keys or remote addresses, which no log holds; they count as absent",
        )?;
    }
    let report = compare(&old.config, &before, &after, &recording.seen);
    let mut out = io::stdout().lock();
    match OutputFormat::or_by_terminal(args.output) {
        OutputFormat::Text => write_text(&mut out, &report)?,
        OutputFormat::Json => {
            serde_json::to_writer(&mut out, &report)?;
            writeln!(out)?;
        }
    }
    Ok(ExitCode::from(u8::from(!report.changes.is_empty())))
}

/// What the replay found.
#[derive(Debug, Serialize)]
struct DiffReport {
    /// Requests and connections replayed.
    replayed: usize,
    /// How many of them have another verdict now.
    changed: usize,
    changes: Vec<VerdictChange>,
}

/// A request whose verdict changes, and how often it was made.
#[derive(Debug, Serialize)]
struct VerdictChange {
    count: usize,
    #[serde(flatten)]
    what: RequestKey,
    old: VerdictSummary,
    new: VerdictSummary,
}

/// What tells one recorded request from another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct RequestKey {
    source_principal: Option<String>,
    port: u16,
    method: Option<String>,
    host: Option<String>,
    path: Option<String>,
    #[serde(flatten)]
    message: Option<RecordedMessage>,
}

/// The parts of an answer that say who decided.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct VerdictSummary {
    decision: &'static str,
    policy: Option<String>,
    rule: Option<u32>,
    reason: &'static str,
}

fn compare(
    config: &Config,
    old: &Snapshot,
    new: &Snapshot,
    seen: &[RecordedTraffic],
) -> DiffReport {
    let mut changes: BTreeMap<(RequestKey, VerdictSummary, VerdictSummary), usize> =
        BTreeMap::new();
    for recorded in seen {
        let line = InputLine::recorded(recorded);
        let before = VerdictSummary::of(explain(config, old, &line));
        let after = VerdictSummary::of(explain(config, new, &line));
        if before.decision != after.decision {
            *changes.entry((RequestKey::of(recorded), before, after)).or_default() += 1;
        }
    }
    DiffReport {
        replayed: seen.len(),
        changed: changes.values().sum(),
        changes: changes
            .into_iter()
            .map(|((what, old, new), count)| VerdictChange { count, what, old, new })
            .collect(),
    }
}

impl RequestKey {
    fn of(recorded: &RecordedTraffic) -> Self {
        let request = recorded.request.as_ref();
        Self {
            source_principal: recorded.principal.as_ref().map(|id| id.without_scheme().to_owned()),
            port: recorded.destination.port(),
            method: request.map(|request| request.method.clone()),
            host: request.map(|request| request.host.clone()),
            path: request.map(|request| request.path.clone()),
            message: recorded.message.clone(),
        }
    }
}

impl VerdictSummary {
    fn of(answer: ExplainAnswer) -> Self {
        Self {
            decision: answer.decision,
            policy: answer.policy.map(|policy| policy.to_string()),
            rule: answer.rule,
            reason: answer.reason,
        }
    }

    fn to_line(&self) -> String {
        match (&self.policy, self.rule) {
            (Some(policy), Some(rule)) => format!("{} ({policy} rule {rule})", self.decision),
            _ => format!("{} ({})", self.decision, self.reason),
        }
    }
}

fn write_text(out: &mut impl Write, report: &DiffReport) -> io::Result<()> {
    let rows: Vec<[String; 5]> = report
        .changes
        .iter()
        .map(|change| {
            let what = &change.what;
            let asked = match (&what.method, &what.path, &what.message) {
                (Some(method), Some(path), _) => format!(":{} {method} {path}", what.port),
                (.., Some(message)) => format!(":{} {message}", what.port),
                _ => format!(":{} (opaque)", what.port),
            };
            let caller = what.source_principal.as_deref().unwrap_or("(plaintext)");
            let (old, new) = (change.old.to_line(), change.new.to_line());
            [change.count.to_string(), caller.to_owned(), asked, old, new]
        })
        .collect();
    if !rows.is_empty() {
        table::write(out, ["COUNT", "CALLER", "REQUEST", "OLD", "NEW"], &rows)?;
    }
    writeln!(out, "{} of {} replayed have another verdict", report.changed, report.replayed)
}

#[cfg(test)]
mod tests;
