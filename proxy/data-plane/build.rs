//! Compiles the SPIFFE Workload API, OTLP, and the controller's discovery stream (kept by the controller's crate) with a
//! compiler written in Rust, so that no `protoc` is needed.

use std::error::Error;

/// Carries a private key: it gets no `Debug` that could show it.
const SECRET: [&str; 2] = ["X509SVID", "X509SVIDResponse"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rerun-if-changed=../../k8s/proto");
    let protos = [
        "proto/workload.proto",
        "proto/otlp-trace.proto",
        "../../k8s/proto/discovery.proto",
        "../../k8s/proto/service.proto",
    ];
    let descriptors = protox::compile(protos, ["proto", "../../k8s/proto"])?;
    tonic_prost_build::configure()
        .build_server(false)
        .skip_debug(SECRET)
        .compile_fds(descriptors)?;
    Ok(())
}
