//! Reference pages that are printed from the sources and the programs, so that they cannot go stale; `make reference` rewrites
//! them. Those of the proxy's configuration and reasons are printed by the proxy's own tests, annotations by those of `k8s`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod commands;
mod metrics;

use postern_tests::repository;

/// Compares a page of `docs/reference` with what is printed; `UPDATE_DOCS=1` writes it.
fn check(page: &str, printed: &str) {
    let path = repository().join("docs/reference").join(page);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, printed).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == printed, "docs/reference/{page} is stale: run `make reference`");
}
