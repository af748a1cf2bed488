//! Compiles the discovery stream's definition, which the controller's crate keeps, with a compiler written in Rust.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=../k8s/proto");
    let descriptors = protox::compile(["discovery.proto"], ["../k8s/proto"])?;
    tonic_prost_build::configure().build_server(false).compile_fds(descriptors)?;
    Ok(())
}
