//! ClientTrafficPolicy (`policy.postern.dev/v1alpha1`): what a gateway asks of its clients; see `docs/gateway-clients.md`.
//!
//! The word is Envoy Gateway's. It is about Gateways and ListenerSets of its own namespace, and holds as a whole.

mod certificates;
mod headers;

use std::sync::Arc;
use std::time::Duration;

use identity::TrustDomain;

use super::listener_target;
use super::object::ResourceObject;
use crate::Diagnostic;
use crate::client_traffic::{
    AddressBlocks, ClientLimits, ClientTrafficSettings, ClientTrafficTarget, ForwardedClient,
    ListenerOwner, MinimumTls,
};
use crate::pattern::AddressPattern;
use crate::yaml::{
    DiagnosticCode, SourcePosition, YamlMapping, YamlReader, YamlValue, parse_duration, parse_size,
};

/// The most blocks of one list.
const MAX_BLOCKS: usize = 256;
/// The most proxies one behind the other.
const MAX_HOPS: u64 = 16;

/// A ClientTrafficPolicy.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientTrafficPolicy {
    name: Arc<str>,
    created: Option<Arc<str>>,
    targets: Vec<ClientTrafficTarget>,
    settings: ClientTrafficSettings,
    file: Arc<str>,
    mark: SourcePosition,
}

impl ClientTrafficPolicy {
    /// `namespace/name`.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What it is about.
    pub fn targets(&self) -> &[ClientTrafficTarget] {
        &self.targets
    }

    /// What it says.
    pub fn settings(&self) -> &ClientTrafficSettings {
        &self.settings
    }

    /// What is smaller holds, of two about one target: the older (`creationTimestamp`; what has none counts as younger),
    /// then the first by name.
    pub(crate) fn precedence(&self) -> (bool, Option<&str>, &str) {
        (self.created.is_none(), self.created.as_deref(), &self.name)
    }

    /// Mappings of certificates to principals of the mesh's own trust domain, or of one that it is federated with, as
    /// diagnostics: an authority outside the mesh never says who is who in it.
    pub fn impersonations(&self, mesh: &[TrustDomain]) -> Vec<Diagnostic> {
        let mappings = self.settings.client_certificates.iter().flat_map(|c| &c.principals);
        let within = mappings.filter(|mapping| mapping.is_within(mesh));
        within.map(|mapping| self.impersonation(mapping.principal.without_scheme())).collect()
    }

    fn impersonation(&self, principal: &str) -> Diagnostic {
        let found = format!("the principal {principal} for a partner's certificate");
        let expected = "a principal of a trust domain that is not the mesh's";
        let fix = "write one of the partner's own, such as partner.example/acme".to_owned();
        let diagnostic = Diagnostic::new(&self.file, self.mark, found, expected, Some(fix));
        diagnostic.within(format!("ClientTrafficPolicy {}", self.name).into())
    }
}

pub(super) fn read(
    reader: &mut YamlReader,
    object: &ResourceObject<'_>,
) -> Option<ClientTrafficPolicy> {
    let Some(spec) = object.spec else {
        reader.report(object.mark, "no `spec`", "a `spec` with `targetRefs`", None);
        return None;
    };
    let mut map = reader.mapping(spec)?;
    let targets = map.require(reader, "targetRefs");
    let targets = targets.and_then(|v| listener_target::read(reader, v, &object.namespace));
    let is_of_set = |target: &ClientTrafficTarget| target.kind == ListenerOwner::ListenerSet;
    let of_set = targets.as_ref().is_some_and(|targets| targets.iter().any(is_of_set));
    let settings = read_settings(reader, &mut map, object, of_set);
    map.finish(reader);
    let settings = settings?;
    let nothing = ClientTrafficSettings { policy: settings.policy.clone(), ..Default::default() };
    if settings == nothing {
        let fix = "say what is asked of clients, or take the object out".to_owned();
        let found = "a ClientTrafficPolicy that says nothing beyond the defaults";
        let code = DiagnosticCode::NoEffect;
        reader.report_with_code(code, spec.node.mark, found, "a setting", Some(fix));
    }
    Some(ClientTrafficPolicy {
        name: object.full_name().into(),
        created: object.created.map(Into::into),
        targets: targets?,
        settings,
        file: Arc::clone(reader.file()),
        mark: object.mark,
    })
}

fn read_settings(
    reader: &mut YamlReader,
    map: &mut YamlMapping<'_>,
    object: &ResourceObject<'_>,
    of_set: bool,
) -> Option<ClientTrafficSettings> {
    let proxy_protocol = map.take("proxyProtocol").map(|v| {
        refuse_of_set(reader, of_set, v, "`proxyProtocol`");
        read_proxy_protocol(reader, v)
    });
    let client_address = map.take("clientAddress").map(|v| read_client_address(reader, v));
    let hsts = map.take("hsts").map(|v| headers::read_hsts(reader, v));
    let security_headers = map.take("securityHeaders").map(|v| headers::read_security(reader, v));
    let limits = map.take("limits").map(|v| read_limits(reader, v, of_set));
    let certificates = map.take("clientCertificates");
    let certificates = certificates.map(|v| certificates::read(reader, v, &object.namespace));
    let minimum_tls = map.take("tls").map(|v| read_tls(reader, v));
    Some(ClientTrafficSettings {
        policy: Some(object.full_name().into()),
        proxy_protocol: or_default(proxy_protocol)?,
        client_address: or_absent(client_address)?,
        hsts: or_absent(hsts)?,
        security_headers: or_absent(security_headers)?.map(Arc::new),
        limits: or_default(limits)?,
        client_certificates: or_absent(certificates)?.map(Arc::new),
        minimum_tls: or_default(minimum_tls)?,
    })
}

