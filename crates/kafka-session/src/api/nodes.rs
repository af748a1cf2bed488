//! Where brokers say they are reached, in the words of the client's side: addresses of brokers that are not advertised
//! never pass.

use std::collections::HashMap;
use std::net::SocketAddr;

use crate::edit::Edit;
use crate::record::Record;
use crate::wire::{self, Read, Writer};

/// Changes host and port of each broker of an array to what is advertised; brokers that are not are left out.
pub(super) fn rewrite_array(
    body: &Record<'_>,
    array: &str,
    id: &str,
    advertised: &HashMap<i32, SocketAddr>,
) -> Read<Vec<Edit>> {
    if advertised.is_empty() {
        return Ok(Vec::new());
    }
    let nodes = body.items(array)?;
    let count_span = nodes.count_span();
    let (mut edits, mut count) = (Vec::new(), 0);
    for node in nodes {
        let node = node?;
        match address(&node, id, advertised)? {
            Some(address) => {
                count += 1;
                edits.extend(rewrite(&node, *address)?);
            }
            None => edits.push(Edit::remove(node.span())),
        }
    }
    edits.insert(0, Edit::replace(count_span, wire::count(count, body.form().flexible)));
    Ok(edits)
}

/// What is advertised of a broker.
pub(super) fn address<'s>(
    node: &Record<'_>,
    id: &str,
    advertised: &'s HashMap<i32, SocketAddr>,
) -> Read<Option<&'s SocketAddr>> {
    let id = i32::try_from(node.number(id)?).ok();
    Ok(id.and_then(|id| advertised.get(&id)))
}

/// Changes host and port, which stand one after the other.
pub(super) fn rewrite(node: &Record<'_>, address: SocketAddr) -> Read<Vec<Edit>> {
    Ok([
        set_text(node, "host", &address.ip().to_string())?,
        set_number(node, "port", i64::from(address.port()), 4)?,
    ]
    .into_iter()
    .flatten()
    .collect())
}

/// Changes a text.
pub(super) fn set_text(record: &Record<'_>, name: &str, to: &str) -> Read<Option<Edit>> {
    let (_, place) = record.find(name)?;
    Ok(place.map(|place| {
        let mut writer = Writer::default();
        writer.text(Some(to), record.form().flexible);
        Edit::replace(place, writer.into_bytes())
    }))
}

/// Changes a number, where this version has it and it is another.
pub(super) fn set_number(
    record: &Record<'_>,
    name: &str,
    to: i64,
    width: usize,
) -> Read<Option<Edit>> {
    let (_, place) = record.find(name)?;
    let Some(place) = place.filter(|_| record.number(name) != Ok(to)) else { return Ok(None) };
    let mut writer = Writer::default();
    writer.number(to, width);
    Ok(Some(Edit::replace(place, writer.into_bytes())))
}

/// What a client may do is not what the broker says: it answers for the sidecar, or for anybody.
pub(super) fn mask_operations(record: &Record<'_>, name: &str) -> Read<Option<Edit>> {
    set_number(record, name, UNKNOWN_OPERATIONS, 4)
}

/// The value by which a broker says nothing about authorized operations.
pub(super) const UNKNOWN_OPERATIONS: i64 = -2_147_483_648;
