//! What a demo shows: a line for each step as it happens, then a table a person can read.
#![allow(clippy::print_stdout, reason = "a demo prints")]

use std::time::Instant;

/// The rows so far, and the clock of the progress lines.
pub struct Table {
    start: Instant,
    rows: Vec<Row>,
}

struct Row {
    cells: [String; 5],
    good: bool,
}

const HEADINGS: [&str; 5] = ["from", "to", "what", "expected", "seen"];

impl Default for Table {
    fn default() -> Self {
        Self::new()
    }
}

impl Table {
    /// An empty one, whose clock starts.
    #[must_use]
    pub fn new() -> Self {
        Self { start: Instant::now(), rows: Vec::new() }
    }

    /// A progress line.
    pub fn step(&self, what: &str) {
        println!("[{:5.1} s] {what}", self.start.elapsed().as_secs_f32());
    }

    /// A row that is good when what was seen begins with what was expected.
    pub fn row(&mut self, from: &str, to: &str, what: &str, expected: &str, seen: &str) {
        self.judged(from, to, what, expected, seen, seen.starts_with(expected));
    }

    /// A row that was judged by who measured it.
    pub fn judged(
        &mut self,
        from: &str,
        to: &str,
        what: &str,
        expected: &str,
        seen: &str,
        good: bool,
    ) {
        let sign = if good { "ok" } else { "NOT AS EXPECTED" };
        self.step(&format!("{from} -> {to}: {what}: {seen} ... {sign}"));
        let cells = [from, to, what, expected, seen].map(str::to_owned);
        self.rows.push(Row { cells, good });
    }

    /// Prints all rows.
    pub fn print(&self) {
        let mut widths = HEADINGS.map(str::len);
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(&row.cells) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let line = |cells: &[String; 5]| {
            let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
            padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        println!("\n     {}", line(&HEADINGS.map(str::to_owned)));
        println!("     {}", line(&widths.map(|width| "-".repeat(width))));
        for row in &self.rows {
            println!("{}  {}", if row.good { " ok" } else { "BAD" }, line(&row.cells).trim_end());
        }
    }

    /// Says how it went; false when a row was not as expected.
    #[must_use]
    pub fn conclude(&self) -> bool {
        let bad = self.rows.iter().filter(|row| !row.good).count();
        let seconds = self.start.elapsed().as_secs_f32();
        println!();
        if bad == 0 {
            println!("All {} rows are as expected, in {seconds:.0} s.", self.rows.len());
        } else {
            println!("{bad} of {} rows are NOT as expected.", self.rows.len());
        }
        bad == 0
    }
}
