//! The phase of an exchange that looks into requests: what of a body is read for it, and how.

pub(crate) mod place;

use http::header::EXPECT;
use http::{HeaderMap, StatusCode};
use http_body::Body as _;
use tokio::time::Instant;

use crate::http::body::{Body, BodyBeginning, BodyFailure};
use crate::http::error::RequestError;
use crate::http::gate::HeadLimits;
use crate::limits::Limits;
use crate::traffic::api_schema;
use crate::traffic::exchange::{Exchange, Phase};
use crate::traffic::state::ProxyState;
use crate::traffic::threats;
pub(crate) use place::InspectedPlace;

/// Looks into a request, the cheapest look first.
pub(crate) async fn inspect(
    state: &ProxyState,
    exchange: &mut Exchange<'_>,
    place: InspectedPlace<'_>,
) -> Phase<()> {
    if let Some(api) = api_schema::about(state, place) {
        // Boxed, because it is large, and most requests have none.
        Box::pin(api_schema::inspect(state, exchange, api)).await?;
    }
    threats::inspect(state, exchange, place).await
}

/// Why the beginning of a body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadFailure {
    /// As many bytes of others are held as `limits.inspectionMemory` takes. The body is as it was.
    Full,
    /// It failed.
    Body(BodyFailure),
}

/// What is read first: a client that announces much and sends little takes no more of what all may hold.
const FIRST_BYTES: usize = 4 << 10;

/// As [`read_body`], as far as `limits.inspectionMemory` has room for it.
///
/// # Errors
/// [`ReadFailure`]
pub(crate) async fn read_body_within(
    state: &ProxyState,
    exchange: &mut Exchange<'_>,
    most: usize,
) -> Result<BodyBeginning, ReadFailure> {
    let limits = &state.settings.limits;
    exchange.snapshot.take();
    let deadline = Instant::now() + limits.inspection_body_timeout;
    let mut held = state.threats.memory.hold();
    let mut step = FIRST_BYTES.min(most);
    loop {
        if !held.grow_to(step) {
            return Err(ReadFailure::Full);
        }
        tell_to_go_on(limits, exchange);
        let read = exchange.body.read_beginning(step, deadline).await.map_err(ReadFailure::Body)?;
        if read.complete || step >= most {
            held.shrink_to(read.bytes.len());
            let body = std::mem::replace(exchange.body, Body::empty());
            *exchange.body = body.with_guard(Box::new(held));
            return Ok(read);
        }
        step = step.saturating_mul(2).min(most);
    }
}

/// True when a body is known to have more than `most` bytes.
pub(crate) fn exceeds(body: &Body, most: usize) -> bool {
    body.size_hint().lower() > u64::try_from(most).unwrap_or(u64::MAX)
}

/// Reads the first `most` bytes of the request's body, which is forwarded as a whole afterwards. A client that waits to
/// be told to go on (RFC 9110 §10.1.1) is told by us: the app could not be asked before.
///
/// # Errors
/// The body broke off, stood still, or took longer than `limits.inspectionBodyTimeout`.
pub async fn read_body(
    limits: &Limits,
    exchange: &mut Exchange<'_>,
    most: usize,
) -> Result<BodyBeginning, RequestError> {
    // A worker has few fast places for loaded snapshots.
    exchange.snapshot.take();
    tell_to_go_on(limits, exchange);
    let deadline = Instant::now() + limits.inspection_body_timeout;
    exchange.body.read_beginning(most, deadline).await.map_err(RequestError::ClientBody)
}

fn tell_to_go_on(limits: &Limits, exchange: &mut Exchange<'_>) {
    if exchange.parts.headers.remove(EXPECT).is_some() {
        let interims = exchange.body.interims();
        interims.pass(StatusCode::CONTINUE, HeaderMap::new(), HeadLimits::of(limits));
    }
}
