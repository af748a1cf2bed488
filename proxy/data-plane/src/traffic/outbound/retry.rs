//! Whether a request may be sent again. Pure.
//!
//! Only one without a body, because a body that has been read is gone. Any method, when it is certain that the app has
//! seen nothing of it: no connection was made, or the peer's proxy says so. That proxy is trusted because it has proved
//! the service's identity over `postern/1`, and it removes this header from everything that its app sends. When the app
//! may have seen the request, only a safe method (RFC 9110 §9.2.1, §9.2.2), and only once.

use http::{Request, Response};

use crate::http::body::Body;
use crate::http::error::{APP_RESET, APP_UNREACHABLE, RequestError};
use crate::http::headers::REASON_HEADER;
use crate::http::interim::InterimSender;

/// The most attempts of one request.
const MAX_ATTEMPTS: u8 = 3;

/// The attempts of one request.
pub(super) struct RetryBudget {
    /// The head of a request without a body.
    replay_head: Option<Box<Request<()>>>,
    interims: InterimSender,
    attempts_left: u8,
    /// It was sent again although the app may have seen it.
    resent_uncertain: bool,
}

/// A request that may be sent again.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NextAttempt {
    /// Why the last attempt failed.
    pub(super) reason: &'static str,
    /// The last endpoint must not be used for the next attempt.
    pub(super) avoid_endpoint: bool,
}

/// A request that the app has not answered.
struct UnansweredRequest {
    reason: &'static str,
    delivery: DeliveryState,
    avoid_endpoint: bool,
}

/// What the app has seen of a request that it has not answered.
enum DeliveryState {
    NotDelivered,
    PossiblyDelivered,
}

impl RetryBudget {
    /// The budget of this request, which is about to be sent.
    pub(super) fn of(request: &Request<Body>) -> Self {
        let replay_head = request.body().is_empty().then(|| Box::new(copy(request, ())));
        let interims = request.body().interims().clone();
        Self { replay_head, interims, attempts_left: MAX_ATTEMPTS - 1, resent_uncertain: false }
    }

    /// Whether the request may be sent again after this result, and why.
    pub(super) fn next_attempt(
        &mut self,
        answered: &Result<Response<Body>, RequestError>,
    ) -> Option<NextAttempt> {
        let replay_head = self.replay_head.as_ref()?;
        let UnansweredRequest { reason, delivery, avoid_endpoint } = unanswered(answered)?;
        if matches!(delivery, DeliveryState::PossiblyDelivered) {
            if self.resent_uncertain || !is_safe_to_repeat(replay_head) {
                return None;
            }
            self.resent_uncertain = true;
        }
        self.attempts_left = self.attempts_left.checked_sub(1)?;
        Some(NextAttempt { reason, avoid_endpoint })
    }

    /// The request for the next attempt.
    pub(super) fn request(&self) -> Option<Box<Request<Body>>> {
        let body = || Body::empty().with_interims(self.interims.clone());
        self.replay_head.as_ref().map(|replay_head| Box::new(copy(replay_head, body())))
    }
}

/// Whether the peer's proxy reports that the app could not be reached.
pub(super) fn is_app_unreachable(response: &Response<Body>) -> bool {
    response.headers().get(REASON_HEADER).is_some_and(|reason| reason == APP_UNREACHABLE)
}

/// Whether it is harmless when the app sees the request twice. A proof of possession is valid only once (RFC 9449
/// §11.1): the second one would be refused, with a misleading answer.
fn is_safe_to_repeat(request: &Request<()>) -> bool {
    request.method().is_safe() && !request.headers().contains_key("dpop")
}

/// Why the app has not answered, if it has not, and what it may have seen. A peer that announced the end of its
/// connection may still be there under a new one, and be the only endpoint; one without an app cannot be used.
fn unanswered(answered: &Result<Response<Body>, RequestError>) -> Option<UnansweredRequest> {
    let failed_with = |reason, delivery, avoid_endpoint| {
        Some(UnansweredRequest { reason, delivery, avoid_endpoint })
    };
    match answered {
        Ok(response) if is_app_unreachable(response) => {
            failed_with(APP_UNREACHABLE, DeliveryState::NotDelivered, true)
        }
        Ok(response) => {
            let reset = response.headers().get(REASON_HEADER)? == APP_RESET;
            if reset {
                failed_with(APP_RESET, DeliveryState::PossiblyDelivered, false)
            } else {
                None
            }
        }
        Err(error) if error.is_unprocessed() => {
            failed_with(error.reason(), DeliveryState::NotDelivered, false)
        }
        Err(error @ RequestError::Broken { .. }) => {
            failed_with(error.reason(), DeliveryState::PossiblyDelivered, false)
        }
        Err(_) => None,
    }
}

