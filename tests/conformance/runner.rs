//! Runs rows and says how they went, as the standard library's test runner does for functions.
#![allow(clippy::print_stdout, reason = "it is a test runner: what it prints is its result")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::row::Row;

/// What the command line asks for; the flags are those of the standard runner, as far as they mean something here.
pub(crate) struct Options {
    pub(crate) list: bool,
    pub(crate) threads: usize,
    exact: bool,
    filters: Vec<String>,
}

impl Options {
    pub(crate) fn read(arguments: impl Iterator<Item = String>) -> Self {
        let mut options = Self { list: false, threads: 3, exact: false, filters: Vec::new() };
        let mut arguments = arguments.peekable();
        while let Some(argument) = arguments.next() {
            match argument.split_once('=') {
                _ if argument == "--list" => options.list = true,
                _ if argument == "--exact" => options.exact = true,
                Some(("--test-threads", count)) => {
                    options.threads = count.parse().expect("a count")
                }
                _ if argument == "--test-threads" => {
                    options.threads =
                        arguments.next().and_then(|count| count.parse().ok()).expect("a count");
                }
                _ if argument.starts_with('-') => {}
                _ => options.filters.push(argument),
            }
        }
        options
    }

    /// Whether the row is to be run.
    pub(crate) fn takes(&self, name: &str) -> bool {
        let takes =
            |filter: &String| if self.exact { name == filter } else { name.contains(&**filter) };
        self.filters.is_empty() || self.filters.iter().any(takes)
    }
}

/// Prints the names alone.
pub(crate) fn list(rows: &[Row]) -> ExitCode {
    for row in rows {
        println!("{}: test", row.name);
    }
    ExitCode::SUCCESS
}

/// Runs the row at each place, several at a time. A row fails by panicking.
pub(crate) fn run(rows: &[Row], threads: usize, row: impl Fn(usize) + Sync) -> ExitCode {
    println!("\nrunning {} rows", rows.len());
    let began = Instant::now();
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let place = next.fetch_add(1, Ordering::SeqCst);
            let Some(Row { name, .. }) = rows.get(place) else { return };
            let start = Instant::now();
            let passed = catch_unwind(AssertUnwindSafe(|| row(place))).is_ok();
            let (result, took) =
                (if passed { "ok" } else { "FAILED" }, start.elapsed().as_secs_f32());
            println!("row {name} ... {result} ({took:.1} s)");
            if !passed {
                failed.lock().unwrap().push(*name);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(work);
        }
    });
    summary(rows.len(), &failed.into_inner().unwrap(), began)
}

fn summary(all: usize, failed: &[&str], began: Instant) -> ExitCode {
    let passed = all - failed.len();
    let took = began.elapsed().as_secs_f32();
    println!("\nrow result: {passed} passed; {} failed; finished in {took:.1} s", failed.len());
    for name in failed {
        println!("    {name}");
    }
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
