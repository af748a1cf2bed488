//! Whether a request may be sent again. Pure.
//!
//! Only one whose body, if it has one, was kept whole ([`ReplayableBody`]). Any method, when it is certain that the app
//! has seen nothing of it: no connection was made, or the peer's proxy says so. That proxy is trusted because it has
//! proved the service's identity over `postern/1`, and it removes this header from everything that its app sends. When
//! the app may have seen the request, only a safe method (RFC 9110 §9.2.1), and as often as its route says. An answer
//! that the route lists in `retry.codes` is one that the app has given: then an idempotent method (§9.2.2) is enough.

use http::{Request, Response};
use policy::route::RetryPolicy;

use crate::http::body::{Body, ReplayableBody};
use crate::http::error::{APP_RESET, APP_UNREACHABLE, OtherEnd, RequestError};
use crate::http::headers::REASON_HEADER;
use crate::http::interim::InterimSender;

/// Attempts beyond the first one of which the app may have seen nothing, whatever the route says.
const MIN_UNDELIVERED: u8 = 2;
/// How many more times an app may see a request whose route says nothing about it.
const DEFAULT_RETRIES: u8 = 1;
/// The largest body that is kept for another attempt.
const MAX_KEPT_BODY: usize = 64 * 1024;
/// The word for an answer whose status the route lists.
const LISTED_STATUS: &str = "listed_status";

/// The attempts of one request.
pub(super) struct Attempts<'a> {
    /// What is sent again: its head, where its body is empty or kept.
    replay_head: Option<Box<Request<()>>>,
    body: Option<ReplayableBody>,
    interims: InterimSender,
    /// What its route says.
    rules: Option<&'a RetryPolicy>,
    /// Attempts in all.
    left: u8,
    /// Those among them that an app may see.
    delivered_left: u8,
}

/// A request that may be sent again.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NextAttempt {
    /// Why the last attempt failed.
    pub(super) reason: &'static str,
    /// The last endpoint must not be used for the next attempt.
    pub(super) avoid_endpoint: bool,
    /// The app may be busy with the last attempt: the next one waits a moment.
    pub(super) backs_off: bool,
}

/// A request that the app has not answered, or not well.
struct FailedAttempt {
    reason: &'static str,
    delivery: DeliveryState,
    avoid_endpoint: bool,
}

/// What the app has seen of a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum DeliveryState {
    NotDelivered,
    PossiblyDelivered,
    Answered,
}

impl<'a> Attempts<'a> {
    /// The attempts of this request, which is about to be sent for the first time: from now on its body is one that can
    /// be read again, where it is small enough. One with a proof of possession is not kept: the proof is valid once
    /// (RFC 9449 §11.1), and a second one would be refused with a misleading answer.
    pub(super) fn begin(request: &mut Request<Body>, rules: Option<&'a RetryPolicy>) -> Self {
        let retries = rules
            .and_then(|rules| rules.attempts)
            .map_or(DEFAULT_RETRIES, |attempts| u8::try_from(attempts).unwrap_or(u8::MAX));
        let mut attempts = Self {
            replay_head: None,
            body: None,
            interims: request.body().interims().clone(),
            rules,
            left: retries.max(MIN_UNDELIVERED),
            delivered_left: retries,
        };
        if !request.body().is_empty() {
            let body = std::mem::replace(request.body_mut(), Body::empty());
            let kept = ReplayableBody::new(body, MAX_KEPT_BODY);
            *request.body_mut() = kept.attempt();
            attempts.body = Some(kept);
        }
        if attempts.is_kept() {
            attempts.replay_head = Some(Box::new(copy(request, ())));
        }
        attempts
    }

    fn is_kept(&self) -> bool {
        self.body.as_ref().is_none_or(ReplayableBody::is_complete)
    }

    /// Whether the request may be sent again after this result, and why.
    pub(super) fn next_attempt(
        &mut self,
        answered: &Result<Response<Body>, RequestError>,
    ) -> Option<NextAttempt> {
        let FailedAttempt { reason, delivery, avoid_endpoint } = self.failed(answered)?;
        let replay_head = self.replay_head.as_ref().filter(|_| self.is_kept())?;
        let method = replay_head.method();
        let once_only = replay_head.headers().contains_key("dpop");
        let may_be_seen = match delivery {
            // The peer's proxy has seen the proof, and remembers it.
            DeliveryState::NotDelivered if once_only && answered.is_ok() => return None,
            DeliveryState::NotDelivered => false,
            DeliveryState::PossiblyDelivered if method.is_safe() && !once_only => true,
            DeliveryState::Answered if method.is_idempotent() && !once_only => true,
            _ => return None,
        };
        if may_be_seen {
            self.delivered_left = self.delivered_left.checked_sub(1)?;
        }
        self.left = self.left.checked_sub(1)?;
        Some(NextAttempt { reason, avoid_endpoint, backs_off: may_be_seen })
    }

    /// The request for the next attempt.
    pub(super) fn request(&self) -> Option<Box<Request<Body>>> {
        let head = self.replay_head.as_ref()?;
        let body = match &self.body {
            Some(kept) => kept.attempt(),
            None => Body::empty().with_interims(self.interims.clone()),
        };
        Some(Box::new(copy(head, body)))
    }

