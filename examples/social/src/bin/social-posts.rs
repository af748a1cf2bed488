//! What people write.
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

/// The posts.
///
/// HTTP: GET /posts/NAME (everybody who has logged in) · POST /posts (body: a text; as oneself)
#[derive(Parser)]
struct Flags {
    /// Where to listen for HTTP.
    #[arg(long, default_value = "[::]:8080", value_name = "ADDRESS")]
    listen: SocketAddr,
}

type Posts = Arc<Mutex<BTreeMap<String, Vec<String>>>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let listener = TcpListener::bind(flags.listen).await?;
    println!("posts: HTTP on {}", listener.local_addr()?);
    let posts = Posts::default();
    Ok(example_web::serve(listener, move |request| handle(posts.clone(), request)).await?)
}

async fn handle(posts: Posts, request: Request<Incoming>) -> Answer {
    let Some(user) = people::user(request.headers()).map(str::to_owned) else {
        return people::nobody();
    };
    let path = request.uri().path().to_owned();
    match (request.method().clone(), path.strip_prefix("/posts/")) {
        (Method::GET, Some(name)) => {
            let texts = posts.lock().get(name).cloned().unwrap_or_default();
            json_answer(StatusCode::OK, &json!({"name": name, "posts": texts}))
        }
        (Method::POST, None) if path == "/posts" => match read_body(request).await {
            Ok(body) => {
                let said = String::from_utf8_lossy(&body).trim().to_owned();
                let mut posts = posts.lock();
                let own = posts.entry(user).or_default();
                own.push(said);
                json_answer(StatusCode::CREATED, &json!({"count": own.len()}))
            }
            Err(error) => text(StatusCode::BAD_REQUEST, format!("{error}\n")),
        },
        _ => text(StatusCode::NOT_FOUND, "posts has nothing here\n"),
    }
}
