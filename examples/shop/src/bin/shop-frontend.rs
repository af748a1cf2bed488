//! The shop's front end: HTTP in, the cart over HTTP and payments over gRPC behind it.
#![allow(clippy::print_stdout, reason = "a program that says where it listens")]

use std::net::SocketAddr;

use clap::Parser;
use shop::bus::Bus;
use shop::storefront::Storefront;
use shop::web;
use tokio::net::TcpListener;

/// The front end of the shop.
///
/// HTTP, for everybody: GET / · GET /search?q=WORDS · GET /products/NAME · GET /products/NAME/picture ·
/// GET /cart/USER (asks the cart) · POST /checkout/USER (asks the cart, then payments by gRPC);
/// for whom `x-user` names: GET and POST /basket · GET and POST /orders · GET /orders/NUMBER (one's own) ·
/// POST /pictures/NAME · POST /reviews/NAME.
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
    /// The broker to tell of orders; without one nobody is told.
    #[arg(long, value_name = "URL")]
    events: Option<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let listener = TcpListener::bind(flags.listen).await?;
    println!("frontend: HTTP on {}", listener.local_addr()?);
    let bus = Bus::of(flags.events.as_deref(), "frontend").await?;
    let shop = Storefront::new(&flags.cart, flags.payments, bus)?;
    Ok(web::serve(listener, move |request| shop.clone().handle(request)).await?)
}
