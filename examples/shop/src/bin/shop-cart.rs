//! The shop's cart service: HTTP and WebSocket, an order port, a price ticker.
#![allow(clippy::print_stdout, reason = "a program that says where it listens")]

use std::net::SocketAddr;

use clap::Parser;
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use serde_json::json;
use shop::cart::Carts;
use shop::web::{Answer, json as json_answer, read_body, text};
use shop::{events, orders, people, ticker, web};
use tokio::net::TcpListener;

/// The cart service of the shop.
///
/// HTTP: GET /cart/USER · POST /cart/USER (body: the item) · DELETE /cart/USER · GET /headers (what came in) ·
/// GET /events (WebSocket: cart changes). Where `x-user` names somebody, their own cart alone is theirs.
#[derive(Parser)]
struct Flags {
    /// Where to listen for HTTP and WebSocket.
    #[arg(long, default_value = "[::]:8080", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Where the warehouse sends orders: plain TCP, one command a line.
    #[arg(long, default_value = "[::]:9000", value_name = "ADDRESS")]
    orders_listen: SocketAddr,
    /// Where the price ticker listens: plain TCP, the server speaks first.
    #[arg(long, default_value = "[::]:9100", value_name = "ADDRESS")]
    ticker_listen: SocketAddr,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let carts = Carts::default();
    let http = TcpListener::bind(flags.listen).await?;
    let orders = TcpListener::bind(flags.orders_listen).await?;
    let ticker = TcpListener::bind(flags.ticker_listen).await?;
    println!(
        "cart: HTTP on {}, orders on {}, ticker on {}",
        http.local_addr()?,
        orders.local_addr()?,
        ticker.local_addr()?
    );
    let handler = {
        let carts = carts.clone();
        move |request| handle(carts.clone(), request)
    };
    tokio::try_join!(
        web::serve(http, handler),
        orders::serve(orders, carts),
        ticker::serve(ticker)
    )?;
    Ok(())
}

async fn handle(carts: Carts, request: Request<Incoming>) -> Answer {
    let path = request.uri().path().to_owned();
    if let (Some(of), Some(user)) = (path.strip_prefix("/cart/"), people::user(request.headers()))
        && of != user
    {
        return text(StatusCode::FORBIDDEN, "somebody else's cart\n");
    }
    match (request.method().clone(), path.strip_prefix("/cart/")) {
        (Method::GET, Some(user)) => show(&carts, user),
        (Method::POST, Some(user)) => add(&carts, user, request).await,
        (Method::DELETE, Some(user)) => {
            carts.empty(user);
            text(StatusCode::NO_CONTENT, "")
        }
        (Method::GET, None) if path == "/headers" => echo_headers(&request),
        (Method::GET, None) if path == "/events" => events::upgrade(carts, request),
        _ => text(StatusCode::NOT_FOUND, "the cart has nothing here\n"),
    }
}

fn show(carts: &Carts, user: &str) -> Answer {
    let items = carts.items(user);
    json_answer(StatusCode::OK, &json!({"user": user, "items": items}))
}

async fn add(carts: &Carts, user: &str, request: Request<Incoming>) -> Answer {
    let body = match read_body(request).await {
        Ok(body) => body,
        Err(error) => return text(StatusCode::BAD_REQUEST, format!("{error}\n")),
    };
    let count = carts.add(user, String::from_utf8_lossy(&body).trim());
    json_answer(StatusCode::CREATED, &json!({"user": user, "count": count}))
}

/// Every header the request came with, so that a person sees what reaches an app.
fn echo_headers(request: &Request<Incoming>) -> Answer {
    let headers: Vec<_> = request
        .headers()
        .iter()
        .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
        .collect();
    json_answer(StatusCode::OK, &json!({"headers": headers}))
}
