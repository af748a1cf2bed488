//! Compiles the SPIFFE Workload API, the agent's exchange of tokens, OTLP, and the controller's discovery stream (kept by the controller's crate) with a
//! compiler written in Rust, so that no `protoc` is needed.

use std::error::Error;

/// Carries a private key, a token or what is known of a user: it gets no `Debug` that could show it.
const SECRET: [&str; 6] = [
    "X509SVID",
    "X509SVIDResponse",
    "ExchangeRequest",
    "ExchangeRequest.subject",
    "UserAssertion",
    "ExchangeResponse",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rerun-if-changed=../../k8s/proto");
    let protos = [
        "proto/workload.proto",
        "proto/token_exchange.proto",
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
