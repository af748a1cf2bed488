//! Compiles the part of OTLP that the proxy speaks, for the collector of the stories, with a compiler written in Rust.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=../proxy/data-plane/proto/otlp-trace.proto");
    let descriptions = protox::compile(["otlp-trace.proto"], ["../proxy/data-plane/proto"])?;
    tonic_prost_build::configure().build_client(false).compile_fds(descriptions)?;
    Ok(())
}
