//! Compiles the protocol definitions with a compiler written in Rust, so that no `protoc` is
//! needed.

use std::error::Error;

/// The agent's admin service and token exchange, the SPIFFE Workload API, and Envoy's secret discovery.
const PROTOS: [&str; 4] = [
    "proto/agent_admin.proto",
    "proto/token_exchange.proto",
    "proto/workload.proto",
    "proto/sds.proto",
];

/// Messages that carry a secret: they get a hand-written `Debug` that shows none of it.
const SECRET: [&str; 9] = [
    "X509SVID",
    "JWTSVID",
    "ValidateJWTSVIDRequest",
    "envoy.service.secret.v3.Packed",
    "envoy.service.secret.v3.DataSource",
    "postern.agent.v1.ExchangeRequest.subject",
    "postern.agent.v1.ExchangeRequest",
    "postern.agent.v1.UserAssertion",
    "postern.agent.v1.ExchangeResponse",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(PROTOS, ["proto"])?;
    tonic_prost_build::configure().skip_debug(SECRET).compile_fds(descriptors)?;
    Ok(())
}
