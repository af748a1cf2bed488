//! The feed: what a person wrote, beside what they say of themselves.
#![allow(clippy::print_stdout, reason = "a program that says where it listens")]

use std::net::SocketAddr;

use clap::Parser;
use example_web::{Answer, Fetcher, json as json_answer, text};
use http::header::AUTHORIZATION;
use http::{HeaderValue, Method, Request, StatusCode};
use hyper::body::Incoming;
use serde_json::{Value, json};
use social::people;
use tokio::net::TcpListener;

/// The feed.
///
/// HTTP: GET /feed/NAME. It asks the others as the user who asks it, with that user's token.
#[derive(Parser, Clone)]
struct Flags {
    /// Where to listen for HTTP.
    #[arg(long, default_value = "[::]:8080", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Where the posts are.
    #[arg(long, default_value = "http://posts:8080", value_name = "URL")]
    posts: String,
    /// Where the profiles are.
    #[arg(long, default_value = "http://profiles:8080", value_name = "URL")]
    profiles: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let listener = TcpListener::bind(flags.listen).await?;
    println!("feed: HTTP on {}", listener.local_addr()?);
    let fetcher = Fetcher::default();
    let handler = move |request| handle(fetcher.clone(), flags.clone(), request);
    Ok(example_web::serve(listener, handler).await?)
}

async fn handle(fetcher: Fetcher, flags: Flags, request: Request<Incoming>) -> Answer {
    if people::user(request.headers()).is_none() {
        return people::nobody();
    }
    let Some(name) =
        request.uri().path().strip_prefix("/feed/").filter(|name| people::is_name(name))
    else {
        return text(StatusCode::NOT_FOUND, "feed has nothing here\n");
    };
    let as_user = request.headers().get(AUTHORIZATION);
    let profile = ask(&fetcher, &format!("{}/profiles/{name}", flags.profiles), as_user).await;
    let posts = ask(&fetcher, &format!("{}/posts/{name}", flags.posts), as_user).await;
    match (profile, posts) {
        (Ok(profile), Ok(posts)) => {
            let feed = json!({"name": name, "about": profile["text"], "posts": posts["posts"]});
            json_answer(StatusCode::OK, &feed)
        }
        (Err(answer), _) | (_, Err(answer)) => answer,
    }
}

/// What a service answers; its refusal is ours.
async fn ask(fetcher: &Fetcher, url: &str, as_user: Option<&HeaderValue>) -> Result<Value, Answer> {
    match fetcher.fetch_for(Method::GET, url, as_user).await {
        Ok((StatusCode::OK, body)) => serde_json::from_slice(&body)
            .map_err(|_| text(StatusCode::BAD_GATEWAY, "no JSON came back\n")),
        // Who says nothing of themselves may have posts all the same.
        Ok((StatusCode::NOT_FOUND, _)) => Ok(Value::Null),
        Ok((status, body)) => Err(text(status, body)),
        Err(error) => Err(text(StatusCode::BAD_GATEWAY, format!("{error:#}\n"))),
    }
}
