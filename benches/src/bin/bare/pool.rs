//! Connections that are kept, a set of them for each worker.

use std::cell::RefCell;
use std::rc::Rc;

use anyhow::Result;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;

use crate::forward::{BoxBytes, CONNECTION_WINDOW, STREAM_WINDOW};

/// Tasks of hyper stay in the worker.
#[derive(Clone, Copy)]
pub(crate) struct Local;

impl<F: Future + 'static> Executor<F> for Local {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move { drop(future.await) });
    }
}

/// Connections of HTTP/1.1 that wait for a request.
#[derive(Clone, Default)]
pub(crate) struct Http1Pool {
    idle: Rc<RefCell<Vec<http1::SendRequest<Incoming>>>>,
}

impl Http1Pool {
    /// Sends a request over a kept connection, or over one that is dialled.
    pub(crate) async fn send<D>(
        &self,
        request: Request<Incoming>,
        dial: impl FnOnce() -> D,
    ) -> Result<Response<Incoming>>
    where
        D: Future<Output = Result<BoxBytes>>,
    {
        let mut sender = match self.take() {
            Some(sender) => sender,
            None => {
                let (sender, connection) = http1::handshake(TokioIo::new(dial().await?)).await?;
                tokio::task::spawn_local(connection);
                sender
            }
        };
        let response = sender.send_request(request).await?;
        if sender.is_ready() {
            self.idle.borrow_mut().push(sender);
        } else {
            // Its answer is under way still.
            let idle = Rc::clone(&self.idle);
            tokio::task::spawn_local(async move {
                if sender.ready().await.is_ok() {
                    idle.borrow_mut().push(sender);
                }
            });
        }
        Ok(response)
    }

    fn take(&self) -> Option<http1::SendRequest<Incoming>> {
        let mut idle = self.idle.borrow_mut();
        std::iter::from_fn(|| idle.pop()).find(http1::SendRequest::is_ready)
    }
}

/// The one connection of HTTP/2.
#[derive(Default)]
pub(crate) struct Http2Connection {
    current: RefCell<Option<http2::SendRequest<Incoming>>>,
}

impl Http2Connection {
    /// Sends a request as one more stream.
    pub(crate) async fn send<D>(
        &self,
        request: Request<Incoming>,
        dial: impl FnOnce() -> D,
    ) -> Result<Response<Incoming>>
    where
        D: Future<Output = Result<BoxBytes>>,
    {
        let current = self.current.borrow().clone().filter(|sender| !sender.is_closed());
        let mut sender = match current {
            Some(sender) => sender,
            None => {
                let (sender, connection) = http2::Builder::new(Local)
                    .initial_stream_window_size(STREAM_WINDOW)
                    .initial_connection_window_size(CONNECTION_WINDOW)
                    .handshake(TokioIo::new(dial().await?))
                    .await?;
                tokio::task::spawn_local(connection);
                *self.current.borrow_mut() = Some(sender.clone());
                sender
            }
        };
        sender.ready().await?;
        Ok(sender.send_request(request).await?)
    }
}
