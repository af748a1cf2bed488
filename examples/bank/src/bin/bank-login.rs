//! The bank's login service.
#![allow(clippy::print_stdout, reason = "a program that says where it listens")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use bank::login::{AUDIENCE, Login};
use clap::Parser;
use example_issuer::passwords::Passwords;
use example_issuer::tokens::Tokens;
use tokio::net::TcpListener;

/// The login service.
///
/// HTTP: POST /login · GET /jwks.json · GET /.well-known/openid-configuration
#[derive(Parser)]
struct Flags {
    /// Where to listen for HTTP.
    #[arg(long, default_value = "[::]:8080", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Who may log in: JSON, {"NAME": {"role": "customer|teller|approver|auditor", "password": "$argon2id$…"}}.
    #[arg(long, value_name = "FILE")]
    people: PathBuf,
    /// The signing key, which is made when it is not there.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// What `iss` of its tokens says.
    #[arg(long, default_value = "http://login.bank", value_name = "NAME")]
    issuer: String,
    /// Where the public keys are written, for those who verify tokens.
    #[arg(long, value_name = "FILE")]
    keys: PathBuf,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let tokens = Tokens::open(&flags.issuer, AUDIENCE, &flags.key)?;
    let beside = flags.keys.with_extension("new");
    std::fs::write(&beside, format!("{}\n", tokens.keys()))?;
    std::fs::rename(&beside, &flags.keys)?;
    let login = Arc::new(Login::open(&flags.people, Passwords::new()?, tokens)?);
    let listener = TcpListener::bind(flags.listen).await?;
    println!("login: HTTP on {}", listener.local_addr()?);
    let handler = move |request| {
        let login = login.clone();
        async move { login.handle(request).await }
    };
    Ok(example_web::serve(listener, handler).await?)
}
