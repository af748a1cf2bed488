//! Field names that an app may take for others (S-15): `x_user` for `x-user`.
//!
//! What was judged, taken away or set under one name must not reach the app under another. Where
//! nothing could be confused, an underscore is a letter like any other, and many apps have it.

use http::header::HeaderMap;
use policy::header_names::{folded, is_plain};

use super::fields::FieldSummary;
use super::{GateRefusal, GateSettings};
use crate::http::headers;

/// What becomes of a field with an underscore in its name, where nothing else speaks against it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UnderscorePolicy {
    /// It is passed on.
    #[default]
    Allow,
    /// It is taken out, which is counted.
    Drop,
    /// The request is refused.
    Refuse,
}

/// Refuses what an app could take for a field that a rule or the mesh itself names. Gives back how
/// many fields were dropped.
pub(super) fn check(
    headers: &mut HeaderMap,
    fields: &FieldSummary,
    settings: &GateSettings<'_>,
) -> Result<u32, GateRefusal> {
    let odd_rules = settings.named.is_some_and(|named| !named.are_plain());
    if !fields.signs && !odd_rules {
        return Ok(0);
    }
    if headers.keys().any(|name| may_be_confused(name.as_str(), settings)) {
        return Err(GateRefusal::UNDERSCORE);
    }
    match settings.underscores {
        UnderscorePolicy::Allow => Ok(0),
        UnderscorePolicy::Drop => Ok(drop_underscores(headers)),
        UnderscorePolicy::Refuse if headers.keys().any(|name| name.as_str().contains('_')) => {
            Err(GateRefusal::UNDERSCORE)
        }
        UnderscorePolicy::Refuse => Ok(0),
    }
}

fn may_be_confused(name: &str, settings: &GateSettings<'_>) -> bool {
    let for_ours = !is_plain(name) && headers::is_of_the_mesh(&folded(name));
    for_ours || settings.named.is_some_and(|named| named.have_another_spelling_of(name))
}

fn drop_underscores(headers: &mut HeaderMap) -> u32 {
    let before = headers.len();
    let names: Vec<_> =
        headers.keys().filter(|name| name.as_str().contains('_')).cloned().collect();
    for name in names {
        headers.remove(name);
    }
    u32::try_from(before - headers.len()).unwrap_or(u32::MAX)
}
