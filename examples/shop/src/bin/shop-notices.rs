//! The shop's notices: listens to what has happened, and writes to whom it concerns.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that says what it does")]

use std::net::SocketAddr;
use std::sync::Arc;

use async_nats::Subscriber;
use clap::Parser;
use futures_util::StreamExt;
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use serde_json::json;
use shop::bus::{Bus, ORDERS_CREATED};
use shop::notices::Notices;
use shop::web;
use shop::web::{Answer, json as json_answer, text};
use tokio::net::TcpListener;

/// What people are told about their orders.
///
/// Listens to orders.created. HTTP: GET /notices/USER
#[derive(Parser)]
struct Flags {
    /// Where to listen for HTTP.
    #[arg(long, default_value = "[::]:8080", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// The broker of the shop's events.
    #[arg(long, default_value = "nats://broker:4222", value_name = "URL")]
    events: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let notices = Arc::new(Notices::default());
    let bus = Bus::of(Some(&flags.events), "notices").await?;
    let listener = TcpListener::bind(flags.listen).await?;
    println!("notices: HTTP on {}", listener.local_addr()?);
    if let Some(orders) = bus.listen(ORDERS_CREATED, "notices").await? {
        tokio::spawn(write(notices.clone(), orders));
    }
    let handler = move |request| {
        let notices = notices.clone();
        async move { handle(&notices, &request) }
    };
    Ok(web::serve(listener, handler).await?)
}

async fn write(notices: Arc<Notices>, mut orders: Subscriber) {
    while let Some(event) = orders.next().await {
        if let Err(error) = notices.write(&event.payload) {
            eprintln!("an event of {} is none: {error}", event.subject);
        }
    }
}

fn handle(notices: &Notices, request: &Request<Incoming>) -> Answer {
    match (request.method(), request.uri().path().strip_prefix("/notices/")) {
        (&Method::GET, Some(user)) => {
            json_answer(StatusCode::OK, &json!({"letters": notices.of(user)}))
        }
        _ => text(StatusCode::NOT_FOUND, "there are no notices here\n"),
    }
}
