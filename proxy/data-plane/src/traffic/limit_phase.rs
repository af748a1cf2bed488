//! The phase of an exchange that limits requests: after authorization, because limits are kept by caller and a refused
//! caller uses up nobody's share. What is counted, and where: [`crate::traffic::rate_limits`].

use crate::http::error::RequestError;
use crate::traffic::exchange::{Exchange, Phase};
use crate::traffic::rate_limits::{LimitCaller, RequestLimits};

/// Applies the limits to an exchange. The answer will say what is left, and holds its place among those under way until
/// it has ended.
pub(crate) fn limit<'s, 'e, 'x>(
    limits: &'s RequestLimits,
    exchange: &'e mut Exchange<'x>,
    caller: &LimitCaller<'_>,
) -> impl Future<Output = Phase<()>> + Send + use<'s, 'e, 'x> {
    let client = exchange.remote_ip.unwrap_or(caller.source);
    let met = limits.met_by(exchange.facts().http(), client, caller);
    async move {
        let Some(met) = met else { return Ok(()) };
        if met.waits() {
            // A worker has few fast places for loaded snapshots.
            exchange.snapshot.take();
        }
        let outcome = met.decide(limits).await;
        exchange.record.limited(outcome.fields, outcome.underway);
        match outcome.refusal {
            None => Ok(()),
            Some(refusal) => Err(RequestError::Limited(refusal).into()),
        }
    }
}
