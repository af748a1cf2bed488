//! The client's side of one HTTP/1.1 connection: to our app, or to a server that speaks nothing else.
//!
//! One request at a time. What comes back passes the gate for answers ([`crate::http::gate::answer`]),
//! bytes first.

use std::future::Future;
use std::sync::Arc;

use http::{Request, Response};
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::task::AbortHandle;

use crate::connection::net::{BoxedIo, YieldingIo};
use crate::http::body::{Body, BodyWatch};
use crate::http::error::{OtherEnd, RequestError};
use crate::http::gate::answer::{self, AnsweredRequest, BadAnswer};
use crate::http::gate::raw::{CheckedIo, RawExchange};
use crate::http::gate::{HeadLimits, configure_client};
use crate::http::headers::AnswerOrigin;
use crate::limits::Limits;

/// One connection; it ends when this is dropped and the last answer has been read.
pub struct Http1Client {
    sender: SendRequest<Body>,
    exchange: Arc<RawExchange>,
    limits: HeadLimits,
    who: OtherEnd,
    connection: AbortHandle,
}

/// Why there is no answer.
pub(crate) enum Http1SendError {
    /// The connection had come to its end before it took the request, which is whole.
    Unsent(Box<Request<Body>>),
    /// Everything else.
    Failed(RequestError),
}

impl Http1SendError {
    /// As an error of the request, which is not sent on another connection to `who`.
    pub(crate) fn into_error(self, who: OtherEnd) -> RequestError {
        match self {
            Self::Unsent(_) => RequestError::Broken {
                who,
                cause: "the connection ended before it took the request".into(),
                unprocessed: true,
            },
            Self::Failed(error) => error,
        }
    }
}

impl Http1Client {
    /// Opens HTTP/1.1 on a byte stream to `who`, until `cut` says that it must end.
    ///
    /// # Errors
    /// [`RequestError::Broken`].
    pub(crate) async fn open(
        io: BoxedIo,
        limits: &Limits,
        who: OtherEnd,
        cut: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Self, RequestError> {
        let limits = HeadLimits::of(limits);
        let (io, exchange) = CheckedIo::answers(YieldingIo::new(io));
        let mut builder = Builder::new();
        configure_client(&mut builder, limits);
        let (sender, connection) = builder
            .handshake(TokioIo::new(io))
            .await
            .map_err(|error| RequestError::broken(who, &error))?;
        let connection = tokio::spawn(async move {
            tokio::select! {
                // Its error has reached the request that was on it.
                _ = connection.with_upgrades() => {}
                () = cut => {}
            }
        });
        let connection = connection.abort_handle();
        Ok(Self { sender, exchange, limits, who, connection })
    }

    /// Whether a request could be sent at once.
    pub(crate) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    /// Whether the connection has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Ends the connection at once, and with it the rest of a request that has been answered.
    pub(crate) fn end(self) {
        self.connection.abort();
    }

    /// Waits until the last answer has been read; whether another request may follow.
    pub(crate) async fn ready(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }

    /// Sends a request and waits for the head of its answer, which may hold fields of ours only where `speaker` is a
    /// proxy of ours.
    ///
    /// # Errors
    /// [`Http1SendError`].
    pub(crate) async fn send(
        &mut self,
        mut request: Box<Request<Body>>,
        speaker: AnswerOrigin,
    ) -> Result<Response<Body>, Http1SendError> {
        let asked = AnsweredRequest::by(&request);
        let watch = request.body_mut().watch_failure();
        self.pass_interims(&mut request);
        self.exchange.begin(asked.head_only);
        let answered = self.sender.try_send_request(*request).await;
        let (mut parts, body) = match answered {
            Ok(response) => response.into_parts(),
            Err(mut error) => {
                return Err(match error.take_message() {
                    Some(unsent) => Http1SendError::Unsent(Box::new(unsent)),
                    None => Http1SendError::Failed(self.failed(&watch, &error.into_error())),
                });
            }
        };
        answer::admit(&mut parts, &asked, self.limits, speaker)
            .map_err(|bad| Http1SendError::Failed(RequestError::bad_answer(self.who, bad)))?;
        Ok(Response::from_parts(parts, Body::http1(body).answers(watch)))
    }

    /// Interim answers go to the client, if it accepts them.
    fn pass_interims(&self, request: &mut Request<Body>) {
        let (interims, limits) = (request.body().interims().clone(), self.limits);
        if interims.are_accepted() {
            hyper::ext::on_informational(request, move |interim| {
                interims.pass(interim.status(), interim.headers().clone(), limits);
            });
        }
    }

    /// Whose fault it is that there is no answer: the client's, whose body broke, before anybody's. An answer
    /// that was begun is never none.
    fn failed(&self, request: &BodyWatch, error: &hyper::Error) -> RequestError {
        if let Some(broken) = request.broken() {
            return RequestError::ClientBody(broken);
        }
        let bad = |why| RequestError::bad_answer(self.who, why);
        match self.exchange.refused() {
            Some(reason) => bad(BadAnswer::Malformed(reason)),
            None if error.is_parse_too_large() => bad(BadAnswer::TooLarge),
            None if error.is_parse() => bad(BadAnswer::Malformed("no HTTP/1.1")),
            None if self.exchange.has_begun() => {
                bad(BadAnswer::Malformed("it broke off in its head"))
            }
            None => RequestError::broken(self.who, error),
        }
    }
}

#[cfg(test)]
mod tests;
