//! TokenRevocation (`policy.postern.dev/v1alpha1`): tokens that are no longer taken; see `docs/tokens.md`.

use std::sync::Arc;

use super::Resources;
use super::object::ResourceObject;
use super::selector::{self, MatchLabels};
use crate::revocation::{self, MAX_REVOCATIONS, RevokedEntries};
use crate::yaml::{
    DiagnosticCode, SourcePosition, YamlMapping, YamlReader, YamlValue, parse_timestamp,
};
use crate::{Diagnostic, Workload};

/// The longest issuer, subject or `jti`, in bytes.
const MAX_TEXT: usize = 2048;
/// The last moment of the year 9999, in Unix seconds.
const LAST_MOMENT: u64 = 253_402_300_799;

/// A TokenRevocation. All that select a workload hold together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRevocation {
    name: Arc<str>,
    namespace: Arc<str>,
    selector: MatchLabels,
    entries: Arc<RevokedEntries>,
    place: (Arc<str>, SourcePosition),
}

impl TokenRevocation {
    /// `namespace/name`.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What it lists.
    pub fn entries(&self) -> &Arc<RevokedEntries> {
        &self.entries
    }

    /// True when it is about the workload: in its namespace or the root one, and selected.
    pub fn selects(&self, workload: &Workload, root_namespace: &str) -> bool {
        let scope = *self.namespace == *workload.namespace || *self.namespace == *root_namespace;
        scope && self.selector.matches(&workload.labels)
    }
}

pub(super) fn read(
    reader: &mut YamlReader,
    object: &ResourceObject<'_>,
) -> Option<TokenRevocation> {
    let Some(spec) = object.spec else {
        reader.report(object.mark, "no `spec`", "a `spec` with `tokens` or `subjects`", None);
        return None;
    };
    let mut map = reader.mapping(spec)?;
    let selector =
        map.take("selector").map_or(Some(MatchLabels::default()), |v| selector::read(reader, v));
    let entries = read_entries(reader, &mut map);
    map.finish(reader);
    Some(TokenRevocation {
        name: object.full_name().into(),
        namespace: Arc::clone(&object.namespace),
        selector: selector?,
        entries: Arc::new(entries?),
        place: (Arc::clone(reader.file()), object.mark),
    })
}

/// A list may be empty: whoever adds to it and takes from it need not make and remove the object.
fn read_entries(reader: &mut YamlReader, map: &mut YamlMapping<'_>) -> Option<RevokedEntries> {
    let (tokens, subjects) = (map.take("tokens"), map.take("subjects"));
    if tokens.is_none() && subjects.is_none() {
        let fix = "list what is revoked, or take the object out".to_owned();
        let (code, found) = (DiagnosticCode::NoEffect, "a TokenRevocation without a list");
        reader.report_with_code(code, map.mark(), found, "`tokens` or `subjects`", Some(fix));
    }
    let mut read = RevokedEntries::default();
    let tokens = tokens.map_or(Some(Vec::new()), |v| bounded_list(reader, v));
    let subjects = subjects.map_or(Some(Vec::new()), |v| bounded_list(reader, v));
    for item in tokens? {
        read_token(reader, item, &mut read);
    }
    for item in subjects? {
        read_subject(reader, item, &mut read);
    }
    Some(read)
}

fn bounded_list<'n>(reader: &mut YamlReader, value: YamlValue<'n>) -> Option<Vec<YamlValue<'n>>> {
    let items = reader.list(value)?;
    if items.len() > MAX_REVOCATIONS {
        let found = format!("{} items for `{}`", items.len(), value.name);
        reader.report(value.node.mark, found, format!("at most {MAX_REVOCATIONS}"), None);
        return None;
    }
    Some(items)
}

fn read_token(
    reader: &mut YamlReader,
    item: YamlValue<'_>,
    entries: &mut RevokedEntries,
) -> Option<()> {
    let mut map = reader.mapping(item)?;
    let issuer = map.require(reader, "issuer").and_then(|v| bounded(reader, v));
    let id = map.require(reader, "id").and_then(|v| bounded(reader, v));
    // For those who tidy up: once the token has ended by itself, its entry says nothing.
    if let Some(until) = map.take("until") {
        read_moment(reader, until);
    }
    map.finish(reader);
    if !entries.add_token(issuer?, id?) {
        refuse_second(reader, item);
    }
    Some(())
}

fn read_subject(
    reader: &mut YamlReader,
    item: YamlValue<'_>,
    entries: &mut RevokedEntries,
) -> Option<()> {
    let mut map = reader.mapping(item)?;
    let issuer = map.require(reader, "issuer").and_then(|v| bounded(reader, v));
    let subject = map.require(reader, "subject").and_then(|v| bounded(reader, v));
    let before = map.require(reader, "issuedBefore").and_then(|v| read_moment(reader, v));
    map.finish(reader);
    if !entries.add_subject(issuer?, subject?, before?) {
        refuse_second(reader, item);
    }
    Some(())
}

/// Of two entries about one thing, which of them holds would depend on their order.
fn refuse_second(reader: &mut YamlReader, item: YamlValue<'_>) {
    let (code, expected) = (DiagnosticCode::Repeated, "each token and each subject once");
    reader.report_with_code(code, item.node.mark, "the same entry again", expected, None);
}

fn bounded<'n>(reader: &mut YamlReader, value: YamlValue<'n>) -> Option<&'n str> {
    let text = reader.text(value)?;
    if text.len() > MAX_TEXT {
        reader.report_value(value, format_args!("at most {MAX_TEXT} bytes"), None);
        return None;
    }
    Some(text)
}

/// RFC 3339 in UTC, or Unix seconds: programs that write lists have the claim's number at hand.
fn read_moment(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<u64> {
    let text = value.scalar().unwrap_or_default();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return reader.integer(value, 0..=LAST_MOMENT);
    }
    reader.parsed(value, "a moment in UTC", |text| {
        parse_timestamp(text)
            .ok_or("RFC 3339 in UTC, such as \"2027-01-31T00:00:00Z\", or Unix seconds")
    })
}

/// More entries than a proxy keeps: none of them is left out, so the set is refused.
pub(super) fn too_many(resources: &Resources) -> Option<Diagnostic> {
    let count = revocation::count(&resources.token_revocations);
    let last = resources.token_revocations.last().filter(|_| count > MAX_REVOCATIONS)?;
    let found = format!("{count} entries of TokenRevocations in all");
    let fix = "take out tokens that have ended, or revoke a subject in their place".to_owned();
    let (file, mark) = &last.place;
    let expected = format!("at most {MAX_REVOCATIONS}");
    let within: Arc<str> = format!("TokenRevocation {}", last.name).into();
    Some(Diagnostic::new(file, *mark, found, expected, Some(fix)).within(within))
}

#[cfg(test)]
mod tests;
