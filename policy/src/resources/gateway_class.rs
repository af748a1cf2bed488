//! GatewayClass (`gateway.networking.k8s.io`): whose Gateways of a class are.

use std::sync::Arc;

use super::gateway::references;
use super::object::ResourceObject;
use crate::gateway::GatewayClass;
use crate::yaml::YamlReader;

/// The longest controller's name, and the longest description, as the standard has them.
const MAX_CONTROLLER: usize = 253;
const MAX_DESCRIPTION: usize = 64;

/// Reads a GatewayClass. Parameters of a class are read past: that they mean nothing is a status.
pub(super) fn read(reader: &mut YamlReader, object: &ResourceObject<'_>) -> Option<GatewayClass> {
    let Some(spec) = object.spec else {
        reader.report(object.mark, "no `spec`", "a `spec` with `controllerName`", None);
        return None;
    };
    let mut map = reader.mapping(spec)?;
    let controller = map.require(reader, "controllerName");
    let controller =
        controller.and_then(|v| reader.parsed(v, "a controller's name", controller_name));
    let parameters = map.take("parametersRef");
    if let Some(value) = parameters {
        references::read_parameters(reader, value, "");
    }
    if let Some(value) = map.take("description").filter(|value| !value.is_empty_text()) {
        reader.parsed(value, "a description", |text| {
            match text.chars().count() <= MAX_DESCRIPTION {
                true => Ok(()),
                false => Err("at most 64 characters"),
            }
        });
    }
    map.finish(reader);
    Some(GatewayClass {
        name: Arc::clone(&object.name),
        controller: controller?,
        has_parameters: parameters.is_some(),
        created: object.created.map(Into::into),
    })
}

/// A domain, a slash and a path.
fn controller_name(text: &str) -> Result<Arc<str>, &'static str> {
    let parts =
        text.split_once('/').filter(|(domain, path)| !domain.is_empty() && !path.is_empty());
    match parts.filter(|_| text.len() <= MAX_CONTROLLER) {
        Some(_) => Ok(text.into()),
        None => Err("write a domain and a path, such as postern.dev/gateway"),
    }
}
