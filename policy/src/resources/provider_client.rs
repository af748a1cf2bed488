//! Who a policy is at a provider, `clientId`, and what proves it, `clientSecretRef`: the same for every kind that asks one.

use std::sync::Arc;

use super::object::dns_subdomain;
use crate::gateway::ObjectName;
use crate::yaml::{DiagnosticCode, YamlReader, YamlValue};

/// The longest client id, in bytes.
const MAX_CLIENT_ID: usize = 256;

/// `clientId`: at most 256 bytes.
pub(super) fn id(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<Arc<str>> {
    reader.parsed(value, "the name of a client", client_id)
}

/// A Secret of the own namespace.
pub(super) fn secret_ref(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    namespace: &Arc<str>,
) -> Option<ObjectName> {
    let mut map = reader.mapping(value)?;
    let name = map.require(reader, "name");
    let name = name.and_then(|v| reader.parsed(v, "a Secret's name", dns_subdomain));
    if let Some(other) = map.take_unsupported("namespace") {
        let (found, expected) = ("`namespace` of a Secret", "a Secret of the own namespace");
        let fix = Some("put the Secret beside the object".to_owned());
        let code = DiagnosticCode::Reach;
        reader.report_with_code(code, other.node.mark, found, expected, fix);
    }
    map.finish(reader);
    Some(ObjectName::new(Arc::clone(namespace), name?))
}

/// What RFC 6749 appendix A.1 allows, except blanks: at an end nobody sees them, and no provider gives such names.
fn client_id(text: &str) -> Result<Arc<str>, &'static str> {
    match text.len() <= MAX_CLIENT_ID && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(text.into()),
        false => Err("visible ASCII characters without blanks, at most 256"),
    }
}
