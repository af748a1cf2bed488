//! FindCoordinator (10): which broker keeps a group or a transactional id, that is one of the client's.

use message_access::SessionEnd;

use super::nodes::{address, rewrite, set_number, set_text};
use super::{Api, error};
use crate::answer::Said;
use crate::context::Context;
use crate::edit::Edit;
use crate::pending::Answer;
use crate::record::Record;
use crate::request::{Judged, Request};
use crate::schema::{Field, array, int8, int16, int32, nullable_text, text, values};
use crate::sift::sift;
use crate::wire;

pub(super) static API: Api = Api {
    key: 10,
    name: "FindCoordinator",
    versions: 0..=5,
    flexible: 3,
    request: REQUEST,
    response: RESPONSE,
    judge,
};

const REQUEST: &[Field] = &[
    text("key").until(3),
    int8("key_type").since(1),
    values("coordinator_keys", &[text("key")]).since(4),
];

const RESPONSE: &[Field] = &[
    int32("throttle_time_ms").since(1),
    int16("error_code").until(3),
    nullable_text("error_message").since(1).until(3),
    int32("node_id").or(-1).until(3),
    text("host").until(3),
    int32("port").or(-1).until(3),
    array(
        "coordinators",
        &[
            text("key"),
            int32("node_id").or(-1),
            text("host"),
            int32("port").or(-1),
            int16("error_code"),
            nullable_text("error_message"),
        ],
    )
    .since(4),
];

fn judge(request: &Request<'_>, context: &mut Context<'_>) -> Judged {
    let kind = request.body.number("key_type")?;
    if request.form().version < 4 {
        let code = refusal(kind, request.body.text("key")?, context)?;
        return Ok(match code {
            Some(code) => request.reply(&vec![("error_code", code.into())]),
            None => request.forward_for(answer(0, Vec::new())),
        });
    }
    let mut codes = Vec::new();
    let keys = sift(request, "coordinator_keys", |key| {
        let code = refusal(kind, key.text("key")?, context)?;
        codes.extend(code);
        Ok(code.is_none())
    })?;
    let refused =
        keys.denied.iter().zip(codes).map(|(key, code)| -> Result<Said<'_>, SessionEnd> {
            Ok(vec![("key", key.text("key")?.into()), ("error_code", code.into())])
        });
    let refused = refused.collect::<Result<Vec<_>, _>>()?;
    if keys.allowed == 0 && !refused.is_empty() {
        return Ok(request.reply(&vec![("coordinators", refused.into())]));
    }
    let count = refused.len();
    let items = request.items("coordinators", &refused);
    request.forward_edited(&keys.cut, answer(count, items))
}

/// The error by which the client is refused, where it is.
fn refusal(kind: i64, key: &str, context: &mut Context<'_>) -> Result<Option<i64>, SessionEnd> {
    let (is_allowed, code) = match kind {
        0 => (context.may_group(key)?, error::GROUP_AUTHORIZATION_FAILED),
        1 => (context.may_transactional_id(key)?, error::TRANSACTIONAL_ID_AUTHORIZATION_FAILED),
        _ => (false, error::INVALID_REQUEST),
    };
    Ok((!is_allowed).then_some(code))
}

/// The broker's answer with those that were refused, and with the addresses of the client's side.
fn answer(refused_count: usize, refused: Vec<u8>) -> Answer {
    Answer::Rewritten(Box::new(move |body, context| {
        if body.form().version < 4 {
            return relocate(body, context);
        }
        let coordinators = body.items("coordinators")?;
        let mut with = wire::count(coordinators.total() + refused_count, body.form().flexible);
        with.extend_from_slice(&refused);
        let mut edits = vec![Edit::replace(coordinators.count_span(), with)];
        for coordinator in coordinators {
            edits.extend(relocate(&coordinator?, context)?);
        }
        Ok(edits)
    }))
}

/// The address of a coordinator, as it is advertised; one that is not cannot be reached.
fn relocate(coordinator: &Record<'_>, context: &Context<'_>) -> Result<Vec<Edit>, SessionEnd> {
    if context.advertised.is_empty() || coordinator.number("node_id")? < 0 {
        return Ok(Vec::new());
    }
    if let Some(address) = address(coordinator, "node_id", context.advertised)? {
        return Ok(rewrite(coordinator, *address)?);
    }
    let mut edits: Vec<Edit> = [
        set_number(coordinator, "error_code", error::COORDINATOR_NOT_AVAILABLE, 2)?,
        set_number(coordinator, "node_id", -1, 4)?,
        set_text(coordinator, "host", "")?,
        set_number(coordinator, "port", -1, 4)?,
    ]
    .into_iter()
    .flatten()
    .collect();
    edits.sort_by_key(|edit| edit.at.start);
    Ok(edits)
}
