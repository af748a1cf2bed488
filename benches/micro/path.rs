//! Bringing a request's path to its one spelling: once a request.

use divan::{Bencher, black_box};
use policy::{CanonicalPath, PathNormalization};

fn main() {
    divan::main();
}

/// What most requests have, and what makes the reader work.
const PATHS: &[&str] = &[
    "/",
    "/api/v1/carts/8d1f2c9a/items?page=2&size=50",
    "/a//b/./c/../d",
    "/%7Euser/caf%C3%A9/a%2Fb",
];

#[divan::bench(args = PATHS)]
fn canonical(bencher: Bencher<'_, '_>, path: &str) {
    assert!(
        CanonicalPath::parse(path, PathNormalization::MergeSlashes).is_ok(),
        "{path} must be taken"
    );
    bencher
        .bench(|| CanonicalPath::parse(black_box(path), PathNormalization::MergeSlashes).is_ok());
}

#[divan::bench]
fn long_escaped(bencher: Bencher<'_, '_>) {
    let path = "/%41%62".repeat(1000);
    bencher
        .bench(|| CanonicalPath::parse(black_box(&path), PathNormalization::MergeSlashes).is_ok());
}
