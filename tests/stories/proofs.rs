//! The proofs of `make prove-certs`, each for some seconds.

use postern_tests::proofs::{self, Progress, Size};

#[track_caller]
fn holds(name: &str) {
    let promise = proofs::named(name).unwrap();
    let found = (promise.prove)(Size::Quick, &Progress::silent());
    assert!(found.good, "{}", found.line);
}

#[test]
fn f30_agents_that_renew_together_do_not_expire() {
    holds("F-30");
}

#[test]
fn the_memory_of_an_agent_does_not_grow() {
    holds("memory");
}
