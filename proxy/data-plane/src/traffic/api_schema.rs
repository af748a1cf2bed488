//! Requests and answers compared with the description of their API (kind ApiSchema).
//!
//! Which ApiSchema is about a request is told by the `policy` crate, whether it is as described by the crate `api-schema`.
//! Here is what lies between: where the description is (`in_force`), what is read of a request (`request`) and of its answer
//! (`answer`), and what becomes of what does not fit.

mod answer;
mod body;
pub mod in_force;
mod request;

use std::sync::Arc;

use api_schema::{RefusalKind, SchemaRefusal};
use policy::ApiSchemaSettings;
use policy::api_schema::{AnswerCheck, SchemaMode};

use crate::http::error::RequestError;
use crate::http::{ApiRefusal, ApiRefusalKind};
use crate::telemetry::metrics::Metrics;
use crate::traffic::exchange::{Exchange, Phase};
use crate::traffic::inspect_phase::InspectedPlace;
use crate::traffic::record::ApiNote;
use crate::traffic::state::ProxyState;

pub(crate) use answer::DescribedAnswer;
use in_force::DescribedApi;

/// The description that a request is compared with; `None`: none is about it.
pub(crate) fn about(state: &ProxyState, place: InspectedPlace<'_>) -> Option<DescribedApi> {
    state.api_schemas.about(place)
}

/// Compares a request with the description of its API, and prepares its answer to be compared, too.
pub(crate) async fn inspect(
    state: &ProxyState,
    exchange: &mut Exchange<'_>,
    api: DescribedApi,
) -> Phase<()> {
    let mut note = ApiNote::new(&api.settings.policy);
    let found = request::compare(state, exchange, &api, &mut note).await;
    let found = match found {
        Err(request::NotCompared::Body(error)) => return Err(error.into()),
        Err(request::NotCompared::Refused(refusal)) => Err(refusal),
        Ok(is_described) => Ok(is_described),
    };
    let blocks = api.settings.mode == SchemaMode::Block;
    let goes_on = found.is_ok() || !blocks;
    // A fault that is only told of does not exempt the answer.
    if goes_on && note.has_operation() && api.settings.answers != AnswerCheck::Ignore {
        exchange.answer = DescribedAnswer::of(api, exchange);
    }
    match found {
        Ok(is_described) => {
            count(&state.metrics, if is_described { "ok" } else { "not_described" }, "allowed");
            exchange.record.described(note);
            Ok(())
        }
        Err(refusal) => {
            note.found(&refusal, blocks);
            count(&state.metrics, refusal.kind.reason(), action(blocks));
            exchange.record.described(note);
            if blocks { Err(RequestError::Api(Box::new(refusal)).into()) } else { Ok(()) }
        }
    }
}

fn action(blocks: bool) -> &'static str {
    if blocks { "blocked" } else { "detected" }
}

fn count(metrics: &Metrics, result: &'static str, action: &'static str) {
    metrics.api_schema(result, action);
}

/// A refusal of the description, as ours.
fn refusal(settings: &Arc<ApiSchemaSettings>, refused: SchemaRefusal) -> ApiRefusal {
    let kind = match refused.kind {
        RefusalKind::JsonLimits => ApiRefusalKind::JsonLimits,
        RefusalKind::ContentTypeUnexpected => ApiRefusalKind::ContentTypeUnexpected,
        RefusalKind::SchemaMismatch => ApiRefusalKind::SchemaMismatch,
    };
    ApiRefusal {
        place: Some(refused.place.into()),
        keyword: Some(refused.keyword.into()),
        ..ApiRefusal::new(&settings.policy, kind)
    }
}
