//! The hosts that rules are about.

use std::sync::Arc;

use crate::resources::service_entry::rules;
use crate::service::CLUSTER_SUFFIX;
use crate::yaml::{YamlReader, YamlValue};

/// Reads `host`: a Service of the rule's namespace by its short name, as Istio takes it; or a whole name; or `*` and
/// `*.example.com` for every host that ends so.
pub(super) fn read(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    namespace: &str,
) -> Option<Arc<str>> {
    reader.parsed(value, "a host name without port", |text| canonical(text, namespace))
}

fn canonical(text: &str, namespace: &str) -> Result<Arc<str>, String> {
    if text == "*" {
        return Ok(text.into());
    }
    if let Some(name) = text.strip_prefix("*.") {
        return Ok(format!("*.{}", rules::host(name)?).into());
    }
    let host = rules::host(text)?;
    if !host.contains('.') {
        return Ok(format!("{host}.{namespace}{CLUSTER_SUFFIX}").into());
    }
    match host.ends_with(".svc") {
        true => Ok(format!("{host}.cluster.local").into()),
        false => Ok(host),
    }
}

/// Whether a rule's host can be that of a Service of the cluster, which is always in the mesh.
pub(super) fn reaches_cluster(host: &str) -> bool {
    match host.strip_prefix('*') {
        Some(suffix) => suffix.ends_with(CLUSTER_SUFFIX) || CLUSTER_SUFFIX.ends_with(suffix),
        None => host.ends_with(CLUSTER_SUFFIX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for (text, expect) in [
            ("cart", Some(("cart.shop.svc.cluster.local", true))),
            ("cart.web.svc", Some(("cart.web.svc.cluster.local", true))),
            ("cart.web.svc.cluster.local", Some(("cart.web.svc.cluster.local", true))),
            ("API.example.com", Some(("api.example.com", false))),
            ("*.example.com", Some(("*.example.com", false))),
            ("*", Some(("*", true))),
            ("*.local", Some(("*.local", true))),
            ("*.shop.svc.cluster.local", Some(("*.shop.svc.cluster.local", true))),
            ("api.example.com:443", None),
            ("a*.example.com", None),
            ("*.*.com", None),
        ] {
            let host = canonical(text, "shop").ok();
            let found = host.as_deref().map(|host| (host, reaches_cluster(host)));
            assert_eq!(found, expect, "{text}");
        }
    }
}
