//! The end-to-end harness of Postern: a mesh on one machine, made of real programs and real traffic.
//!
//! A pod is a network namespace with its own addresses, its own `/etc/hosts`, its own interception rules, and the
//! processes a pod has: an app, a proxy, a cert agent. Nothing is mocked; what a test sees is what a user would see.
//!
//! ```no_run
//! use postern_tests::{App, Mesh};
//!
//! let mesh = Mesh::start();
//! mesh.policy("cart", r#"
//! apiVersion: security.istio.io/v1
//! kind: AuthorizationPolicy
//! metadata: {name: cart, namespace: shop}
//! spec:
//!   selector: {matchLabels: {app: cart}}
//!   rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/frontend]}}]}]
//! "#);
//! let cart = mesh.pod("cart").port(8080, "http").app(App::new("shop-cart")).start();
//! let frontend = mesh.pod("frontend").start();
//! frontend.curl("http://cart:8080/cart/ann").expect(200);
//! # drop(cart);
//! ```
//!
//! The tests need namespaces of their own. Run them with `make test`, or
//! `tests/in-namespace cargo test -p postern-tests` after `cargo build --workspace --bins`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a harness is test code: a step that cannot be done ends the test with the words of what broke"
)]

mod app;
mod authority;
mod bank;
mod binaries;
mod broker;
mod browser;
mod by_hand;
mod capture;
mod certificate_shown;
pub mod certificates;
mod clock;
mod collector;
mod config;
mod curl;
mod driven;
mod event_client;
mod example;
pub mod grpc;
pub mod http2_frames;
mod identity_source;
mod inside;
pub mod known_bytes;
pub mod kubelet;
mod load;
mod logs;
mod mesh;
mod metrics;
mod network;
mod online_shop;
pub mod ordinary;
pub mod payment_desk;
mod place;
mod pod;
mod pod_builder;
mod process;
pub mod proofs;
mod provider;
pub mod raw;
mod redis;
mod services;
pub mod shop;
mod shop_edge;
mod shop_events;
mod social_network;
mod story_times;
mod table;
pub mod tls;
pub mod wait;
pub mod web;
pub mod websocket;

pub use app::App;
pub use authority::Authority;
pub use bank::Bank;
pub use binaries::{binary, repository};
pub use broker::{Broker, BrokerKind};
pub use browser::{Browser, Fetched, Page, Person, Shown};
pub use by_hand::ByHand;
pub use capture::{Capture, Captured};
pub use certificate_shown::Certificate;
pub use collector::{CollectedSpan, Collector, CollectorMood};
pub use config::overlay;
pub use curl::Answer;
pub use event_client::{EventClient, EventError};
pub use inside::Task;
pub use load::{Load, LoadReport};
pub use logs::LogLine;
pub use mesh::Mesh;
pub use metrics::{Metrics, Sample};
pub use online_shop::{Customer, OnlineShop};
pub use pod::Pod;
pub use pod_builder::PodBuilder;
pub use process::{Finished, Process};
pub use provider::{Provider, ProviderClient};
pub use redis::Redis;
pub use shop_edge::ShopEdge;
pub use shop_events::{ShopEvents, shipped_topics};
pub use social_network::Social;
pub use table::Table;
