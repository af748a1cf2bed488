//! The CORS filter.

use std::sync::Arc;

use super::matches::{METHODS, field_name};
use crate::route::{CorsPolicy, Origin, OriginPattern};
use crate::yaml::{YamlMapping, YamlReader, YamlValue};

/// The most origins, and names of fields, as the standard has it.
const MAX_ITEMS: usize = 64;
/// How long browsers keep a preflight by default, as the standard has it, in seconds.
const DEFAULT_MAX_AGE: u32 = 5;

/// Reads the filter.
pub(super) fn read(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<CorsPolicy> {
    let mut map = reader.mapping(value)?;
    let origins = read_items(reader, &mut map, "allowOrigins", |reader, item| {
        reader.parsed(item, "*, or an origin such as https://*.example.com", origin)
    });
    let credentials = map.take("allowCredentials").map_or(Some(false), |v| reader.boolean(v));
    let methods =
        read_items(reader, &mut map, "allowMethods", |reader, item| match item.is_text("*") {
            true => Some("*".into()),
            false => reader.choice(item, METHODS).map(Arc::from),
        });
    let headers = read_items(reader, &mut map, "allowHeaders", read_name);
    let exposed = read_items(reader, &mut map, "exposeHeaders", read_name);
    let max_age = map.take("maxAge").map_or(Some(u64::from(DEFAULT_MAX_AGE)), |v| {
        reader.integer(v, 1..=u64::from(u32::MAX >> 1))
    });
    map.finish(reader);
    Some(CorsPolicy {
        allow_origins: origins?,
        allow_credentials: credentials?,
        allow_methods: methods?,
        allow_headers: headers?,
        expose_headers: exposed?,
        max_age: u32::try_from(max_age?).ok()?,
    })
}

/// A list in which `*` stands alone or not at all.
fn read_items<T>(
    reader: &mut YamlReader,
    map: &mut YamlMapping<'_>,
    key: &'static str,
    read: impl Fn(&mut YamlReader, YamlValue<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    let Some(value) = map.take(key) else { return Some(Vec::new()) };
    let items = reader.filled_list(value, MAX_ITEMS)?;
    if items.len() > 1 && items.iter().any(|item| item.is_text("*")) {
        let found = format!("* among others in `{key}`");
        reader.report(value.node.mark, found, "* alone, or none", None);
        return None;
    }
    let found: Vec<_> = items.into_iter().map(|item| read(reader, item)).collect();
    found.into_iter().collect()
}

fn read_name(reader: &mut YamlReader, item: YamlValue<'_>) -> Option<Arc<str>> {
    reader.parsed(item, "* or the name of a field", field_name)
}

/// `*`, `https://example.com:8443`, `https://*.example.com` or `https://*`.
fn origin(text: &str) -> Result<OriginPattern, &'static str> {
    const ADVICE: &str =
        "write http:// or https://, a host or *. and a host, and its port if it is another";
    if text == "*" {
        return Ok(OriginPattern::Any);
    }
    let Some((scheme, host)) = text.split_once("://*") else {
        return Origin::parse(text).map(OriginPattern::Host).ok_or(ADVICE);
    };
    // The wildcard is read as a label of its own, and taken off again.
    let below = Origin::parse(&format!("{scheme}://x{host}")).ok_or(ADVICE)?;
    let rest = below.host.strip_prefix('x').unwrap_or_default();
    match rest.is_empty() || rest.starts_with('.') {
        true => Ok(OriginPattern::HostsBelow(Origin { host: rest.into(), ..below.clone() })),
        false => Err(ADVICE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn below(scheme: &str, host: &str, port: u16) -> Option<OriginPattern> {
        Some(OriginPattern::HostsBelow(Origin { scheme: scheme.into(), host: host.into(), port }))
    }

    #[test]
    fn origins() {
        let host = |scheme: &str, host: &str, port| {
            Some(OriginPattern::Host(Origin { scheme: scheme.into(), host: host.into(), port }))
        };
        for (text, expect) in [
            ("*", Some(OriginPattern::Any)),
            ("https://shop.example", host("https", "shop.example", 443)),
            ("http://Shop.example:8080", host("http", "shop.example", 8080)),
            ("https://*.shop.example", below("https", ".shop.example", 443)),
            ("http://*:8080", below("http", "", 8080)),
            ("https://*shop.example", None),
            ("https://a.*.example", None),
            ("ftp://shop.example", None),
            ("shop.example", None),
            ("https://", None),
            ("https://shop.example/", None),
            ("null", None),
        ] {
            assert_eq!(origin(text).ok(), expect, "{text}");
        }
    }
}
