//! `filters` of a rule and of a backend.

use super::{RuleContext, backends, cors, field_changes, hosts, path};
use crate::route::{
    CorsPolicy, FieldChanges, Fraction, Mirror, Redirect, RedirectScheme, RouteKind, UrlRewrite,
};
use crate::yaml::{DiagnosticCode, YamlMapping, YamlReader, YamlValue};

/// The most filters of a rule or backend, as the standard has it.
const MAX_FILTERS: usize = 16;

/// What the filters of a rule say together. A rule applies them in one order, whatever order they were written in
/// ([`crate::route::RouteRule`]).
#[derive(Debug, Default)]
pub(super) struct RuleFilters {
    pub(super) request_fields: FieldChanges,
    pub(super) response_fields: FieldChanges,
    pub(super) rewrite: Option<UrlRewrite>,
    pub(super) redirect: Option<Redirect>,
    pub(super) mirrors: Vec<Mirror>,
    pub(super) cors: Option<CorsPolicy>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FilterType {
    RequestFields,
    ResponseFields,
    Redirect,
    Rewrite,
    Mirror,
    Cors,
    Extension,
    ExternalAuth,
}

/// All that the standard has, by the name of the type and the key it stands under.
const TYPES: &[(&str, &str, FilterType)] = &[
    ("RequestHeaderModifier", "requestHeaderModifier", FilterType::RequestFields),
    ("ResponseHeaderModifier", "responseHeaderModifier", FilterType::ResponseFields),
    ("RequestRedirect", "requestRedirect", FilterType::Redirect),
    ("URLRewrite", "urlRewrite", FilterType::Rewrite),
    ("RequestMirror", "requestMirror", FilterType::Mirror),
    ("CORS", "cors", FilterType::Cors),
    ("ExtensionRef", "extensionRef", FilterType::Extension),
    ("ExternalAuth", "externalAuth", FilterType::ExternalAuth),
];

/// The filters of a rule of an HTTPRoute and of a GRPCRoute.
const OF_HTTP: &[FilterType] = &[
    FilterType::RequestFields,
    FilterType::ResponseFields,
    FilterType::Redirect,
    FilterType::Rewrite,
    FilterType::Mirror,
    FilterType::Cors,
];
const OF_GRPC: &[FilterType] =
    &[FilterType::RequestFields, FilterType::ResponseFields, FilterType::Mirror];
/// The filters of one backend.
const OF_BACKEND: &[FilterType] = &[FilterType::RequestFields, FilterType::ResponseFields];

impl FilterType {
    fn name(self) -> &'static str {
        TYPES.iter().find(|(_, _, kind)| *kind == self).map_or("", |(name, _, _)| name)
    }

    fn key(self) -> &'static str {
        TYPES.iter().find(|(_, _, kind)| *kind == self).map_or("", |(_, key, _)| key)
    }

    /// What to do instead of a filter that is not taken in a place.
    fn advice(self) -> &'static str {
        match self {
            Self::Extension => {
                "no kind of filter is defined beside the standard's; say it with one of these"
            }
            Self::ExternalAuth => {
                "who may call is said by an AuthorizationPolicy, by whom a token was issued by a RequestAuthentication"
            }
            Self::Mirror | Self::Redirect | Self::Rewrite | Self::Cors => {
                "write it among the `filters` of the rule of an HTTPRoute"
            }
            Self::RequestFields | Self::ResponseFields => "",
        }
    }
}

/// Reads the filters of a rule.
pub(super) fn read(
    reader: &mut YamlReader,
    map: &mut YamlMapping<'_>,
    context: &RuleContext<'_>,
) -> Option<RuleFilters> {
    let allowed = if context.kind == RouteKind::Grpc { OF_GRPC } else { OF_HTTP };
    let mut filters = RuleFilters::default();
    read_list(reader, map, allowed, |reader, kind, value| {
        read_filter(reader, kind, value, context, &mut filters)
    })?;
    Some(filters)
}

/// Reads the filters of a backend: its changes of request and answer fields.
pub(super) fn read_of_backend(
    reader: &mut YamlReader,
    map: &mut YamlMapping<'_>,
    kind: RouteKind,
) -> Option<(FieldChanges, FieldChanges)> {
    debug_assert!(kind.is_of_requests());
    let (mut request, mut response) = (FieldChanges::default(), FieldChanges::default());
    read_list(reader, map, OF_BACKEND, |reader, kind, value| {
        let changes = field_changes::read(reader, value)?;
        match kind {
            FilterType::RequestFields => request = changes,
            _ => response = changes,
        }
        Some(())
    })?;
    Some((request, response))
}

