//! Compiles the payments service description without needing `protoc` on the machine.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto/payments.proto");
    let descriptions = protox::compile(["payments.proto"], ["proto"])?;
    tonic_prost_build::configure().compile_fds(descriptions)?;
    Ok(())
}
