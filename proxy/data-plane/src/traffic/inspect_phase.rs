//! The phase of an exchange that looks into requests: what of a body is read for it, and how.

use http::header::EXPECT;
use http::{HeaderMap, StatusCode};
use policy::GatewayListener;
use policy::route::RouteRule;
use tokio::time::Instant;

use crate::http::body::BodyBeginning;
use crate::http::error::RequestError;
use crate::http::gate::HeadLimits;
use crate::limits::Limits;
use crate::traffic::api_schema;
use crate::traffic::exchange::{Exchange, Phase};
use crate::traffic::state::ProxyState;

/// Where a request goes, as policies about inspection name it.
#[derive(Clone, Copy)]
pub(crate) enum InspectedPlace<'a> {
    /// To this port of a sidecar's app.
    AppPort(u16),
    /// By this listener of a gateway, taken by this rule.
    Edge(&'a GatewayListener, &'a RouteRule),
}

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
    Ok(())
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
    if exchange.parts.headers.remove(EXPECT).is_some() {
        let interims = exchange.body.interims();
        interims.pass(StatusCode::CONTINUE, HeaderMap::new(), HeadLimits::of(limits));
    }
    let deadline = Instant::now() + limits.inspection_body_timeout;
    exchange.body.read_beginning(most, deadline).await.map_err(RequestError::ClientBody)
}