/// Reads a list of filters: each type once, but for mirrors, and only those that are allowed here.
fn read_list(
    reader: &mut YamlReader,
    map: &mut YamlMapping<'_>,
    allowed: &[FilterType],
    mut read: impl FnMut(&mut YamlReader, FilterType, YamlValue<'_>) -> Option<()>,
) -> Option<()> {
    let Some(list) = map.take("filters") else { return Some(()) };
    let mut seen: Vec<FilterType> = Vec::new();
    let mut all_read = true;
    for item in reader.filled_list(list, MAX_FILTERS)? {
        let found = read_type(reader, item, allowed, &seen);
        let done = found.and_then(|(kind, value)| {
            seen.push(kind);
            read(reader, kind, value)
        });
        all_read &= done.is_some();
    }
    all_read.then_some(())
}

/// The type of a filter, and what stands under its key.
fn read_type<'n>(
    reader: &mut YamlReader,
    item: YamlValue<'n>,
    allowed: &[FilterType],
    seen: &[FilterType],
) -> Option<(FilterType, YamlValue<'n>)> {
    let mut map = reader.mapping(item)?;
    let written = map.require(reader, "type")?;
    let names: Vec<_> = TYPES.iter().map(|(name, _, kind)| (*name, *kind)).collect();
    let kind = reader.choice(written, &names)?;
    if !allowed.contains(&kind) {
        let names: Vec<_> = allowed.iter().map(|kind| kind.name()).collect();
        let expected = format!("one of {}", names.join(", "));
        let fix = Some(kind.advice().to_owned());
        reader.report_value_with_code(DiagnosticCode::Unsupported, written, expected, fix);
        return None;
    }
    if let Some(other) = seen.iter().find(|seen| clashes(kind, **seen)) {
        let found = format!("the filter {} beside {}", kind.name(), other.name());
        let (code, mark) = (DiagnosticCode::Repeated, item.node.mark);
        reader.report_with_code(code, mark, found, "one of the two in a rule", None);
        return None;
    }
    let value = map.require(reader, kind.key());
    map.finish(reader);
    Some((kind, value?))
}

/// Whether two filters cannot stand in one rule.
fn clashes(one: FilterType, other: FilterType) -> bool {
    let lead_elsewhere = [FilterType::Redirect, FilterType::Rewrite];
    let both = lead_elsewhere.contains(&one) && lead_elsewhere.contains(&other);
    both || (one == other && one != FilterType::Mirror)
}

fn read_filter(
    reader: &mut YamlReader,
    kind: FilterType,
    value: YamlValue<'_>,
    context: &RuleContext<'_>,
    filters: &mut RuleFilters,
) -> Option<()> {
    match kind {
        FilterType::RequestFields => filters.request_fields = field_changes::read(reader, value)?,
        FilterType::ResponseFields => filters.response_fields = field_changes::read(reader, value)?,
        FilterType::Redirect => filters.redirect = Some(read_redirect(reader, value, context)?),
        FilterType::Rewrite => filters.rewrite = Some(path::read_rewrite(reader, value, context)?),
        FilterType::Mirror => filters.mirrors.push(read_mirror(reader, value, context)?),
        FilterType::Cors => filters.cors = Some(cors::read(reader, value)?),
        FilterType::Extension | FilterType::ExternalAuth => return None,
    }
    Some(())
}

const SCHEMES: &[(&str, RedirectScheme)] =
    &[("http", RedirectScheme::Http), ("https", RedirectScheme::Https)];
const STATUSES: &[(&str, u16)] =
    &[("301", 301), ("302", 302), ("303", 303), ("307", 307), ("308", 308)];

fn read_redirect(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    context: &RuleContext<'_>,
) -> Option<Redirect> {
    let mut map = reader.mapping(value)?;
    let scheme = map.take("scheme").map(|v| reader.choice(v, SCHEMES));
    let hostname = map.take("hostname").map(|v| reader.parsed(v, "a host", hosts::precise));
    let path = map.take("path").map(|v| path::read_change(reader, v, context));
    let port = map.take("port").map(|v| reader.port(v));
    let status = map.take("statusCode").map_or(Some(302), |v| reader.choice(v, STATUSES));
    let says_nothing = map.is_empty();
    map.finish(reader);
    if says_nothing {
        let found = "a RequestRedirect that says nothing";
        let expected = "`scheme`, `hostname`, `path`, `port` or `statusCode`";
        reader.report_with_code(DiagnosticCode::NoEffect, value.node.mark, found, expected, None);
        return None;
    }
    Some(Redirect {
        scheme: scheme.map_or(Some(None), |scheme| scheme.map(Some))?,
        hostname: hostname.map_or(Some(None), |host| host.map(Some))?,
        path: path.map_or(Some(None), |path| path.map(Some))?,
        port: port.map_or(Some(None), |port| port.map(Some))?,
        status: status?,
    })
}

fn read_mirror(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    context: &RuleContext<'_>,
) -> Option<Mirror> {
    let mut map = reader.mapping(value)?;
    let backend = map.require(reader, "backendRef").and_then(|v| {
        let mut map = reader.mapping(v)?;
        let backend = backends::read_reference(reader, &mut map, context);
        map.finish(reader);
        backend
    });
    let percent = map.take("percent").map(|v| read_percent(reader, v));
    let fraction = map.take("fraction");
    if let (Some(_), Some(fraction)) = (&percent, fraction) {
        reader.report(fraction.node.mark, "`fraction` beside `percent`", "one of the two", None);
        return None;
    }
    let fraction = fraction.map(|v| read_fraction(reader, v));
    map.finish(reader);
    Some(Mirror {
        backend: backend?,
        fraction: percent.or(fraction).unwrap_or(Some(Fraction::ALL))?,
    })
}

fn read_percent(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<Fraction> {
    let percent = reader.integer(value, 0..=100)?;
    Fraction::new(u32::try_from(percent).ok()?, 100)
}

fn read_fraction(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<Fraction> {
    const MOST: u64 = 1 << 31;
    let mut map = reader.mapping(value)?;
    let numerator = map.require(reader, "numerator").and_then(|v| reader.integer(v, 0..=MOST));
    let written = map.take("denominator");
    let denominator = written.map_or(Some(100), |v| reader.integer(v, 1..=MOST));
    map.finish(reader);
    let (numerator, denominator) =
        (u32::try_from(numerator?).ok()?, u32::try_from(denominator?).ok()?);
    let fraction = Fraction::new(numerator, denominator);
    if fraction.is_none() {
        let found = format!("the fraction {numerator}/{denominator}");
        reader.report(value.node.mark, found, "at most all of it", None);
    }
    fraction
}
