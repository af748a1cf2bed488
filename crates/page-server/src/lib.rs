//! The one small HTTP server that programs keep beside their work: `/ready` and `/live` for the kubelet, `/metrics`
//! for Prometheus, admin pages for a person.
//!
//! It speaks HTTP/1.1 over plain TCP. Everything has a limit: the connections, the head of a request, the life of a
//! connection, a body where a page takes one. When all places are taken the oldest connection gives way and none is
//! waited for: the ports of probes are open to the network, and whoever only holds connections there does not keep
//! the kubelet out (SECURITY-CASES S-43).
//!
//! | file | says |
//! |---|---|
//! | [`limits`] | the limits of a server |
//! | [`request`] | a request, and its body where there is one |
//! | [`response`] | the answers that pages give |
//!
//! ```
//! use page_server::{PageLimits, PageServer, StatusCode, response};
//! # async fn example(listener: tokio::net::TcpListener) {
//! let server = PageServer::new(PageLimits::default());
//! server.serve(listener, |_request| async { response::text(StatusCode::OK, "live\n") }).await;
//! # }
//! ```

pub mod limits;
pub mod request;
pub mod response;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

pub use http::{Method, StatusCode};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

pub use limits::PageLimits;
pub use request::PageRequest;
pub use response::Page;

/// After an accept that failed, mostly for want of descriptors: time for some to be returned.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long the answers that are under way at the end may take.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// A server of pages, before it has a listener.
#[derive(Clone)]
pub struct PageServer {
    limits: PageLimits,
    stop: CancellationToken,
    on_accept_error: Arc<dyn Fn(&io::Error) + Send + Sync>,
}

impl fmt::Debug for PageServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PageServer").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl PageServer {
    /// A server with these limits that runs for ever and is silent about failed accepts.
    #[must_use]
    pub fn new(limits: PageLimits) -> Self {
        Self { limits, stop: CancellationToken::new(), on_accept_error: Arc::new(|_| {}) }
    }

    /// Ends when `stop` is cancelled: no new connection, and a second for the answers that are under way.
    #[must_use]
    pub fn until(self, stop: CancellationToken) -> Self {
        Self { stop, ..self }
    }

    /// Hands each failed accept to `report`. It is tried again 50 ms later.
    #[must_use]
    pub fn on_accept_error(self, report: impl Fn(&io::Error) + Send + Sync + 'static) -> Self {
        Self { on_accept_error: Arc::new(report), ..self }
    }

    /// Answers what comes to `listener` by `answer`. Who drops the future ends every connection.
    pub async fn serve<A, F>(self, listener: TcpListener, answer: A)
    where
        A: Fn(PageRequest) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Page> + Send + 'static,
    {
        let mut open = OpenConnections::new(self.limits.connections);
        while let Some(accepted) = self.stop.run_until_cancelled(listener.accept()).await {
            match accepted {
                Ok((stream, _)) => {
                    let (stop, answer) = (self.stop.clone(), answer.clone());
                    open.admit(converse(stream, self.limits, stop, answer));
                }
                Err(error) => {
                    (self.on_accept_error)(&error);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        open.finish().await;
    }
}

/// The connections at a time, the oldest in front.
struct OpenConnections {
    most: usize,
    tasks: JoinSet<()>,
    by_age: VecDeque<AbortHandle>,
}

impl OpenConnections {
    fn new(most: usize) -> Self {
        Self { most: most.max(1), tasks: JoinSet::new(), by_age: VecDeque::new() }
    }

    /// Takes in a connection; when there is no place, the oldest one gives way.
    fn admit(&mut self, connection: impl Future<Output = ()> + Send + 'static) {
        while self.tasks.try_join_next().is_some() {}
        self.by_age.retain(|connection| !connection.is_finished());
        if self.by_age.len() >= self.most
            && let Some(oldest) = self.by_age.pop_front()
        {
            oldest.abort();
        }
        self.by_age.push_back(self.tasks.spawn(connection));
    }

    /// Waits for the last answers; what is slower is cut off.
    async fn finish(mut self) {
        let answered = async { while self.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(LAST_ANSWERS, answered).await;
    }
}

/// Answers on one connection until it ends, takes too long, or the server ends.
async fn converse<A, F>(stream: TcpStream, limits: PageLimits, stop: CancellationToken, answer: A)
where
    A: Fn(PageRequest) -> F,
    F: Future<Output = Page>,
{
    let Ok(local) = stream.local_addr() else { return };
    // Whoever does not read its answer is cut off by the system.
    let _ = SockRef::from(&stream).set_tcp_user_timeout(limits.unread_deadline);
    let service = service_fn(|request| {
        let answered = answer(PageRequest::new(local, request));
        async move { Ok::<_, Infallible>(answered.await) }
    });
    let mut serving = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head_deadline)
            .max_buf_size(limits.head_bytes.max(limits::LEAST_HEAD))
            .serve_connection(TokioIo::new(stream), service)
    );
    // A prober that breaks off, or asks too slowly, needs no answer and no line in a log.
    tokio::select! {
        _ = serving.as_mut() => return,
        () = elapsed(limits.connection_deadline) => return,
        () = stop.cancelled() => serving.as_mut().graceful_shutdown(),
    }
    let _ = serving.await;
}

async fn elapsed(deadline: Option<Duration>) {
    match deadline {
        Some(deadline) => tokio::time::sleep(deadline).await,
        None => std::future::pending().await,
    }
}
