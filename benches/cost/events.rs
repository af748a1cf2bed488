//! What it costs to judge messages one by one, beside the same bytes as opaque ones, in the same run.

use std::io::Write;

use anyhow::{Result, ensure};

use crate::Options;
use crate::check;
use crate::counts::Measure;
use crate::rounds::Rounds;
use crate::rows::{EVENTS, Load};

/// Counts and prints both.
///
/// # Errors
/// When judged messages cost the inbound proxy more than they may, or cannot be counted.
pub(crate) async fn run(options: &Options) -> Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "instructions of the inbound proxy for each message, without the kernel")?;
    writeln!(out, "{:>9} {:>10} {:>10} {:>9}", "payload", "judged", "opaque", "more")?;
    let mut rounds = Rounds::start(options, 0).await?;
    let mut dear = Vec::new();
    for ([judged, opaque], most) in EVENTS {
        let Load::Nats { payload, .. } = judged.load else { continue };
        let mut counted = Vec::new();
        for row in [judged, opaque] {
            let [_, inbound] = check::count(&mut rounds, row).await?;
            counted.push(inbound.get(Measure::Instructions));
        }
        let [judged, opaque] = counted[..] else { continue };
        let more = judged / opaque - 1.0;
        writeln!(out, "{payload:>9} {judged:>10.0} {opaque:>10.0} {:>8.1}%", more * 100.0)?;
        if most.is_some_and(|most| more > most) {
            dear.push(format!("{payload} bytes: {:.1} % more", more * 100.0));
        }
    }
    ensure!(dear.is_empty(), "judged messages cost more than they may: {}", dear.join(", "));
    Ok(())
}
