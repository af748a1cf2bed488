//! The bank's accounts.
#![allow(clippy::print_stdout, reason = "a program that says where it listens")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use bank::accounts::Accounts;
use bank::ledger::Ledger;
use bank::neighbours::Record;
use clap::Parser;
use tokio::net::TcpListener;

/// The accounts.
///
/// HTTP: POST /accounts · GET /accounts/NUMBER · GET /accounts/NUMBER/statement · POST /movements
#[derive(Parser)]
struct Flags {
    /// Where to listen for HTTP.
    #[arg(long, default_value = "[::]:8080", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// The database, which is made when it is not there.
    #[arg(long, value_name = "FILE")]
    database: PathBuf,
    /// Where the record is.
    #[arg(long, default_value = "http://audit:8080", value_name = "URL")]
    audit: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let record = Record::at(&flags.audit);
    let accounts = Arc::new(Accounts { ledger: Ledger::open(&flags.database)?, record });
    let listener = TcpListener::bind(flags.listen).await?;
    println!("accounts: HTTP on {}", listener.local_addr()?);
    let handler = move |request| {
        let accounts = accounts.clone();
        async move { accounts.handle(request).await }
    };
    Ok(example_web::serve(listener, handler).await?)
}
