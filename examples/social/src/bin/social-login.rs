//! The social network's login service.
#![allow(clippy::print_stdout, reason = "a program that says where it listens")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;
use example_issuer::passwords::Passwords;
use example_issuer::tokens::Tokens;
use social::accounts::Accounts;
use social::login::{AUDIENCE, Login};
use social::publisher::Publisher;
use social::revocations::RevocationFile;
use tokio::net::TcpListener;

/// The login service.
///
/// HTTP: POST /register · POST /login · POST /logout · POST /logout-everywhere · GET /jwks.json ·
/// GET /.well-known/openid-configuration
#[derive(Parser)]
struct Flags {
    /// Where to listen for HTTP.
    #[arg(long, default_value = "[::]:8080", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Accounts and the signing key, which are made when they are not there.
    #[arg(long, value_name = "DIRECTORY")]
    state: PathBuf,
    /// What `iss` of its tokens says.
    #[arg(long, default_value = "http://login.social", value_name = "NAME")]
    issuer: String,
    /// Where the public keys are written, for those who verify tokens.
    #[arg(long, value_name = "FILE")]
    keys: PathBuf,
    /// Where the TokenRevocation is written, for those who take tokens.
    #[arg(long, value_name = "FILE")]
    revocations: PathBuf,
    /// The namespace of the TokenRevocation.
    #[arg(long, default_value = "social", value_name = "NAME")]
    namespace: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    std::fs::create_dir_all(&flags.state)?;
    let accounts = Arc::new(Accounts::open(&flags.state.join("social.db"))?);
    let tokens = Tokens::open(&flags.issuer, AUDIENCE, &flags.state.join("key.p8"))?;
    let beside = flags.keys.with_extension("new");
    std::fs::write(&beside, format!("{}\n", tokens.keys()))?;
    std::fs::rename(&beside, &flags.keys)?;
    let issuer = tokens.issuer().to_owned();
    let revocations =
        RevocationFile { file: flags.revocations, namespace: flags.namespace, issuer };
    let publisher = Publisher::new(accounts.clone(), revocations);
    let login = Arc::new(Login::new(accounts, Passwords::new()?, tokens, publisher.changed()));
    tokio::spawn(publisher.run());
    let listener = TcpListener::bind(flags.listen).await?;
    println!("login: HTTP on {}", listener.local_addr()?);
    let handler = move |request| {
        let login = login.clone();
        async move { login.handle(request).await }
    };
    Ok(example_web::serve(listener, handler).await?)
}
