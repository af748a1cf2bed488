//! Where a row's instructions go: the dearest functions, the dearest files, who allocates.

use std::collections::HashMap;
use std::io::Write;

use anyhow::Result;

use crate::Options;
use crate::callgrind::{Cost, Profile, without_callers};
use crate::pair::Side;
use crate::rounds::Rounds;
use crate::rows::Row;

/// How many callers tell an allocation apart.
const CALLERS: u32 = 9;
/// Lines of each table.
const LINES: usize = 60;
/// The longest name that is printed, in characters.
const NAME: usize = 160;

/// Prints the tables of both sides, row by row.
///
/// # Errors
/// When a row cannot be counted.
pub(crate) async fn run(options: &Options) -> Result<()> {
    let mut rounds = Rounds::start(options, CALLERS).await?;
    let mut out = std::io::stdout();
    for row in options.rows() {
        let mut client = rounds.begin(row).await?;
        let profiles = rounds.measure(&mut client, row).await?;
        for (side, profile) in Side::ALL.into_iter().zip(&profiles) {
            print(&mut out, row, side, profile)?;
        }
    }
    Ok(())
}

fn print(out: &mut impl Write, row: &Row, side: Side, profile: &Profile) -> Result<()> {
    let each = |total: u64| total as f64 / f64::from(row.requests);
    let share = |total: u64| total as f64 / profile.instructions.max(1) as f64 * 100.0;
    writeln!(
        out,
        "\n# {}, {}: {}\n\n{:.0} instructions, {:.2} allocations, {:.2} system calls, \
         {:.2} clock readings per request",
        row.name,
        side.name(),
        row.about,
        each(profile.instructions),
        each(profile.allocations()),
        each(profile.system_calls()),
        each(profile.clock_readings()),
    )?;
    let functions = by_function(profile);
    writeln!(out, "\n## of their own: instructions, share, calls, function\n")?;
    for (name, cost) in dearest(&functions, |cost| cost.own) {
        let (own, calls) = (each(cost.own), each(cost.calls));
        writeln!(out, "{own:9.0} {:5.1} % {calls:8.2}  {}", share(cost.own), short(name))?;
    }
    writeln!(out, "\n## with all they call: instructions, share, calls, function\n")?;
    for (name, cost) in dearest(&functions, |cost| cost.inclusive) {
        let (inclusive, calls) = (each(cost.inclusive), each(cost.calls));
        writeln!(
            out,
            "{inclusive:9.0} {:5.1} % {calls:8.2}  {}",
            share(cost.inclusive),
            short(name)
        )?;
    }
    writeln!(out, "\n## by who wrote the line, wherever it was inlined to: instructions, share\n")?;
    let mut rooms: HashMap<&str, u64> = HashMap::new();
    for (file, cost) in &profile.files {
        *rooms.entry(room(file)).or_default() += cost;
    }
    for (name, cost) in largest(rooms) {
        writeln!(out, "{:9.0} {:5.1} %  {name}", each(cost), share(cost))?;
    }
    writeln!(out, "\n## who allocates, nearest caller first: times, by which function\n")?;
    let mut sites: HashMap<(&str, &str), u64> = HashMap::new();
    for (function, callers, count) in profile.allocation_sites() {
        *sites.entry((function, callers)).or_default() += count;
    }
    for ((function, callers), count) in largest(sites) {
        let callers: Vec<String> = callers.split('\'').map(short).collect();
        writeln!(out, "{:9.2} {function} <- {}", each(count), callers.join("\n              <- "))?;
    }
    Ok(())
}

/// Functions that were told apart by their callers, together again.
fn by_function(profile: &Profile) -> HashMap<&str, Cost> {
    let mut functions: HashMap<&str, Cost> = HashMap::new();
    for (name, cost) in &profile.functions {
        let sum = functions.entry(without_callers(name)).or_default();
        sum.own += cost.own;
        sum.inclusive += cost.inclusive;
        sum.calls += cost.calls;
    }
    functions
}

fn dearest<'a>(
    functions: &HashMap<&'a str, Cost>,
    by: impl Fn(&Cost) -> u64,
) -> impl Iterator<Item = (&'a str, Cost)> {
    let mut sorted: Vec<(&str, Cost)> =
        functions.iter().map(|(name, cost)| (*name, *cost)).collect();
    sorted.sort_by(|one, other| by(&other.1).cmp(&by(&one.1)).then(one.0.cmp(other.0)));
    sorted.into_iter().take(LINES)
}

fn largest<K: Ord>(counts: HashMap<K, u64>) -> impl Iterator<Item = (K, u64)> {
    let mut sorted: Vec<(K, u64)> = counts.into_iter().collect();
    sorted.sort_by(|one, other| other.1.cmp(&one.1).then(one.0.cmp(&other.0)));
    sorted.into_iter().take(LINES)
}

/// A file of ours as it is, and of others the crate or library it belongs to.
fn room(file: &str) -> &str {
    for root in ["/proxy/data-plane/src/", "/policy/src/", "/identity/src/", "/crates/"] {
        if let Some(at) = file.find(root) {
            return &file[at + 1..];
        }
    }
    // .../registry/src/<registry>/<crate>-<version>/...
    if let Some((_, path)) = file.split_once("/registry/src/") {
        return path.split('/').nth(1).unwrap_or(path);
    }
    if let Some((_, path)) = file.split_once("/rust/deps/") {
        return path.split('/').next().unwrap_or(path);
    }
    for library in ["library/core", "library/alloc", "library/std", "/aws-lc/"] {
        if file.contains(library) {
            return library;
        }
    }
    if file.contains("malloc") { "the C library's malloc" } else { "the C library and others" }
}

fn short(name: &str) -> String {
    name.chars().take(NAME).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_wrote_a_line() {
        let check = |file: &str, expect: &str| assert_eq!(room(file), expect);
        check("/x/proxy/data-plane/src/http/gate.rs", "proxy/data-plane/src/http/gate.rs");
        check("/home/.cargo/registry/src/index-1/h2-0.4.20/src/lib.rs", "h2-0.4.20");
        check("/rust/deps/hashbrown-0.16.1/src/raw.rs", "hashbrown-0.16.1");
        check("/rustlib/src/rust/library/core/src/ptr.rs", "library/core");
        check("./malloc/malloc.c", "the C library's malloc");
        check("???", "the C library and others");
    }

    #[test]
    fn the_dearest_come_first_and_callers_do_not_tell_functions_apart() {
        let mut profile = Profile::default();
        for (name, own) in [("malloc'a", 3), ("malloc'b", 4), ("serve", 5)] {
            profile.functions.insert(name.into(), Cost { own, inclusive: own, calls: 1 });
        }
        let functions = by_function(&profile);
        let names: Vec<_> = dearest(&functions, |cost| cost.own).map(|(name, _)| name).collect();
        assert_eq!(names, ["malloc", "serve"]);
        assert_eq!(functions["malloc"].calls, 2);
    }
}
