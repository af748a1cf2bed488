//! Compiles the protocol definitions with a compiler written in Rust, so that no `protoc` is
//! needed.

use std::error::Error;

/// The authority's service, the agent's admin service, the SPIFFE Workload API, and Envoy's secret
/// discovery.
const PROTOS: [&str; 4] =
    ["proto/authority.proto", "proto/agent_admin.proto", "proto/workload.proto", "proto/sds.proto"];

/// Messages that carry a secret: they get a hand-written `Debug` that shows none of it.
const SECRET: [&str; 11] = [
    "postern.authority.v1.ServiceAccountEvidence",
    "postern.authority.v1.OidcEvidence",
    "postern.authority.v1.IssueJwtResponse",
    "postern.authority.v1.IssueRequest.evidence",
    "postern.authority.v1.IssueRequest",
    "postern.authority.v1.IssueResponse",
    "X509SVID",
    "JWTSVID",
    "ValidateJWTSVIDRequest",
    "envoy.service.secret.v3.Packed",
    "envoy.service.secret.v3.DataSource",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(PROTOS, ["proto"])?;
    tonic_prost_build::configure().skip_debug(SECRET).compile_fds(descriptors)?;
    Ok(())
}
