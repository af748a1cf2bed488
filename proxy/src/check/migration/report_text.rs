//! The report for a terminal.

use std::io::{self, Write};

use policy::migration::MigrationDifference;

use super::{DiagnosticExplanation, KindCount, MigrationReport, RefusalClass};
use crate::policy_tools::table;

/// The most places or objects that one explanation lists; all are in the JSON.
const MOST_LISTED: usize = 4;

pub(super) fn write(out: &mut impl Write, report: &MigrationReport) -> io::Result<()> {
    write_table(out, &report.kinds)?;
    if !report.passed_over.is_empty() {
        let counts = report.passed_over.iter().map(|(kind, count)| format!("{kind} {count}"));
        let counts = counts.collect::<Vec<_>>().join(", ");
        writeln!(
            out,
            "\nPASSED OVER, no policy (keep them out of the resource directory): {counts}"
        )?;
    }
    let of = |sort| report.explanations.iter().filter(move |found| found.sort == sort);
    write_section(
        out,
        "UNSUPPORTED: known elsewhere, not done here",
        of(RefusalClass::Unsupported),
    )?;
    write_section(
        out,
        "UNSAFE: can be read in two ways, or would protect less than it says",
        of(RefusalClass::Unsafe),
    )?;
    write_section(
        out,
        "ELSEWHERE: of another namespace than --namespace asks for",
        of(RefusalClass::Elsewhere),
    )?;
    write_differences(out, "UNSAFE HERE, and right in Istio", &report.differences, true)?;
    write_differences(out, "DIFFERENT HERE, and taken", &report.differences, false)?;
    write_verdict(out, report)
}

fn write_verdict(out: &mut impl Write, report: &MigrationReport) -> io::Result<()> {
    let MigrationReport { valid, files, resources, kinds, .. } = report;
    let refused = kinds.iter().map(|kind| kind.objects).sum::<usize>().saturating_sub(*resources);
    match (valid, refused) {
        (true, _) => writeln!(out, "\nfine (files: {files}, taken: {resources})"),
        (false, _) => {
            writeln!(out, "\nnot fine (files: {files}, taken: {resources}, not taken: {refused})")
        }
    }
}

fn write_table(out: &mut impl Write, kinds: &[KindCount]) -> io::Result<()> {
    let row = |kind: &KindCount| {
        let counts = [kind.objects, kind.taken, kind.unsupported, kind.unsafe_];
        let [objects, taken, unsupported, unsafe_] = counts.map(|count| count.to_string());
        [kind.kind.clone(), objects, taken, unsupported, unsafe_]
    };
    let mut rows: Vec<_> = kinds.iter().map(row).collect();
    let sum = |count: fn(&KindCount) -> usize| kinds.iter().map(count).sum();
    rows.push(row(&KindCount {
        kind: "together".to_owned(),
        objects: sum(|kind| kind.objects),
        taken: sum(|kind| kind.taken),
        unsupported: sum(|kind| kind.unsupported),
        unsafe_: sum(|kind| kind.unsafe_),
    }));
    table::write(out, ["KIND", "OBJECTS", "TAKEN", "UNSUPPORTED", "UNSAFE"], &rows)
}

fn write_section<'r>(
    out: &mut impl Write,
    title: &str,
    found: impl Iterator<Item = &'r DiagnosticExplanation>,
) -> io::Result<()> {
    let mut found = found.peekable();
    if found.peek().is_some() {
        writeln!(out, "\n{title}")?;
    }
    found.try_for_each(|explanation| write_explanation(out, explanation))
}

fn write_explanation(out: &mut impl Write, explanation: &DiagnosticExplanation) -> io::Result<()> {
    let DiagnosticExplanation { sort, count, found, expected, write, places, .. } = explanation;
    let times = if *count > 1 { format!(" ({count} times)") } else { String::new() };
    match (sort, write) {
        // What is expected is a list of all that there is; what matters is that this is not among it.
        (RefusalClass::Unsupported, Some(write)) => writeln!(out, "- {found}{times}\n    {write}")?,
        (_, Some(write)) => {
            writeln!(out, "- found {found}; expected {expected}{times}\n    {write}")?;
        }
        (_, None) => writeln!(out, "- found {found}; expected {expected}{times}")?,
    }
    writeln!(out, "    at {}", listed(places))
}

fn write_differences(
    out: &mut impl Write,
    title: &str,
    differences: &[MigrationDifference],
    is_unsafe: bool,
) -> io::Result<()> {
    let mut found = differences.iter().filter(|found| found.is_unsafe == is_unsafe).peekable();
    if found.peek().is_some() {
        writeln!(out, "\n{title}")?;
    }
    for MigrationDifference { found, here, write, objects, .. } in found {
        writeln!(out, "- {found};\n    here {here}")?;
        write.iter().try_for_each(|line| writeln!(out, "    write {line}"))?;
        writeln!(out, "    for {}", listed(objects))?;
    }
    Ok(())
}

/// The first few, and how many more there are.
fn listed<T: AsRef<str>>(items: &[T]) -> String {
    let shown: Vec<_> = items.iter().take(MOST_LISTED).map(AsRef::as_ref).collect();
    match items.len().checked_sub(MOST_LISTED) {
        None | Some(0) => shown.join(", "),
        Some(more) => format!("{} and {more} more", shown.join(", ")),
    }
}
