//! The demos show what they say: `make demo-bank`, `make demo-events`, `make demo-gateway` and the others.

use std::process::Command;

#[test]
fn bank_demo_is_as_expected() {
    is_as_expected("demo-bank");
}

#[test]
fn events_demo_is_as_expected() {
    is_as_expected("demo-events");
}

#[test]
fn gateway_demo_is_as_expected() {
    is_as_expected("demo-gateway");
}

#[test]
fn shop_demo_is_as_expected() {
    is_as_expected("demo-shop");
}

#[test]
fn social_demo_is_as_expected() {
    is_as_expected("demo-social");
}

fn is_as_expected(demo: &str) {
    let output = Command::new(postern_tests::binary(demo)).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains(" rows are as expected"), "{said}");
}
