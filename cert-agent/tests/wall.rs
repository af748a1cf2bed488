//! The wall between the two programs: each stands on its own side's package. That neither side's package depends on
//! the other is a rule of `tests/architecture`.

use std::fs;
use std::path::Path;

#[test]
fn each_program_names_one_side() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin");
    let read = |name: &str| fs::read_to_string(root.join(name)).unwrap();
    assert!(!read("postern-cert-agent.rs").contains("authority::"));
    assert!(!read("postern-authority.rs").contains("agent::"));
}
