//! How many answers an authority signs in a second: what `prove-issuance` of `benches` measures, in its own words.

use std::process::Command;

use super::{Finding, Progress, Size};
use crate::binaries::binary;
use crate::process::finish;

pub(crate) fn prove(size: Size, progress: &Progress) -> Finding {
    let mut command = Command::new(binary("prove-issuance"));
    command.args(size.pick(&["--quick"][..], &[]));
    progress.say("32 connections ask for certificates");
    let measured = finish(command);
    let line = measured.stdout.trim().replace('\n', "; ");
    Finding {
        good: measured.code == 0 && !line.is_empty(),
        line: if measured.code == 0 { line } else { format!("{line} {}", measured.stderr.trim()) },
    }
}
