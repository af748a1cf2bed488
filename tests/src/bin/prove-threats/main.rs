//! `make prove-threats THROUGH=gateway`: a rule set's own tests (go-ftw form), sent as bytes to a gateway that looks
//! through requests by these rules, and compared with what it tells in its log.
#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a measurement prints, and a step that cannot be done ends it with the words of what broke"
)]

mod cases;
mod edge;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use cases::RuleCase;
use edge::{Edge, Outcome};

/// Of the cases about requests that reach the rules, so many per thousand have to agree.
const BAR: u32 = 927;

#[derive(Default, Clone, Copy)]
struct Count {
    agree: u32,
    differ: u32,
    /// Refused before any rule was asked.
    refused: u32,
    /// Of those that differ, those in which more rules matched than a log line lists.
    cut: u32,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [rules, tests, options @ ..] = arguments.as_slice() else {
        anyhow::bail!("usage: prove-threats RULES TESTS [--verbose]");
    };
    let verbose = options.iter().any(|option| option == "--verbose");
    let cases = cases::read(Path::new(tests))?;
    let mut edge = Edge::start(Path::new(rules))?;
    let mut counts = BTreeMap::<_, Count>::new();
    for case in &cases {
        let outcome = edge.send(case);
        judge(case, &outcome, verbose, counts.entry(case.folder.as_str()).or_default());
    }
    print_table(&counts);
    let requests = sum(counts.iter().filter(|(name, _)| name.starts_with("REQUEST")));
    let is_proved = requests.agree * 1000 >= (requests.agree + requests.differ) * BAR;
    Ok(if is_proved { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn judge(case: &RuleCase, outcome: &Outcome, verbose: bool, count: &mut Count) {
    let Outcome::Inspected(fired, is_cut) = outcome else {
        count.refused += 1;
        if verbose {
            println!("{}: refused before any rule", case.name);
        }
        return;
    };
    let missing: Vec<_> = case.expected.iter().filter(|id| !fired.contains(id)).collect();
    let needless: Vec<_> = case.unexpected.iter().filter(|id| fired.contains(id)).collect();
    if missing.is_empty() && needless.is_empty() {
        count.agree += 1;
        return;
    }
    count.differ += 1;
    count.cut += u32::from(*is_cut);
    if verbose {
        println!("{}: missing {missing:?}, needless {needless:?}, cut {is_cut}", case.name);
    }
}

fn print_table(counts: &BTreeMap<&str, Count>) {
    println!(
        "{:<45} {:>6} {:>6} {:>5} {:>8} {:>8}",
        "", "agree", "differ", "cut", "refused", "percent"
    );
    for (name, count) in counts {
        print_row(name, *count);
    }
    print_row("requests", sum(counts.iter().filter(|(name, _)| name.starts_with("REQUEST"))));
    print_row("all", sum(counts.iter()));
}

fn sum<'a>(counts: impl Iterator<Item = (&'a &'a str, &'a Count)>) -> Count {
    counts.fold(Count::default(), |all, (_, count)| Count {
        agree: all.agree + count.agree,
        differ: all.differ + count.differ,
        refused: all.refused + count.refused,
        cut: all.cut + count.cut,
    })
}

fn print_row(name: &str, count: Count) {
    let Count { agree, differ, refused, cut } = count;
    let percent = 100.0 * f64::from(agree) / f64::from((agree + differ).max(1));
    println!("{name:<45} {agree:>6} {differ:>6} {cut:>5} {refused:>8} {percent:>8.1}");
}
