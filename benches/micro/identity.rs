//! Reading SPIFFE ids: once a handshake, and for every name in a policy.

use divan::{Bencher, black_box};
use identity::SpiffeId;

fn main() {
    divan::main();
}

const SHORT: &str = "spiffe://cluster.local/ns/shop/sa/cart";
/// Near the longest that is taken: 2048 bytes (SPIFFE-ID §2.3).
const LONG_SEGMENTS: usize = 30;

#[divan::bench]
fn workload_id(bencher: Bencher<'_, '_>) {
    bencher.bench(|| SpiffeId::parse(black_box(SHORT)));
}

#[divan::bench]
fn long_id(bencher: Bencher<'_, '_>) {
    let id = format!(
        "spiffe://cluster.local{}",
        format!("/{}", "segment-".repeat(8)).repeat(LONG_SEGMENTS)
    );
    assert!(SpiffeId::parse(&id).is_ok(), "the long id must be a good one");
    bencher.bench(|| SpiffeId::parse(black_box(&id)));
}

#[divan::bench]
fn refused_id(bencher: Bencher<'_, '_>) {
    bencher.bench(|| SpiffeId::parse(black_box("spiffe://cluster.local/ns/../sa/cart")));
}
