#![allow(clippy::unwrap_used)]

use crate::connection::reauth::*;

/// A connection whose exporters all consist of one byte.
fn connection(seed: u8) -> ChannelBinding {
    let export = |out: &mut [u8], label: &[u8]| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[seed]);
        let tag = hmac::sign(&key, label);
        out.copy_from_slice(&tag.as_ref()[..out.len()]);
        Ok::<(), ()>(())
    };
    ChannelBinding::of(export).unwrap()
}

#[test]
fn both_sides_prove_what_both_know() {
    let (old, fresh) = (connection(1), connection(2));
    for role in [ProofRole::Client, ProofRole::Server] {
        assert!(old.verify(role, &fresh, &old.prove(role, &fresh)));
    }
    let message = request(&old, &fresh);
    let (name, proof) = read_request(&message).unwrap();
    assert_eq!(name, old.name());
    assert!(old.verify(ProofRole::Client, &fresh, proof));
}

#[test]
fn a_proof_counts_for_one_role_one_connection_and_one_fresh_handshake() {
    let (old, fresh, other) = (connection(1), connection(2), connection(3));
    let good = old.prove(ProofRole::Client, &fresh);
    let check = |name: &str, proof: &[u8]| {
        assert!(!old.verify(ProofRole::Client, &fresh, proof), "{name}");
    };
    check("reflected: the other role's", &old.prove(ProofRole::Server, &fresh));
    check("replayed: bound to another fresh handshake", &old.prove(ProofRole::Client, &other));
    check("confused: of another old connection", &other.prove(ProofRole::Client, &fresh));
    check("swapped: old and fresh", &fresh.prove(ProofRole::Client, &old));
    check("cut short", &good[..31]);
    check("empty", &[]);
    check("zeroes", &[0; 32]);
    for bit in 0..256 {
        let mut tampered = good;
        tampered[bit / 8] ^= 1 << (bit % 8);
        check("one bit changed", &tampered);
    }
}

#[test]
fn messages_of_another_version_are_refused() {
    let mut message = request(&connection(1), &connection(2));
    message[0] = VERSION + 1;
    assert_eq!(read_request(&message), Err(ReauthRefusal::BadMessage));
}

#[test]
fn every_exporter_has_a_label_of_its_own() {
    let binding = connection(1);
    let seen = [&binding.client[..], &binding.server[..], &binding.fresh[..], &binding.name[..]];
    for (index, one) in seen.iter().enumerate() {
        assert!(seen[..index].iter().all(|other| one[..16] != other[..16]));
    }
}

#[test]
fn refusals_survive_the_wire() {
    for code in 1..=5 {
        assert_eq!(ReauthRefusal::from_wire(code) as u8, code);
    }
    for code in [0, 6, 9, 255] {
        assert_eq!(ReauthRefusal::from_wire(code), ReauthRefusal::BadMessage);
    }
}
