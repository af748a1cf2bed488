//! The bank's payments.
#![allow(clippy::print_stdout, reason = "a program that says where it listens")]

use std::net::SocketAddr;
use std::sync::Arc;

use bank::bus::Bus;
use bank::neighbours::{Neighbour, Record};
use bank::payments::Payments;
use clap::Parser;
use tokio::net::TcpListener;

/// The payments.
///
/// HTTP: POST /payments
#[derive(Parser)]
struct Flags {
    /// Where to listen for HTTP.
    #[arg(long, default_value = "[::]:8080", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Where the accounts are.
    #[arg(long, default_value = "http://accounts:8080", value_name = "URL")]
    accounts: String,
    /// Where the record is.
    #[arg(long, default_value = "http://audit:8080", value_name = "URL")]
    audit: String,
    /// The broker to tell of payments, as HOST:PORT; without one nobody is told.
    #[arg(long, value_name = "ADDRESS")]
    events: Option<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let (accounts, record) = (Neighbour::at(&flags.accounts), Record::at(&flags.audit));
    let bus = Bus::of(flags.events.as_deref(), "payments")?;
    let payments = Arc::new(Payments { accounts, record, bus });
    let listener = TcpListener::bind(flags.listen).await?;
    println!("payments: HTTP on {}", listener.local_addr()?);
    let handler = move |request| {
        let payments = payments.clone();
        async move { payments.handle(request).await }
    };
    Ok(example_web::serve(listener, handler).await?)
}
