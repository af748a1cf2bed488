#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::*;

fn seen(holder: &str, version: &str) -> ObservedLease {
    ObservedLease { holder: holder.into(), version: version.into(), transitions: 3 }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn replace(version: &str, transitions: i32) -> LeaseStep {
    LeaseStep::Replace { version: version.into(), transitions }
}

#[test]
fn a_lease_that_is_not_there_is_made_and_an_own_one_renewed() {
    let mut me = LeaseCandidate::new("a".into());
    assert_eq!(me.step(seconds(0), None), LeaseStep::Create);
    me.won(seconds(0));
    assert_eq!(me.step(seconds(2), Some(&seen("a", "7"))), replace("7", 3));
}

#[test]
fn another_holder_is_gone_when_its_lease_did_not_change_as_we_saw_it() {
    let mut me = LeaseCandidate::new("a".into());
    let check = |me: &mut LeaseCandidate, at: u64, version: &str, expect: LeaseStep| {
        assert_eq!(me.step(seconds(at), Some(&seen("b", version))), expect, "at {at} s");
    };
    check(&mut me, 100, "1", LeaseStep::Wait);
    check(&mut me, 114, "1", LeaseStep::Wait);
    check(&mut me, 114, "2", LeaseStep::Wait);
    check(&mut me, 128, "2", LeaseStep::Wait);
    check(&mut me, 129, "2", replace("2", 4));
}

#[test]
fn a_released_lease_is_taken_at_once() {
    let mut me = LeaseCandidate::new("a".into());
    assert_eq!(me.step(seconds(0), Some(&seen("", "1"))), replace("1", 4));
}

#[test]
fn a_leader_that_cannot_renew_stops_before_another_may_begin() {
    let mut me = LeaseCandidate::new("a".into());
    assert!(!me.leads(seconds(0)));
    me.won(seconds(10));
    assert!(me.leads(seconds(19)));
    assert!(!me.leads(seconds(10) + GIVE_UP));
    const { assert!(GIVE_UP.as_secs() < DURATION.as_secs()) };
    me.won(seconds(30));
    me.lost();
    assert!(!me.leads(seconds(31)));
}

#[test]
fn the_lease_is_written_and_read_as_the_server_has_it() {
    let mut me = LeaseCandidate::new("a".into());
    let step = replace("348", 1);
    let now = MicroTime("2026-11-23T12:00:00Z".parse().unwrap());
    let lease = me.lease("controller", "postern-system", &step, now);
    let written = serde_json::to_value(&lease).unwrap();
    let expect = serde_json::json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "controller", "namespace": "postern-system", "resourceVersion": "348"},
        "spec": {
            "holderIdentity": "a",
            "leaseDurationSeconds": 15,
            "leaseTransitions": 1,
            "renewTime": "2026-11-23T12:00:00.000000Z",
        },
    });
    assert_eq!(written, expect);
    let read = ObservedLease::of(lease);
    assert_eq!(read, ObservedLease { holder: "a".into(), version: "348".into(), transitions: 1 });
    assert_eq!(me.step(seconds(0), Some(&read)), step);
}
