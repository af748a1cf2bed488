//! Faults on purpose: a request waits, or is answered in the service's place, where a FaultInjection says so.

use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use policy::{AbortStatus, Faults};

use crate::http::body::Body;
use crate::http::headers::{REASON_HEADER, is_grpc};
use crate::traffic::exchange::{Exchange, Phase, PhaseEnd};

/// The stable reason.
const FAULT_INJECTED: &str = "fault_injected";

/// What a request is to meet.
pub(super) struct InjectedFault {
    delay: Option<Duration>,
    abort: Option<Response<Body>>,
}

/// The fault that the request is to meet, if it is to meet one.
pub(super) fn decide(exchange: &Exchange<'_>, faults: &Faults) -> Option<InjectedFault> {
    let facts = exchange.facts();
    let fault = faults.decide(&facts, fastrand::u64(..))?;
    tracing::debug!(injection = &**fault.injection, "fault injected");
    let grpc = is_grpc(&exchange.parts.headers);
    let abort = fault.abort.map(|status| answer(status, grpc));
    Some(InjectedFault { delay: fault.delay, abort })
}

impl InjectedFault {
    /// Waits, and ends the exchange where it is to be ended.
    pub(super) async fn meet(self) -> Phase<()> {
        if let Some(delay) = self.delay {
            tokio::time::sleep(delay).await;
        }
        match self.abort {
            None => Ok(()),
            Some(response) => {
                let response = Box::new(response);
                Err(PhaseEnd::Answer { response, reason: FAULT_INJECTED })
            }
        }
    }
}

fn answer(status: AbortStatus, grpc: bool) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let status = match status {
        AbortStatus::Http(code) => StatusCode::from_u16(code).ok(),
        // "Trailers only" (gRPC over HTTP/2).
        AbortStatus::Grpc(code) if grpc => {
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
            headers.insert("grpc-status", HeaderValue::from(u16::from(code)));
            Some(StatusCode::OK)
        }
        AbortStatus::Grpc(_) => None,
    };
    *response.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(REASON_HEADER, HeaderValue::from_static(FAULT_INJECTED));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_what_was_asked_for() {
        let rows = [
            ("HTTP", AbortStatus::Http(503), false, 503, None),
            ("HTTP to gRPC", AbortStatus::Http(503), true, 503, None),
            ("gRPC", AbortStatus::Grpc(14), true, 200, Some("14")),
            ("gRPC to another", AbortStatus::Grpc(14), false, 500, None),
        ];
        for (name, status, grpc, expect, grpc_status) in rows {
            let response = answer(status, grpc);
            assert_eq!(response.status().as_u16(), expect, "{name}");
            let found = response.headers().get("grpc-status").map(HeaderValue::as_bytes);
            assert_eq!(found, grpc_status.map(str::as_bytes), "{name}");
            assert_eq!(response.headers()[REASON_HEADER], FAULT_INJECTED, "{name}");
        }
    }
}
