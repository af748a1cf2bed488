//! `postern-k8s`.

fn main() {}
