//! The command of a list of promises: proves them, one line each on standard output.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command whose work is to tell")]

use std::panic::catch_unwind;
use std::process::ExitCode;
use std::time::Instant;

use super::{Finding, Progress, Promise, Size};

/// Proves what the arguments ask for: `[--quick] [--only NAME]...`, else all of `promises`.
///
/// Exits 0 when every promise holds, 1 when one does not, 2 on bad usage. Progress goes to standard error.
#[must_use]
pub fn run(program: &str, promises: &'static [Promise]) -> ExitCode {
    let (size, wanted) = match arguments(std::env::args().skip(1), promises) {
        Ok(wanted) => wanted,
        Err(mistake) => {
            eprintln!("{mistake}\nusage: {program} [--quick] [--only NAME]...\nNAME is one of:");
            for promise in promises {
                eprintln!("  {:10} {}", promise.name, promise.words);
            }
            return ExitCode::from(2);
        }
    };
    let start = Instant::now();
    let kept = wanted.iter().filter(|promise| prove(promise, size)).count();
    let minutes = start.elapsed().as_secs_f32() / 60.0;
    println!("{kept} of {} promises hold; {minutes:.1} minutes", wanted.len());
    if kept == wanted.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What to prove, and how much of it.
fn arguments(
    arguments: impl Iterator<Item = String>,
    promises: &'static [Promise],
) -> Result<(Size, Vec<&'static Promise>), String> {
    let mut size = Size::Full;
    let mut wanted = Vec::new();
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => size = Size::Quick,
            "--only" => {
                let name = arguments.next().unwrap_or_default();
                let promise = promises.iter().find(|one| one.name.eq_ignore_ascii_case(&name));
                wanted.push(promise.ok_or_else(|| format!("there is no promise `{name}`"))?);
            }
            other => return Err(format!("there is no argument `{other}`")),
        }
    }
    if wanted.is_empty() {
        wanted.extend(promises);
    }
    Ok((size, wanted))
}

/// Proves one promise and prints its line. A step that cannot be done is a promise that does not hold; the others are
/// proved all the same.
fn prove(promise: &Promise, size: Size) -> bool {
    let progress = Progress::of(promise.name);
    progress.say(promise.words);
    let proof = promise.prove;
    let found = catch_unwind(move || proof(size, &progress)).unwrap_or_else(|reason| Finding {
        line: format!("{} not measured: {}", promise.name, words(&*reason)),
        good: false,
    });
    println!("{}  {}", if found.good { "ok    " } else { "FAILED" }, found.line);
    found.good
}

/// What a panic said, on one line.
fn words(reason: &(dyn std::any::Any + Send)) -> String {
    let text = reason.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| reason.downcast_ref::<&str>().copied()).unwrap_or("a panic");
    text.lines().next().unwrap_or_default().to_owned()
}
