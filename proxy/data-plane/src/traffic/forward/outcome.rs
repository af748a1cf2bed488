//! What an answer, or its absence, says of the endpoint that gave it. Pure.

use std::time::Duration;

use balancer::{Observation, Outcome};
use http::Response;
use http::header::{HeaderMap, RETRY_AFTER};

use super::retry::is_app_unreachable;
use crate::http::body::Body;
use crate::http::error::{APP_RESET, RequestError};
use crate::http::headers::REASON_HEADER;

/// What the balancer learns; `None` where the result says nothing of the endpoint.
pub(super) fn observed(
    answered: &Result<Response<Body>, RequestError>,
    latency: Duration,
) -> Option<Observation> {
    match answered {
        Ok(response) => Some(of_answer(response, latency)),
        Err(error) => of_error(error).map(|outcome| Observation::new(outcome, latency)),
    }
}

fn of_answer(response: &Response<Body>, latency: Duration) -> Observation {
    if is_app_unreachable(response) {
        return Observation::new(Outcome::Unreachable, latency);
    }
    let headers = response.headers();
    if let Some(reason) = headers.get(REASON_HEADER) {
        // A refusal of the peer's proxy says nothing of its app; a reset does.
        let outcome = if reason == APP_RESET { Outcome::GatewayError } else { Outcome::Success };
        return Observation::new(outcome, latency);
    }
    let retry_after = retry_after(headers);
    match headers.get("grpc-status").map(|status| status.to_str().unwrap_or_default().parse()) {
        Some(status) => {
            Observation::of_grpc_status(status.unwrap_or(u32::MAX), latency, retry_after)
        }
        None => Observation::of_status(response.status().as_u16(), latency, retry_after),
    }
}

/// Seconds; a date would need a clock that is the server's (RFC 9110 §10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    text.parse().ok().map(Duration::from_secs)
}

fn of_error(error: &RequestError) -> Option<Outcome> {
    match error {
        RequestError::Connect { .. } | RequestError::Handshake { .. } => Some(Outcome::Unreachable),
        // Announced: its connection ends in order.
        RequestError::Broken { unprocessed: true, .. } => None,
        RequestError::Broken { .. } | RequestError::Timeout { .. } => Some(Outcome::GatewayError),
        RequestError::BadResponse { .. } | RequestError::ResponseTooLarge { .. } => {
            Some(Outcome::GatewayError)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use http::{HeaderName, HeaderValue, StatusCode};

    use super::*;
    use crate::http::error::{APP_UNREACHABLE, OtherEnd};

    const LATENCY: Duration = Duration::from_millis(3);

    fn answer(
        status: u16,
        fields: &[(&'static str, &'static str)],
    ) -> Result<Response<Body>, RequestError> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        for (name, value) in fields {
            let name = HeaderName::from_static(name);
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        Ok(response)
    }

    fn broken(unprocessed: bool) -> Result<Response<Body>, RequestError> {
        Err(RequestError::Broken { who: OtherEnd::Upstream, cause: "reset".into(), unprocessed })
    }

    #[test]
    fn results_say_something_of_the_endpoint_or_nothing() {
        let reason = "x-postern-reason";
        let rows = [
            ("an answer", answer(200, &[]), Some(Outcome::Success)),
            ("the app's own error", answer(500, &[]), Some(Outcome::ServerError)),
            ("no gateway", answer(503, &[]), Some(Outcome::GatewayError)),
            ("too many", answer(429, &[("retry-after", "7")]), Some(Outcome::Overloaded)),
            (
                "gRPC: unavailable",
                answer(200, &[("grpc-status", "14")]),
                Some(Outcome::GatewayError),
            ),
            ("gRPC: not found", answer(200, &[("grpc-status", "5")]), Some(Outcome::Success)),
            ("gRPC: no number", answer(200, &[("grpc-status", "x")]), Some(Outcome::Success)),
            ("no app", answer(503, &[(reason, APP_UNREACHABLE)]), Some(Outcome::Unreachable)),
            ("the app broke off", answer(502, &[(reason, APP_RESET)]), Some(Outcome::GatewayError)),
            ("refused by policy", answer(403, &[(reason, "default_deny")]), Some(Outcome::Success)),
            (
                "a rate limit of the peer's",
                answer(503, &[(reason, "overloaded")]),
                Some(Outcome::Success),
            ),
            ("the end was announced", broken(true), None),
            ("a reset", broken(false), Some(Outcome::GatewayError)),
            ("our own certificate", Err(RequestError::NoCertificate), None),
        ];
        for (name, answered, expect) in rows {
            let found = observed(&answered, LATENCY).map(|observation| observation.outcome);
            assert_eq!(found, expect, "{name}");
        }
    }

    #[test]
    fn retry_after_is_seconds() {
        for (text, expect) in
            [("7", Some(7)), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("-1", None)]
        {
            let answered = answer(503, &[("retry-after", text)]);
            let found = observed(&answered, LATENCY).unwrap().retry_after;
            assert_eq!(found, expect.map(Duration::from_secs), "{text}");
        }
    }
}
