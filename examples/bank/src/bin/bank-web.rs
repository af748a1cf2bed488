//! The bank's page, and an overview of an account.
#![allow(clippy::print_stdout, reason = "a program that says where it listens")]

use std::net::SocketAddr;

use bank::call::{Call, Outcome, Refused, answered, said};
use bank::neighbours::Neighbour;
use clap::Parser;
use example_web::{Answer, text};
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use serde_json::json;
use tokio::net::TcpListener;

/// The web page.
///
/// HTTP: GET / · GET /overview/NUMBER. It asks for the account as the user who asks it, with that user's token.
#[derive(Parser)]
struct Flags {
    /// Where to listen for HTTP.
    #[arg(long, default_value = "[::]:8080", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Where the accounts are.
    #[arg(long, default_value = "http://accounts:8080", value_name = "URL")]
    accounts: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let accounts = Neighbour::at(&flags.accounts);
    let listener = TcpListener::bind(flags.listen).await?;
    println!("web: HTTP on {}", listener.local_addr()?);
    let handler = move |request| handle(accounts.clone(), request);
    Ok(example_web::serve(listener, handler).await?)
}

async fn handle(accounts: Neighbour, request: Request<Incoming>) -> Answer {
    answered(outcome(accounts, request).await)
}

async fn outcome(accounts: Neighbour, request: Request<Incoming>) -> Outcome {
    let call = Call::read(request).await?;
    match (&call.method, call.segments().as_slice()) {
        (&Method::GET, [""]) => Ok(text(StatusCode::OK, "Welcome to the bank.\n")),
        (&Method::GET, ["overview", number]) => {
            call.person()?;
            let number: i64 = number.parse().map_err(|_| Refused::absent())?;
            let account = accounts.get(&format!("/accounts/{number}"), &call).await?;
            let statement = accounts.get(&format!("/accounts/{number}/statement"), &call).await?;
            let movements = &statement["movements"];
            Ok(said(StatusCode::OK, &json!({"account": account, "movements": movements})))
        }
        _ => Err(Refused::absent()),
    }
}
