//! `tls.frontend`: which clients must show a certificate.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::references;
use crate::gateway::{ClientValidation, ClientValidationMode, FrontendTls};
use crate::yaml::{DiagnosticCode, YamlReader, YamlValue};

/// The most ports with settings of their own, as the standard has it.
const MAX_PORTS: usize = 64;
/// The most references to authorities, as the standard has it.
const MAX_AUTHORITIES: usize = 16;

const MODES: &[(&str, ClientValidationMode)] = &[
    ("AllowValidOnly", ClientValidationMode::AllowValidOnly),
    ("AllowInsecureFallback", ClientValidationMode::AllowInsecureFallback),
];

/// Reads it.
pub(super) fn read(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    namespace: &Arc<str>,
) -> Option<FrontendTls> {
    let mut map = reader.mapping(value)?;
    let default = map.require(reader, "default").and_then(|v| read_config(reader, v, namespace));
    let ports =
        map.take("perPort").map_or(Some(BTreeMap::new()), |v| read_ports(reader, v, namespace));
    map.finish(reader);
    Some(FrontendTls { default: default?, ports: ports? })
}

fn read_ports(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    namespace: &Arc<str>,
) -> Option<BTreeMap<u16, Option<ClientValidation>>> {
    let mut ports = BTreeMap::new();
    let mut all_read = true;
    for item in reader.filled_list(value, MAX_PORTS)? {
        let mut map = reader.mapping(item)?;
        let port = map.require(reader, "port").and_then(|v| reader.port(v));
        let config = map.require(reader, "tls").and_then(|v| read_config(reader, v, namespace));
        map.finish(reader);
        let Some((port, config)) = port.zip(config) else {
            all_read = false;
            continue;
        };
        if ports.insert(port, config).is_some() {
            let found = format!("port {port} again");
            let code = DiagnosticCode::Repeated;
            reader.report_with_code(code, item.node.mark, found, "each port once", None);
            all_read = false;
        }
    }
    all_read.then_some(ports)
}

/// A `TLSConfig`; the inner `None` where it asks nothing of clients.
fn read_config(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    namespace: &Arc<str>,
) -> Option<Option<ClientValidation>> {
    let mut map = reader.mapping(value)?;
    let validation = map.take("validation");
    map.finish(reader);
    validation.map_or(Some(None), |v| read_validation(reader, v, namespace).map(Some))
}

fn read_validation(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    namespace: &Arc<str>,
) -> Option<ClientValidation> {
    let mut map = reader.mapping(value)?;
    let refs = map.require(reader, "caCertificateRefs");
    let refs = refs.and_then(|v| reader.filled_list(v, MAX_AUTHORITIES)).unwrap_or_default();
    let authorities: Vec<_> =
        refs.into_iter().map(|item| references::read_object(reader, item, namespace)).collect();
    let mode =
        map.take("mode").map_or(Some(ClientValidationMode::default()), |v| reader.choice(v, MODES));
    map.finish(reader);
    let authorities: Vec<_> = authorities.into_iter().collect::<Option<_>>()?;
    (!authorities.is_empty()).then_some(ClientValidation { authorities, mode: mode? })
}
