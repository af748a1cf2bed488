//! The proofs of `make prove-certs`, `make prove-traffic` and `make prove-limits`, each for some seconds.

use postern_tests::proofs::{self, Progress, Size};

#[track_caller]
fn holds(name: &str) {
    let promise = proofs::named(name).unwrap();
    let found = (promise.prove)(Size::Quick, &Progress::silent());
    assert!(found.good, "{}", found.line);
}

#[test]
fn p01_no_request_fails_while_certificates_rotate() {
    holds("P-01");
}

#[test]
fn p02_no_request_fails_while_the_root_is_replaced() {
    holds("P-02");
}

#[test]
fn p06_an_outage_of_half_a_lifetime_and_total_expiry() {
    holds("P-06");
}

#[test]
fn f30_agents_that_renew_together_do_not_expire() {
    holds("F-30");
}

#[test]
fn the_memory_of_an_agent_does_not_grow() {
    holds("memory");
}

#[test]
fn no_request_fails_while_proxies_are_upgraded_in_place() {
    holds("upgrade");
}

#[test]
fn five_thousand_routes_cost_little() {
    holds("routes");
}

#[test]
fn p04_no_request_is_lost_while_app_and_proxy_are_rolled() {
    holds("P-04");
}

#[test]
fn p05_what_is_under_way_at_sigterm_completes_within_the_grace() {
    holds("P-05");
}

#[test]
fn f28_large_bodies_arrive_as_they_were_sent_and_cost_no_memory() {
    holds("F-28");
}

#[test]
fn f15_upstream_half_open_is_noticed_on_the_network_and_within_the_pod() {
    holds("F-15");
}

#[test]
fn two_proxies_admit_what_one_limit_says() {
    holds("sharing");
}

#[test]
fn a_redis_that_is_away_costs_next_to_nothing() {
    holds("redis-outage");
}

#[test]
fn s48_callers_without_number_take_bounded_memory() {
    holds("callers");
}
