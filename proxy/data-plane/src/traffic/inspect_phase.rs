//! The phase of an exchange that looks into requests: what of a body is read for it, and how.

pub(crate) mod place;

use http::header::EXPECT;
use http::{HeaderMap, StatusCode};
use http_body::Body as _;
use tokio::time::Instant;

use crate::http::body::{Body, BodyBeginning, BodyFailure};
use crate::http::gate::HeadLimits;
use crate::limits::Limits;
use crate::traffic::api_schema;
use crate::traffic::exchange::{Exchange, Phase};
use crate::traffic::held_memory::HeldMemory;
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
pub(crate) enum ReadFailure {
    /// As many bytes of others are held as `limits.inspectionMemory` takes. The body is as it was.
    Full,
    /// It failed.
    Body(BodyFailure),
}

/// What is read first: a client that announces much and sends little takes no more of what all may hold.
const FIRST_BYTES: usize = 4 << 10;

/// Reads the first `most` bytes of the request's body, which is forwarded as a whole afterwards, as far as
/// `limits.inspectionMemory` has room for them. A client that waits to be told to go on (RFC 9110 §10.1.1) is told by us: the
/// app could not be asked before.
///
/// # Errors
/// [`ReadFailure`]
pub(crate) async fn read_body_within(
    state: &ProxyState,
    exchange: &mut Exchange<'_>,
    most: usize,
) -> Result<BodyBeginning, ReadFailure> {
    read_request(state, exchange, most, LateBody::Fails).await
}

/// As [`read_body_within`], but a body that is late goes on: what has come when `limits.inspectionBodyTimeout` is over is told,
/// as incomplete, and is less than was asked for.
///
/// # Errors
/// [`ReadFailure`]
pub(crate) async fn read_what_comes(
    state: &ProxyState,
    exchange: &mut Exchange<'_>,
    most: usize,
) -> Result<BodyBeginning, ReadFailure> {
    read_request(state, exchange, most, LateBody::GoesOn).await
}

/// What becomes of a body that has not come in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LateBody {
    /// It fails, because nobody may have it unread.
    Fails,
    /// It is passed on.
    GoesOn,
}

async fn read_request(
    state: &ProxyState,
    exchange: &mut Exchange<'_>,
    most: usize,
    late: LateBody,
) -> Result<BodyBeginning, ReadFailure> {
    // A worker has few fast places for loaded snapshots.
    exchange.snapshot.take();
    let mut held = state.threats.memory.hold();
    if !held.grow_to(FIRST_BYTES.min(most)) {
        return Err(ReadFailure::Full);
    }
    tell_to_go_on(&state.settings.limits, exchange);
    read_held(state, exchange.body, most, (held, late)).await
}

/// As [`read_body_within`], of an answer's body; `late` says what becomes of one that is.
///
/// # Errors
/// [`ReadFailure`]
pub(crate) async fn read_answer_within(
    state: &ProxyState,
    body: &mut Body,
    most: usize,
    late: LateBody,
) -> Result<BodyBeginning, ReadFailure> {
    let held = state.threats.memory.hold();
    read_held(state, body, most, (held, late)).await
}

async fn read_held(
    state: &ProxyState,
    body: &mut Body,
    most: usize,
    (mut held, late): (HeldMemory, LateBody),
) -> Result<BodyBeginning, ReadFailure> {
    let deadline = Instant::now() + state.settings.limits.inspection_body_timeout;
    let mut step = FIRST_BYTES.min(most);
    loop {
        if !held.grow_to(step) {
            return Err(ReadFailure::Full);
        }
        let read = match late {
            LateBody::Fails => body.read_beginning(step, deadline).await,
            LateBody::GoesOn => body.read_what_comes(step, deadline).await,
        };
        let read = read.map_err(ReadFailure::Body)?;
        let is_late = !read.complete && read.bytes.len() < step;
        if read.complete || is_late || step >= most {
            held.shrink_to(read.bytes.len());
            let whole = std::mem::replace(body, Body::empty());
            *body = whole.with_guard(Box::new(held));
            return Ok(read);
        }
        step = step.saturating_mul(2).min(most);
    }
}

/// True when a body is known to have more than `most` bytes.
pub(crate) fn exceeds(body: &Body, most: usize) -> bool {
    body.size_hint().lower() > u64::try_from(most).unwrap_or(u64::MAX)
}

fn tell_to_go_on(limits: &Limits, exchange: &mut Exchange<'_>) {
    if exchange.parts.headers.remove(EXPECT).is_some() {
        let interims = exchange.body.interims();
        interims.pass(StatusCode::CONTINUE, HeaderMap::new(), HeadLimits::of(limits));
    }
}
