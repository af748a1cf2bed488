//! Where the row of each test is: the page that says so, and the check that none is missing.
#![allow(clippy::print_stdout, reason = "beside the runner, this is what a run prints")]

use std::collections::BTreeSet;
use std::fs;

use postern_tests::repository;

use crate::profiles::{BESIDE, PROFILES};
use crate::rows;

/// The page, and what to do when it is stale.
const PAGE: &str = "docs/reference/conformance.md";

/// Rows of the controller, whose subject is what is written to the API server, and where they are.
const OF_THE_CONTROLLER: [(&str, &str); 6] = [
    ("BackendTLSPolicyObservedGenerationBump", "k8s/tests/gateway_rows.rs"),
    ("GatewayClassObservedGenerationBump", "k8s/tests/gateway_rows.rs"),
    ("GatewayInfrastructure", "k8s/tests/gateway_rows.rs"),
    ("GatewayObservedGenerationBump", "k8s/tests/gateway_conformance.rs"),
    ("GatewayOptionalAddressValue", "k8s/tests/gateway_rows.rs"),
    ("HTTPRouteObservedGenerationBump", "k8s/tests/gateway_conformance.rs"),
];

/// The name by which this check is asked for.
pub(crate) const NAME: &str = "inventory";

/// Panics when a test of a profile has no row, or a row no test, or when the page is stale; `UPDATE_DOCS=1` writes it.
pub(crate) fn check() {
    let rows = rows::all();
    let asked = PROFILES.iter().flat_map(|profile| profile.core.iter().chain(profile.extended));
    let asked: BTreeSet<&str> = asked.chain(BESIDE).copied().collect();
    let here: BTreeSet<&str> = rows.iter().map(|row| row.name).collect();
    assert_eq!(here.len(), rows.len(), "two rows have one name");
    let there = OF_THE_CONTROLLER.map(|(name, _)| name);
    let all: BTreeSet<&str> = here.iter().copied().chain(there).collect();
    let missing: Vec<_> = asked.difference(&all).collect();
    let unasked: Vec<_> = all.difference(&asked).collect();
    assert!(missing.is_empty() && unasked.is_empty(), "no row: {missing:?}; no test: {unasked:?}");
    for (name, file) in OF_THE_CONTROLLER {
        let text = fs::read_to_string(repository().join(file)).unwrap_or_default();
        assert!(text.contains(name), "{file} has no row {name}");
    }
    check_page(&page());
    println!("{NAME} ... ok");
}

fn check_page(printed: &str) {
    let path = repository().join(PAGE);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, printed).expect("the page can be written");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == printed, "{PAGE} is stale: run `make reference`");
}

fn page() -> String {
    let mut page = String::from(
        "# Conformance

What the conformance suite of the Gateway API (v1.6.1) tests, and where a row of our own shows the same. Those of the
gateway and of sidecars run over the real programs, with `make test`; the rest are about what the controller writes, and
run over a stand-in of the API server. This page is printed from the rows; a test fails when one is missing.
",
    );
    for profile in &PROFILES {
        let [core, extended] = [profile.core, profile.extended].map(<[_]>::len);
        page.push_str(&format!("\n## {}\n\n{core} core, {extended} extended.\n\n", profile.name));
        page.push_str("| test | | row |\n|---|---|---|\n");
        for (tests, kind) in [(profile.core, "core"), (profile.extended, "extended")] {
            for test in tests {
                page.push_str(&format!("| {test} | {kind} | {} |\n", place(test)));
            }
        }
    }
    page.push_str("\n## Beside the profiles\n\n| test | row |\n|---|---|\n");
    for test in BESIDE {
        page.push_str(&format!("| {test} | {} |\n", place(test)));
    }
    page
}

fn place(test: &str) -> String {
    match rows::file_of(test) {
        Some(file) => format!("`tests/conformance/rows/{file}.rs`"),
        None => {
            let file = OF_THE_CONTROLLER.iter().find(|(name, _)| *name == test);
            file.map_or_else(String::new, |(_, file)| format!("`{file}`"))
        }
    }
}
