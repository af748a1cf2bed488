//! Compiles the protocol definitions with a compiler written in Rust, so that no `protoc` is
//! needed.

use std::error::Error;

/// The authority's service, the agent's admin service, and the SPIFFE Workload API.
const PROTOS: [&str; 3] =
    ["proto/authority.proto", "proto/agent_admin.proto", "proto/workload.proto"];

/// Messages that carry a secret: they get a hand-written `Debug` that shows none of it.
const SECRET: [&str; 7] = [
    "postern.authority.v1.ServiceAccountEvidence",
    "postern.authority.v1.OidcEvidence",
    "postern.authority.v1.IssueJwtResponse",
    "postern.authority.v1.IssueRequest.evidence",
    "postern.authority.v1.IssueRequest",
    "postern.authority.v1.IssueResponse",
    "X509SVID",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(PROTOS, ["proto"])?;
    tonic_prost_build::configure().skip_debug(SECRET).compile_fds(descriptors)?;
    Ok(())
}
