//! The bank's transfers.
#![allow(clippy::print_stdout, reason = "a program that says where it listens")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use bank::neighbours::{Neighbour, Record};
use bank::transfer_book::TransferBook;
use bank::transfers::Transfers;
use clap::Parser;
use tokio::net::TcpListener;

/// The transfers.
///
/// HTTP: POST /transfers · GET /transfers · GET /transfers/NUMBER · POST /transfers/NUMBER/approve
#[derive(Parser)]
struct Flags {
    /// Where to listen for HTTP.
    #[arg(long, default_value = "[::]:8080", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// The database, which is made when it is not there.
    #[arg(long, value_name = "FILE")]
    database: PathBuf,
    /// Where the accounts are.
    #[arg(long, default_value = "http://accounts:8080", value_name = "URL")]
    accounts: String,
    /// Where the payments are.
    #[arg(long, default_value = "http://payments:8080", value_name = "URL")]
    payments: String,
    /// Where the record is.
    #[arg(long, default_value = "http://audit:8080", value_name = "URL")]
    audit: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let transfers = Arc::new(Transfers {
        book: TransferBook::open(&flags.database)?,
        accounts: Neighbour::at(&flags.accounts),
        payments: Neighbour::at(&flags.payments),
        record: Record::at(&flags.audit),
    });
    let listener = TcpListener::bind(flags.listen).await?;
    println!("transfers: HTTP on {}", listener.local_addr()?);
    let handler = move |request| {
        let transfers = transfers.clone();
        async move { transfers.handle(request).await }
    };
    Ok(example_web::serve(listener, handler).await?)
}
