//! Compiles the part of OTLP that the proxy speaks, for the collector of the stories, and the echo service of the
//! conformance rows, with a compiler written in Rust.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=../proxy/data-plane/proto/otlp-trace.proto");
    let descriptions = protox::compile(["otlp-trace.proto"], ["../proxy/data-plane/proto"])?;
    tonic_prost_build::configure().build_client(false).compile_fds(descriptions)?;
    println!("cargo::rerun-if-changed=conformance/echo.proto");
    let descriptions = protox::compile(["echo.proto"], ["conformance"])?;
    tonic_prost_build::configure().compile_fds(descriptions)?;
    Ok(())
}