    /// A copy of the request for a mirror; `None` where its body was not kept whole.
    pub(super) fn mirrored(&self) -> Option<Request<Body>> {
        // A proof is valid once, and is the addressed service's to use.
        let head = self.replay_head.as_ref().filter(|head| !head.headers().contains_key("dpop"))?;
        let body = match &self.body {
            Some(kept) => Body::from_bytes(kept.whole()?),
            None => Body::empty(),
        };
        Some(copy(head, body))
    }

    fn failed(&self, answered: &Result<Response<Body>, RequestError>) -> Option<FailedAttempt> {
        unanswered(answered).or_else(|| self.listed(answered))
    }

    /// What the route says is worth another attempt: a status that it lists, or no answer within the time of one attempt.
    fn listed(&self, answered: &Result<Response<Body>, RequestError>) -> Option<FailedAttempt> {
        let rules = self.rules?;
        match answered {
            Ok(response) if rules.retries_on(response.status().as_u16()) => Some(FailedAttempt {
                reason: LISTED_STATUS,
                delivery: DeliveryState::Answered,
                avoid_endpoint: false,
            }),
            Err(error @ RequestError::Timeout { who: OtherEnd::Upstream }) => Some(FailedAttempt {
                reason: error.reason(),
                delivery: DeliveryState::PossiblyDelivered,
                avoid_endpoint: false,
            }),
            _ => None,
        }
    }
}

/// Whether the peer's proxy reports that the app could not be reached.
pub(super) fn is_app_unreachable(response: &Response<Body>) -> bool {
    response.headers().get(REASON_HEADER).is_some_and(|reason| reason == APP_UNREACHABLE)
}

/// Why the app has not answered, if it has not, and what it may have seen. A peer that announced the end of its
/// connection may still be there under a new one, and be the only endpoint; one without an app cannot be used.
fn unanswered(answered: &Result<Response<Body>, RequestError>) -> Option<FailedAttempt> {
    let failed_with =
        |reason, delivery, avoid_endpoint| Some(FailedAttempt { reason, delivery, avoid_endpoint });
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
mod tests {
    #![allow(clippy::panic)]
    use http::{HeaderValue, Method};

    use super::*;

    fn peer(reason: &'static str) -> Result<Response<Body>, RequestError> {
        let mut response = Response::new(Body::empty());
        response.headers_mut().insert(REASON_HEADER, HeaderValue::from_static(reason));
        Ok(response)
    }

    fn broken(unprocessed: bool) -> Result<Response<Body>, RequestError> {
        let cause = "GOAWAY".into();
        Err(RequestError::Broken { who: OtherEnd::Upstream, cause, unprocessed })
    }

    fn attempts(method: Method, body: Body) -> Attempts<'static> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        Attempts::begin(&mut request, None)
    }

    #[test]
    fn a_proof_that_may_have_been_seen_is_not_shown_twice() {
        let mut request = Request::new(Body::empty());
        request.headers_mut().insert("dpop", HeaderValue::from_static("e30.e30.c2ln"));
        let mut tries = Attempts::begin(&mut request, None);
        assert_eq!(tries.next_attempt(&peer(APP_RESET)), None);
        assert_eq!(tries.next_attempt(&peer(APP_UNREACHABLE)), None);
        assert!(tries.next_attempt(&broken(true)).is_some(), "it never arrived");
    }

    #[test]
    fn a_request_is_sent_again_only_where_that_can_do_no_harm() {
        let timeout = || Err(RequestError::Timeout { who: OtherEnd::Upstream });
        type Answered = Result<Response<Body>, RequestError>;
        // GET, POST without a body, POST with one: whether each may avoid the endpoint on the next attempt.
        let rows: [(&str, Answered, [Option<bool>; 3]); 7] = [
            ("the app never saw it", peer(APP_UNREACHABLE), [Some(true), Some(true), Some(true)]),
            ("the app broke off", peer(APP_RESET), [Some(false), None, None]),
            ("never taken by the peer", broken(true), [Some(false), Some(false), Some(false)]),
            ("the hop broke", broken(false), [Some(false), None, None]),
            ("no answer in time", timeout(), [None; 3]),
            ("refused by policy", peer("no_matching_allow"), [None; 3]),
            ("an answer", Ok(Response::new(Body::empty())), [None; 3]),
        ];
        for (name, answered, expect) in rows {
            let found = [
                attempts(Method::GET, Body::empty()),
                attempts(Method::POST, Body::empty()),
                attempts(Method::POST, Body::from_bytes("an order")),
            ]
            .map(|mut tries| tries.next_attempt(&answered).map(|again| again.avoid_endpoint));
            assert_eq!(found, expect, "{name}");
        }
    }

    #[test]
    fn attempts_have_an_end() {
        let mut get = attempts(Method::GET, Body::empty());
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
        let Some(again) = Attempts::begin(&mut request, None).request() else { panic!("no copy") };
        assert_eq!((again.method(), again.uri()), (request.method(), request.uri()));
        assert_eq!(again.headers(), request.headers());
    }
}
