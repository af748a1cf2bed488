//! The shop's payment service: gRPC over plaintext HTTP/2.
#![allow(clippy::print_stdout, reason = "a program that says where it listens")]

use std::net::SocketAddr;

use clap::Parser;
use shop::payments::PaymentDesk;
use shop::proto::payments_server::PaymentsServer;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;

/// The payment service of the shop (gRPC, plaintext HTTP/2).
#[derive(Parser)]
struct Flags {
    /// Where to listen for gRPC.
    #[arg(long, default_value = "[::]:50051", value_name = "ADDRESS")]
    listen: SocketAddr,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let listener = TcpListener::bind(flags.listen).await?;
    println!("payments: gRPC on {}", listener.local_addr()?);
    tonic::transport::Server::builder()
        .add_service(PaymentsServer::new(PaymentDesk::default()))
        .serve_with_incoming(TcpListenerStream::new(listener))
        .await?;
    Ok(())
}
