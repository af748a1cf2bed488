//! Header modifiers: which fields a route may set, add and remove.

use std::sync::Arc;

use super::matches::field_name;
use super::repeated;
use crate::header_names::{OF_ONE_HOP, advice_on_removed_header, folded};
use crate::route::FieldChanges;
use crate::yaml::{DiagnosticCode, YamlMapping, YamlReader, YamlValue};

/// The most fields of each list, as the standard has it.
const MAX_FIELDS: usize = 16;
/// The longest value, in bytes, as the standard has it.
const MAX_VALUE: usize = 4096;

/// Fields that say how a message is framed or whom it is for; changing them changes what the message is.
const FRAMING: [&str; 4] = ["host", "content-length", "upgrade", "trailer"];

/// Reads a RequestHeaderModifier or ResponseHeaderModifier.
pub(super) fn read(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<FieldChanges> {
    let mut map = reader.mapping(value)?;
    let set = read_fields(reader, &mut map, "set");
    let add = read_fields(reader, &mut map, "add");
    let remove = map.take("remove").map_or(Some(Vec::new()), |v| read_names(reader, v));
    let says_nothing = map.is_empty();
    map.finish(reader);
    let changes = FieldChanges { set: set?, add: add?, remove: remove? };
    if says_nothing {
        let (found, expected) = ("a modifier that changes nothing", "`set`, `add` or `remove`");
        reader.report_with_code(DiagnosticCode::NoEffect, value.node.mark, found, expected, None);
        return None;
    }
    once(reader, value, &changes)?;
    Some(changes)
}

fn read_fields(
    reader: &mut YamlReader,
    map: &mut YamlMapping<'_>,
    key: &'static str,
) -> Option<Vec<(Arc<str>, Arc<str>)>> {
    let Some(value) = map.take(key) else { return Some(Vec::new()) };
    let items = reader.filled_list(value, MAX_FIELDS)?;
    let read = |item| {
        let mut map = reader.mapping(item)?;
        let name = map.require(reader, "name").and_then(|v| read_name(reader, v));
        let value = map.require(reader, "value");
        let value = value.and_then(|v| reader.parsed(v, "a value of a field", field_value));
        map.finish(reader);
        name.zip(value)
    };
    let fields: Vec<_> = items.into_iter().map(read).collect();
    fields.into_iter().collect()
}

fn read_names(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<Vec<Arc<str>>> {
    let items = reader.filled_list(value, MAX_FIELDS)?;
    let names: Vec<_> = items.into_iter().map(|item| read_name(reader, item)).collect();
    names.into_iter().collect()
}

fn read_name(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<Arc<str>> {
    reader.parsed(value, "the name of a field that a route may change", |text| {
        let name = field_name(text)?;
        match why_not_changed(&name) {
            Some(why) => Err(why),
            None => Ok(name),
        }
    })
}

fn why_not_changed(name: &str) -> Option<&'static str> {
    let folded = &*folded(name);
    if folded == "host" {
        return Some("the host is rewritten by URLRewrite");
    }
    if FRAMING.contains(&folded) || OF_ONE_HOP.contains(&folded) {
        return Some("it says how a message is framed, which the proxy alone does");
    }
    advice_on_removed_header(name)
        .map(|_| "such fields are the proxy's own: only proxies say who called")
}

/// Words of printable ASCII with a blank or tab between them.
fn field_value(text: &str) -> Result<Arc<str>, &'static str> {
    let inner = |b: u8| b.is_ascii_graphic() || b == b' ' || b == b'\t';
    let trimmed = text.trim_matches([' ', '\t']);
    match text.len() <= MAX_VALUE && trimmed == text && text.bytes().all(inner) {
        true => Ok(text.into()),
        false => {
            Err("values are printable ASCII, at most 4096 characters, without blanks at an end")
        }
    }
}

/// One action for each name, as the standard has it.
fn once(reader: &mut YamlReader, value: YamlValue<'_>, changes: &FieldChanges) -> Option<()> {
    let named = changes.set.iter().chain(&changes.add).map(|(name, _)| name);
    let names: Vec<_> = named.chain(&changes.remove).collect();
    let Some(name) = repeated(&names) else { return Some(()) };
    let found = format!("the field {name} again in one modifier");
    let (code, mark) = (DiagnosticCode::Repeated, value.node.mark);
    reader.report_with_code(code, mark, found, "each field once, in one of the lists", None);
    None
}
