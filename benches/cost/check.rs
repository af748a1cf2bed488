//! The guard: every row counted, beside what was accepted.

use std::io::Write;

use anyhow::{Result, ensure};

use crate::Options;
use crate::baseline::{Baseline, Rows, tools};
use crate::counts::{Counts, Measure};
use crate::pair::Side;
use crate::rounds::Rounds;
use crate::rows::Row;

/// Rounds of a row; the cheapest one counts.
const ROUNDS: u32 = 3;

/// Counts, prints, and compares with the baseline, or makes it anew.
///
/// # Errors
/// When a row costs more than accepted, or cannot be counted.
pub(crate) async fn run(options: &Options, accept: bool) -> Result<()> {
    let baseline = Baseline::read(&options.baseline)?;
    let tools = tools()?;
    let share = baseline.share(&tools);
    let mut out = std::io::stdout();
    writeln!(
        out,
        "per request, without the kernel; in brackets: by how much more or less than accepted"
    )?;
    writeln!(
        out,
        "{:10} {:>19} {:>19} {:>19} {:>19}",
        "", "instructions", "allocations", "system calls", "clock readings"
    )?;
    let mut rounds = Rounds::start(options, 0).await?;
    let mut rows = Rows::new();
    let mut worse = Vec::new();
    for row in options.rows() {
        let counts = count(&mut rounds, row).await?;
        let before = baseline.rows.get(row.name);
        writeln!(out, "{}: {}", row.name, row.about)?;
        for (index, side) in Side::ALL.into_iter().enumerate() {
            let before = before.map(|both| both[index]);
            print(&mut out, side, counts[index], before)?;
            worse.extend(
                before.iter().flat_map(|before| too_much(row, side, counts[index], *before, share)),
            );
            if before.is_none() && !accept {
                worse.push(format!("{} {}: nothing was accepted yet", row.name, side.name()));
            }
        }
        rows.insert(row.name.to_owned(), counts);
    }
    if accept {
        baseline.accept(&options.baseline, tools, rows)?;
        writeln!(out, "written: {}", options.baseline.display())?;
        return Ok(());
    }
    if baseline.tools != tools {
        writeln!(
            out,
            "accepted with {}; counted with {tools}; so {:.0} % are allowed",
            baseline.tools,
            share * 100.0
        )?;
    }
    ensure!(
        worse.is_empty(),
        "a request costs more than accepted:\n  {}\n{}",
        worse.join("\n  "),
        WHAT_TO_DO
    );
    Ok(())
}

const WHAT_TO_DO: &str = "\
Which functions it is:  make -C benches profile ARGS='--row ROW' here, and at the commit before; compare both.
When it is worth it:    make -C benches cost ARGS=--accept and commit benches/cost/baseline.json with the reason.";

pub(crate) async fn count(rounds: &mut Rounds, row: &Row) -> Result<[Counts; 2]> {
    let mut load = rounds.begin(row).await?;
    let mut least: Option<[Counts; 2]> = None;
    for _ in 0..ROUNDS {
        let profiles = rounds.measure(&mut load, row).await?;
        let counts = profiles.map(|profile| Counts::of(&profile, row.requests));
        least = Some(match least {
            Some([outbound, inbound]) => [outbound.least(counts[0]), inbound.least(counts[1])],
            None => counts,
        });
    }
    least.ok_or_else(|| anyhow::anyhow!("no round was counted"))
}

fn print(out: &mut impl Write, side: Side, now: Counts, before: Option<Counts>) -> Result<()> {
    write!(out, "  {:8}", side.name())?;
    for measure in Measure::ALL {
        let digits = if measure == Measure::Instructions { 0 } else { 2 };
        let change = before.map(|before| {
            let change = (now.get(measure) / before.get(measure) - 1.0) * 100.0;
            format!(" ({change:+.1} %)")
        });
        let cell = format!("{:.digits$}{}", now.get(measure), change.unwrap_or_default());
        write!(out, " {cell:>19}")?;
    }
    writeln!(out)?;
    Ok(out.flush()?)
}

fn too_much(row: &Row, side: Side, now: Counts, before: Counts, share: f64) -> Vec<String> {
    let mut found = Vec::new();
    for measure in Measure::ALL {
        let share = share * measure.leniency(row.in_pieces);
        if now.exceeds(&before, measure, share) {
            let (now, before) = (now.get(measure), before.get(measure));
            let more = (now / before - 1.0) * 100.0;
            found.push(format!(
                "{} {}: {now:.2} {} in place of {before:.2}, {more:+.1} %; {:.0} % are allowed",
                row.name,
                side.name(),
                measure.name(),
                share * 100.0,
            ));
        }
    }
    found
}