fn copy<A, B>(request: &Request<A>, body: B) -> Request<B> {
    let mut copy = Request::new(body);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    copy
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests {
    use http::{HeaderValue, Method};

    use super::*;
    use crate::http::error::OtherEnd;

    fn peer(reason: &'static str) -> Result<Response<Body>, RequestError> {
        let mut response = Response::new(Body::empty());
        response.headers_mut().insert(REASON_HEADER, HeaderValue::from_static(reason));
        Ok(response)
    }

    fn broken(unprocessed: bool) -> Result<Response<Body>, RequestError> {
        let cause = "GOAWAY".into();
        Err(RequestError::Broken { who: OtherEnd::Upstream, cause, unprocessed })
    }

    fn tries(method: Method, body: Body) -> RetryBudget {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        RetryBudget::of(&request)
    }

    #[test]
    fn a_proof_that_may_have_been_seen_is_not_shown_twice() {
        let mut request = Request::new(Body::empty());
        request.headers_mut().insert("dpop", HeaderValue::from_static("e30.e30.c2ln"));
        let mut tries = RetryBudget::of(&request);
        assert_eq!(tries.next_attempt(&peer(APP_RESET)), None);
        assert!(
            tries.next_attempt(&peer(APP_UNREACHABLE)).is_some_and(|again| again.avoid_endpoint)
        );
    }

    #[test]
    fn a_request_is_sent_again_only_where_that_can_do_no_harm() {
        let timeout = || Err(RequestError::Timeout { who: OtherEnd::Upstream });
        type Answered = Result<Response<Body>, RequestError>;
        // GET, POST without a body, POST with one: whether each may avoid the endpoint on the next attempt.
        let rows: [(&str, Answered, [Option<bool>; 3]); 7] = [
            ("the app never saw it", peer(APP_UNREACHABLE), [Some(true), Some(true), None]),
            ("the app broke off", peer(APP_RESET), [Some(false), None, None]),
            ("never taken by the peer", broken(true), [Some(false), Some(false), None]),
            ("the hop broke", broken(false), [Some(false), None, None]),
            ("no answer in time", timeout(), [None; 3]),
            ("refused by policy", peer("no_matching_allow"), [None; 3]),
            ("an answer", Ok(Response::new(Body::empty())), [None; 3]),
        ];
        for (name, answered, expect) in rows {
            let found = [
                tries(Method::GET, Body::empty()),
                tries(Method::POST, Body::empty()),
                tries(Method::POST, Body::from_bytes("an order")),
            ]
            .map(|mut tries| tries.next_attempt(&answered).map(|again| again.avoid_endpoint));
            assert_eq!(found, expect, "{name}");
        }
    }

    #[test]
    fn tries_have_an_end() {
        let mut get = tries(Method::GET, Body::empty());
        assert!(get.next_attempt(&peer(APP_RESET)).is_some());
        assert!(get.next_attempt(&peer(APP_RESET)).is_none(), "an app sees it twice at most");
        assert!(get.next_attempt(&peer(APP_UNREACHABLE)).is_some());
        assert!(get.next_attempt(&peer(APP_UNREACHABLE)).is_none(), "three times in all");
    }

    #[test]
    fn what_is_sent_again_is_what_was_sent() {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = Method::DELETE;
        *request.uri_mut() = http::Uri::from_static("/cart/ann?all=1");
        request.headers_mut().insert("x-order", HeaderValue::from_static("7"));
        let Some(again) = RetryBudget::of(&request).request() else { panic!("no copy") };
        assert_eq!((again.method(), again.uri()), (request.method(), request.uri()));
        assert_eq!(again.headers(), request.headers());
    }
}