/// What was written and read; `None` after a diagnostic.
fn or_absent<T>(read: Option<Option<T>>) -> Option<Option<T>> {
    read.map_or(Some(None), |value| value.map(Some))
}

/// The same, with the default where nothing was written.
fn or_default<T: Default>(read: Option<Option<T>>) -> Option<T> {
    read.unwrap_or_else(|| Some(T::default()))
}

/// What decides before anybody knows which listener a connection is for decides for the whole port, and the owner of a
/// ListenerSet must not for the Gateway's other listeners.
fn refuse_of_set(reader: &mut YamlReader, of_set: bool, value: YamlValue<'_>, what: &str) {
    if of_set {
        let found = format!("{what} in a policy about a ListenerSet");
        let expected = "a policy about the Gateway: it decides for every listener of the port";
        let fix = "move it to the ClientTrafficPolicy of the Gateway".to_owned();
        let code = DiagnosticCode::Reach;
        reader.report_with_code(code, value.node.mark, found, expected, Some(fix));
    }
}

fn read_proxy_protocol(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<AddressBlocks> {
    let mut map = reader.mapping(value)?;
    let from = map.require(reader, "from").and_then(|v| read_blocks(reader, v, balancer_block));
    map.finish(reader);
    from
}

fn read_client_address(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<ForwardedClient> {
    let mut map = reader.mapping(value)?;
    let forwarded = map.require(reader, "xForwardedFor");
    let forwarded = forwarded.and_then(|v| read_forwarded(reader, v));
    map.finish(reader);
    forwarded
}

fn read_forwarded(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<ForwardedClient> {
    let mut map = reader.mapping(value)?;
    let trusted = map.require(reader, "trustedProxies");
    let trusted = trusted.and_then(|v| read_blocks(reader, v, narrow_block));
    let hops = map.take("hops").map(|v| reader.integer(v, 1..=MAX_HOPS));
    map.finish(reader);
    let hops = u8::try_from(hops.unwrap_or(Some(1))?).ok()?;
    Some(ForwardedClient { trusted: trusted?, hops })
}

/// Blocks of addresses. One that holds every address is refused: then anybody would be believed.
fn read_blocks(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    parse: fn(&str) -> Result<AddressPattern, String>,
) -> Option<AddressBlocks> {
    let items = reader.filled_list(value, MAX_BLOCKS)?;
    let expected = "a block of addresses such as 10.0.0.0/8";
    let blocks = items.into_iter().map(|item| reader.parsed(item, expected, parse));
    blocks.collect::<Option<Vec<_>>>().map(AddressBlocks)
}

fn narrow_block(text: &str) -> Result<AddressPattern, String> {
    let block = AddressPattern::parse(text).map_err(|error| error.to_string())?;
    match block.block().prefix_len() {
        0 => Err("name the proxies: from this block anybody may call".to_owned()),
        _ => Ok(block),
    }
}

/// A block of load balancers: anybody else within it is refused, so two halves of all addresses are no list either.
fn balancer_block(text: &str) -> Result<AddressPattern, String> {
    let block = narrow_block(text)?;
    let least = if block.block().addr().is_ipv4() { 8 } else { 16 };
    match block.block().prefix_len() < least {
        true => Err(format!("name the load balancers: a block has a prefix of /{least} or longer")),
        false => Ok(block),
    }
}

fn read_limits(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    of_set: bool,
) -> Option<ClientLimits> {
    let mut map = reader.mapping(value)?;
    let bytes = map.take("requestBytes").map(|v| {
        let within = |bytes: &u64| (1..=1 << 40).contains(bytes);
        reader.parsed(v, "a size from 1B to 1024GiB", |text| {
            parse_size(text).filter(within).ok_or("such as 10MiB")
        })
    });
    let request = read_time(reader, map.take("requestTimeout"));
    let idle = read_time(reader, map.take("idleTimeout"));
    let header = read_time(reader, map.take("headerTimeout"));
    let connections = map.take("connectionsPerAddress").map(|v| {
        refuse_of_set(reader, of_set, v, "`connectionsPerAddress`");
        let number = reader.integer(v, 1..=1_000_000)?;
        u32::try_from(number).ok()
    });
    let is_empty = map.is_empty();
    map.finish(reader);
    if is_empty {
        let code = DiagnosticCode::NoEffect;
        reader.report_with_code(code, value.node.mark, "no limit in `limits`", "a limit", None);
    }
    Some(ClientLimits {
        request_bytes: or_absent(bytes)?,
        request_timeout: or_absent(request)?,
        idle_timeout: or_absent(idle)?,
        header_timeout: or_absent(header)?,
        connections_per_address: or_absent(connections)?,
    })
}

fn read_time(reader: &mut YamlReader, value: Option<YamlValue<'_>>) -> Option<Option<Duration>> {
    const LEAST: Duration = Duration::from_millis(100);
    const MOST: Duration = Duration::from_secs(24 * 3600);
    value.map(|v| {
        reader.parsed(v, "a duration from 100ms to 24h", |text| {
            parse_duration(text).filter(|d| (LEAST..=MOST).contains(d)).ok_or("such as 30s")
        })
    })
}

fn read_tls(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<MinimumTls> {
    let mut map = reader.mapping(value)?;
    let version = map.require(reader, "minimumVersion");
    let version = version.and_then(|v| {
        reader.parsed(v, "\"1.2\" or \"1.3\"", |text| match text {
            "1.2" => Ok(MinimumTls::Tls12),
            "1.3" => Ok(MinimumTls::Tls13),
            _ => Err("older versions are not spoken; write the number in quotes"),
        })
    });
    map.finish(reader);
    version
}

#[cfg(test)]
mod tests;
