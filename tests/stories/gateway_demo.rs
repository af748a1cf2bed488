//! `make demo-gateway` shows what it says.

use std::process::Command;

#[test]
fn gateway_demo_is_as_expected() {
    let output = Command::new(postern_tests::binary("demo-gateway")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains(" rows are as expected"), "{said}");
}
