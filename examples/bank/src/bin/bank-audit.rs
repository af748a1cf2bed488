//! The bank's record.
#![allow(clippy::print_stdout, reason = "a program that says where it listens")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use bank::audit::Audit;
use bank::bus;
use bank::records::Records;
use clap::Parser;
use tokio::net::TcpListener;

/// The record of what was done.
///
/// HTTP: POST /records · GET /records?after=NUMBER
#[derive(Parser)]
struct Flags {
    /// Where to listen for HTTP.
    #[arg(long, default_value = "[::]:8080", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// The database, which is made when it is not there.
    #[arg(long, value_name = "FILE")]
    database: PathBuf,
    /// The broker that tells of payments, as HOST:PORT.
    #[arg(long, value_name = "ADDRESS")]
    events: Option<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let audit = Arc::new(Audit { records: Records::open(&flags.database)? });
    if let Some(broker) = &flags.events {
        let audit = audit.clone();
        bus::listen(broker, "audit", bus::PAYMENTS_DONE, move |event| audit.paid(event))?;
    }
    let listener = TcpListener::bind(flags.listen).await?;
    println!("audit: HTTP on {}", listener.local_addr()?);
    let handler = move |request| {
        let audit = audit.clone();
        async move { audit.handle(request).await }
    };
    Ok(example_web::serve(listener, handler).await?)
}
