//! Small pages over plain HTTP, for probes and Prometheus: nothing secret, and every wait and size has a limit.

use page_server::response::{PROMETHEUS, page};
pub use page_server::{Method, Page, PageRequest, StatusCode};
use page_server::{PageLimits, PageServer};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Connections at a time; one more ends the oldest.
const MAX_CONNECTIONS: usize = 8;

/// Serves what `answer` gives until `stop`.
pub async fn serve<A>(listener: TcpListener, answer: A, stop: CancellationToken)
where
    A: Fn(&PageRequest) -> Page + Clone + Send + Sync + 'static,
{
    let limits = PageLimits { connections: MAX_CONNECTIONS, ..PageLimits::default() };
    let server = PageServer::new(limits)
        .until(stop)
        .on_accept_error(|error| tracing::warn!(%error, "cannot accept"));
    server.serve(listener, move |request| std::future::ready(answer(&request))).await;
}

/// A page of text, in the version that Prometheus reads.
#[must_use]
pub fn text(code: StatusCode, body: String) -> Page {
    page(code, PROMETHEUS, body)
}
