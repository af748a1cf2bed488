//! What people say of themselves.
#![allow(clippy::print_stdout, reason = "a program that says where it listens")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use clap::Parser;
use example_web::{Answer, json as json_answer, read_body, text};
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use parking_lot::Mutex;
use serde_json::json;
use social::people;
use tokio::net::TcpListener;

/// The profiles.
///
/// HTTP: GET /profiles/NAME (everybody who has logged in) · PUT /profiles/NAME (body: a text; one's own alone)
#[derive(Parser)]
struct Flags {
    /// Where to listen for HTTP.
    #[arg(long, default_value = "[::]:8080", value_name = "ADDRESS")]
    listen: SocketAddr,
}

type Profiles = Arc<Mutex<BTreeMap<String, String>>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let listener = TcpListener::bind(flags.listen).await?;
    println!("profiles: HTTP on {}", listener.local_addr()?);
    let profiles = Profiles::default();
    Ok(example_web::serve(listener, move |request| handle(profiles.clone(), request)).await?)
}

async fn handle(profiles: Profiles, request: Request<Incoming>) -> Answer {
    let Some(user) = people::user(request.headers()).map(str::to_owned) else {
        return people::nobody();
    };
    let path = request.uri().path().to_owned();
    match (request.method().clone(), path.strip_prefix("/profiles/")) {
        (Method::GET, Some(name)) => {
            let said = profiles.lock().get(name).cloned();
            said.map_or_else(
                || text(StatusCode::NOT_FOUND, "nobody of this name says anything\n"),
                |said| json_answer(StatusCode::OK, &json!({"name": name, "text": said})),
            )
        }
        (Method::PUT, Some(name)) if name == user => match read_body(request).await {
            Ok(body) => {
                let said = String::from_utf8_lossy(&body).trim().to_owned();
                profiles.lock().insert(user, said);
                text(StatusCode::NO_CONTENT, "")
            }
            Err(error) => text(StatusCode::BAD_REQUEST, format!("{error}\n")),
        },
        (Method::PUT, Some(_)) => text(StatusCode::FORBIDDEN, "somebody else's profile\n"),
        _ => text(StatusCode::NOT_FOUND, "profiles has nothing here\n"),
    }
}
