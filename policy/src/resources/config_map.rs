//! ConfigMap (`v1`): certificates of authorities, in `ca.crt`.

use std::sync::Arc;

use super::object::ResourceObject;
use crate::core_group::ConfigMap;
use crate::yaml::{NodeKind, YamlReader, YamlValue};

/// The longest bundle, in bytes: what a ConfigMap can hold.
const MAX_BUNDLE: usize = 1 << 20;

/// Reads a ConfigMap. Whatever else it holds is of other programs, and read past.
pub(super) fn read(reader: &mut YamlReader, object: &ResourceObject<'_>) -> Option<ConfigMap> {
    let authorities = match object.data.data.filter(|data| !data.node.is_null()) {
        Some(data) => read_bundle(reader, data)?,
        None => None,
    };
    Some(ConfigMap { id: object.id(), authorities })
}

fn read_bundle(reader: &mut YamlReader, data: YamlValue<'_>) -> Option<Option<Arc<str>>> {
    reader.mapping(data)?;
    let Some(bundle) = data.get("ca.crt") else { return Some(None) };
    match &bundle.node.kind {
        NodeKind::Scalar { text, .. } if text.len() <= MAX_BUNDLE => Some(Some((&**text).into())),
        _ => {
            reader.report_value(bundle, "text of at most 1 MiB", None);
            None
        }
    }
}
