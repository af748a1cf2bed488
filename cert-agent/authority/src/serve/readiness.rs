//! `run --readiness ADDR`: `/ready` and `/live` for probes, `/metrics` for Prometheus, over plain HTTP. Nothing in it
//! is secret, and it is off unless asked for.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::clock::wall_clock;
use crate::serve::issue::Authority;
use program::page::{self, Method, Page, PageRequest, StatusCode, text};

/// Listens, and serves until `stop`. The address it got.
///
/// # Errors
/// When the address is taken, with its name.
pub async fn start(
    address: SocketAddr,
    authority: Arc<Authority>,
    stop: CancellationToken,
) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen at {address}; choose another --readiness"))?;
    let bound = listener.local_addr()?;
    tokio::spawn(page::serve(listener, move |request| answer(request, &authority), stop));
    Ok(bound)
}

fn answer(request: &PageRequest, authority: &Authority) -> Page {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return text(StatusCode::METHOD_NOT_ALLOWED, "GET only\n".to_owned());
    }
    let (ca, now) = (authority.ca.now(), wall_clock());
    match request.path() {
        "/live" => text(StatusCode::OK, "live\n".to_owned()),
        // F-36: who cannot sign gets no requests, and says since when.
        "/ready" => match ca.ready(now) {
            Ok(()) => text(StatusCode::OK, "ready\n".to_owned()),
            Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
        },
        "/metrics" => match authority.metrics.page(&ca, now) {
            Ok(page) => text(StatusCode::OK, page),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        },
        _ => text(StatusCode::NOT_FOUND, "/metrics, /ready or /live\n".to_owned()),
    }
}
