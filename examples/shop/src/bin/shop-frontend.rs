//! The shop's front end: HTTP in, the cart over HTTP and payments over gRPC behind it.
#![allow(clippy::print_stdout, reason = "a program that says where it listens")]

use std::net::SocketAddr;

use clap::Parser;
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use serde_json::{Value, json};
use shop::proto::payments_client::PaymentsClient;
use shop::proto::{ChargeRequest, FollowRequest};
use shop::ticker::price;
use shop::web::{self, Answer, Fetcher, json as json_answer, text};
use tokio::net::TcpListener;
use tonic::transport::{Channel, Endpoint};

/// The front end of the shop.
///
/// HTTP: GET / · GET /cart/USER (asks the cart) · POST /checkout/USER (asks the cart, then payments by gRPC).
#[derive(Parser)]
struct Flags {
    /// Where to listen for HTTP.
    #[arg(long, default_value = "[::]:8000", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// The cart service.
    #[arg(long, default_value = "http://cart:8080", value_name = "URL")]
    cart: String,
    /// The payment service.
    #[arg(long, default_value = "http://payments:50051", value_name = "URL")]
    payments: String,
}

#[derive(Clone)]
struct Shop {
    fetcher: Fetcher,
    cart: String,
    payments: PaymentsClient<Channel>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let listener = TcpListener::bind(flags.listen).await?;
    println!("frontend: HTTP on {}", listener.local_addr()?);
    let shop = Shop {
        fetcher: Fetcher::default(),
        cart: flags.cart.trim_end_matches('/').to_owned(),
        payments: PaymentsClient::new(Endpoint::from_shared(flags.payments)?.connect_lazy()),
    };
    web::serve(listener, move |request| handle(shop.clone(), request)).await?;
    Ok(())
}

async fn handle(shop: Shop, request: Request<Incoming>) -> Answer {
    let path = request.uri().path();
    if let (&Method::GET, Some(user)) = (request.method(), path.strip_prefix("/cart/")) {
        return show_cart(&shop, user).await;
    }
    if let (&Method::POST, Some(user)) = (request.method(), path.strip_prefix("/checkout/")) {
        return match checkout(shop.clone(), user).await {
            Ok(receipt) => json_answer(StatusCode::OK, &receipt),
            Err(error) => text(StatusCode::BAD_GATEWAY, format!("{error:#}\n")),
        };
    }
    match path {
        "/" => text(StatusCode::OK, "Welcome to the shop.\n"),
        _ => text(StatusCode::NOT_FOUND, "no such page\n"),
    }
}

/// Hands the cart's answer on as it is, refusals too.
async fn show_cart(shop: &Shop, user: &str) -> Answer {
    let url = format!("{}/cart/{user}", shop.cart);
    match shop.fetcher.fetch(Method::GET, &url).await {
        Ok((status, body)) => text(status, body),
        Err(error) => text(StatusCode::BAD_GATEWAY, format!("the cart did not answer: {error}\n")),
    }
}

/// Asks the cart what is in it, charges the sum, and follows the payment until it is settled.
async fn checkout(mut shop: Shop, user: &str) -> anyhow::Result<Value> {
    let url = format!("{}/cart/{user}", shop.cart);
    let (status, body) = shop.fetcher.fetch(Method::GET, &url).await?;
    anyhow::ensure!(status == StatusCode::OK, "the cart answered {status}");
    let cart: Value = serde_json::from_slice(&body)?;
    let amount = cart["items"]
        .as_array()
        .map_or(0, |items| items.iter().filter_map(Value::as_str).map(price).sum());
    let charge = ChargeRequest { user: user.to_owned(), card: "4000".to_owned(), amount };
    let receipt = shop.payments.charge(charge).await?.into_inner();
    let follow = FollowRequest { id: receipt.id.clone() };
    let mut events = shop.payments.follow(follow).await?.into_inner();
    let mut states = Vec::new();
    while let Some(event) = events.message().await? {
        states.push(event.state);
    }
    Ok(json!({"receipt": receipt.id, "amount": receipt.amount, "states": states}))
}
