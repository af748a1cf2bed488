//! An ordinary small online shop: a web front end, a cart, a payment service, and notices to whoever has bought.
//!
//! Nothing here knows of the mesh. The programs listen on plain ports, call each other by plain names
//! (`http://cart:8080`, `http://payments:50051`), and do no TLS and no access checks of their own.
//! Postern adds both from outside.
//!
//! | program | listens for | calls |
//! |---|---|---|
//! | `shop-frontend` | HTTP | cart over HTTP/1.1, payments over gRPC; tells a NATS broker of orders, where there is one |
//! | `shop-cart` | HTTP and WebSocket; orders over a line protocol; a price ticker that speaks first | nobody |
//! | `shop-payments` | gRPC over plaintext HTTP/2 | nobody |
//! | `shop-notices` | HTTP | the broker, which tells it of orders |

pub mod bus;
pub mod cart;
pub mod catalogue;
pub mod events;
pub mod notices;
pub mod order_book;
pub mod orders;
pub mod payments;
pub mod people;
pub mod storefront;
pub mod ticker;

pub use example_web as web;

/// The payment service's messages, client and server, generated from `proto/payments.proto`.
pub mod proto {
    #![allow(missing_docs, clippy::all)]
    tonic::include_proto!("shop.payments.v1");
}
