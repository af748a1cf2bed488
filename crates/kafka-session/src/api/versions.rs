//! ApiVersions (18): what the broker offers, as far as it is understood here. It needs no permission, a client may leave it
//! out, and no other API believes that it was asked.

use message_access::SessionEnd;

use super::{Api, error, find};
use crate::answer::Said;
use crate::context::Context;
use crate::edit::Edit;
use crate::pending::Answer;
use crate::record::Record;
use crate::request::{Judged, Request};
use crate::schema::{Field, Form, array, int16, int32, text};
use crate::wire::{self, Read, Reader};

pub(super) static API: Api = Api {
    key: 18,
    name: "ApiVersions",
    versions: 0..=4,
    flexible: 3,
    request: REQUEST,
    response: RESPONSE,
    judge,
};

const REQUEST: &[Field] =
    &[text("client_software_name").since(3), text("client_software_version").since(3)];

const RESPONSE: &[Field] = &[
    int16("error_code"),
    array("api_keys", &[int16("api_key"), int16("min_version"), int16("max_version")]),
    int32("throttle_time_ms").since(1),
];

fn judge(request: &Request<'_>, _: &mut Context<'_>) -> Judged {
    Ok(request.forward_for(Answer::Rewritten(Box::new(|body, _| intersect(body)))))
}

/// Leaves out what is not understood here, and narrows the rest to the versions that are.
fn intersect(body: &Record<'_>) -> Result<Vec<Edit>, SessionEnd> {
    let offered = body.items("api_keys")?;
    let count_span = offered.count_span();
    let (mut edits, mut count) = (Vec::new(), 0);
    for api in offered {
        let api = api?;
        match both(&api)? {
            Some((min, max)) => {
                count += 1;
                edits.extend(narrow(&api, "min_version", min)?);
                edits.extend(narrow(&api, "max_version", max)?);
            }
            None => edits.push(Edit::remove(api.span())),
        }
    }
    edits.insert(0, Edit::replace(count_span, wire::count(count, body.form().flexible)));
    Ok(edits)
}

/// The versions that broker and session have in common. A broker that offers Produce from 0 on is believed: old librdkafka
/// takes that as a sign that it may compress, and sends a newer one.
fn both(offered: &Record<'_>) -> Result<Option<(i64, i64)>, SessionEnd> {
    let key = i16::try_from(offered.number("api_key")?).ok();
    let Some(api) = key.and_then(find) else { return Ok(None) };
    let (first, last) = (i64::from(*api.versions.start()), i64::from(*api.versions.end()));
    let (min, max) = (offered.number("min_version")?, offered.number("max_version")?);
    let (common, max) = (min.max(first), max.min(last));
    let min = if api.key == 0 { min } else { common };
    Ok((common <= max).then_some((min, max)))
}

fn narrow(api: &Record<'_>, name: &str, to: i64) -> Result<Option<Edit>, SessionEnd> {
    let (_, place) = api.find(name)?;
    let Some(place) = place.filter(|_| api.number(name) != Ok(to)) else { return Ok(None) };
    let mut writer = wire::Writer::default();
    writer.number(to, 2);
    Ok(Some(Edit::replace(place, writer.into_bytes())))
}

/// A broker that does not know the version answers in the oldest, with an error.
pub(super) fn form_of_answer(api: &Api, form: Form, frame: &[u8], start: usize) -> Read<Form> {
    let is_refusal =
        api.key == API.key && Reader::at(frame, start).number(2)? == error::UNSUPPORTED_VERSION;
    Ok(if is_refusal { api.form(0) } else { form })
}

/// The answer to a version that is not supported.
pub(super) fn unsupported<'a>() -> Said<'a> {
    let own = vec![
        ("api_key", i64::from(API.key).into()),
        ("min_version", i64::from(*API.versions.start()).into()),
        ("max_version", i64::from(*API.versions.end()).into()),
    ];
    vec![("error_code", error::UNSUPPORTED_VERSION.into()), ("api_keys", vec![own].into())]
}
