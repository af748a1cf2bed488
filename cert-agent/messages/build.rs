//! Compiles the protocol definition with a compiler written in Rust, so that no `protoc` is needed.

use std::error::Error;

/// Messages that carry a secret: they get a hand-written `Debug` that shows none of it.
const SECRET: [&str; 10] = [
    "postern.authority.v1.ServiceAccountEvidence",
    "postern.authority.v1.OidcEvidence",
    "postern.authority.v1.IssueJwtResponse",
    "postern.authority.v1.IssueRequest.evidence",
    "postern.authority.v1.IssueRequest",
    "postern.authority.v1.IssueResponse",
    "postern.authority.v1.ExchangeTokenRequest.subject",
    "postern.authority.v1.ExchangeTokenRequest",
    "postern.authority.v1.UserAssertion",
    "postern.authority.v1.ExchangeTokenResponse",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(["proto/authority.proto"], ["proto"])?;
    tonic_prost_build::configure().skip_debug(SECRET).compile_fds(descriptors)?;
    Ok(())
}
