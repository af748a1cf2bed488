//! `hsts` and `securityHeaders`.

use std::sync::Arc;
use std::time::Duration;

use crate::client_traffic::{SecurityHeaders, TransportSecurity};
use crate::yaml::{YamlReader, YamlValue, parse_duration};

/// The longest value of a header, in bytes: content security policies are long.
const MAX_VALUE: usize = 4096;
const DAY: u64 = 24 * 3600;
/// What the list that browsers ship asks for (<https://hstspreload.org>).
const PRELOAD_AGE: Duration = Duration::from_secs(365 * DAY);
const MOST_AGE: Duration = Duration::from_secs(3650 * DAY);

pub(super) fn read_hsts(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
) -> Option<TransportSecurity> {
    let mut map = reader.mapping(value)?;
    let age = map.require(reader, "maxAge").and_then(|v| {
        reader.parsed(v, "a duration from 0s to 3650d", |text| {
            parse_duration(text).filter(|d| *d <= MOST_AGE).ok_or("such as 365d")
        })
    });
    let subdomains = map.take("includeSubDomains").map_or(Some(false), |v| reader.boolean(v));
    let preload = map.take("preload").map(|v| (v, reader.boolean(v)));
    map.finish(reader);
    let (max_age, include_subdomains) = (age?, subdomains?);
    if let Some((value, Some(true))) = preload
        && (!include_subdomains || max_age < PRELOAD_AGE)
    {
        let expected = "`maxAge` of at least 365d and `includeSubDomains: true` beside it";
        let fix = "browsers take no host into their lists without them".to_owned();
        reader.report_value(value, expected, Some(fix));
    }
    let preload = preload.map_or(Some(false), |(_, preload)| preload)?;
    Some(TransportSecurity { max_age, include_subdomains, preload })
}

/// The headers that can be written: key, header, and the value of `preset: standard`.
///
/// The preset keeps an app whole that did not think of them: it forbids guessing of content types and frames of others, and
/// tells other origins no paths. What an app needs to know about is left to it.
const HEADERS: &[(&str, &str, Option<&str>)] = &[
    ("contentTypeOptions", "x-content-type-options", Some("nosniff")),
    ("frameOptions", "x-frame-options", Some("SAMEORIGIN")),
    ("referrerPolicy", "referrer-policy", Some("strict-origin-when-cross-origin")),
    ("permissionsPolicy", "permissions-policy", None),
    ("contentSecurityPolicy", "content-security-policy", None),
    ("crossOriginOpenerPolicy", "cross-origin-opener-policy", None),
    ("crossOriginResourcePolicy", "cross-origin-resource-policy", None),
];

/// Values of headers that take one of a few words.
const WORDS: &[(&str, &[(&str, &str)])] = &[
    ("contentTypeOptions", &[("nosniff", "nosniff")]),
    ("frameOptions", &[("DENY", "DENY"), ("SAMEORIGIN", "SAMEORIGIN")]),
    (
        "referrerPolicy",
        &[
            ("no-referrer", "no-referrer"),
            ("same-origin", "same-origin"),
            ("strict-origin", "strict-origin"),
            ("strict-origin-when-cross-origin", "strict-origin-when-cross-origin"),
        ],
    ),
    (
        "crossOriginOpenerPolicy",
        &[
            ("same-origin", "same-origin"),
            ("same-origin-allow-popups", "same-origin-allow-popups"),
            ("unsafe-none", "unsafe-none"),
        ],
    ),
    (
        "crossOriginResourcePolicy",
        &[
            ("same-origin", "same-origin"),
            ("same-site", "same-site"),
            ("cross-origin", "cross-origin"),
        ],
    ),
];

/// Fields that tell a stranger what an app is made of, and nothing to anybody else.
const REMOVABLE: &[(&str, &str)] = &[
    ("Server", "server"),
    ("X-Powered-By", "x-powered-by"),
    ("X-AspNet-Version", "x-aspnet-version"),
    ("X-AspNetMvc-Version", "x-aspnetmvc-version"),
];

pub(super) fn read_security(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
) -> Option<SecurityHeaders> {
    let mut map = reader.mapping(value)?;
    let standard = map.take("preset").map(|v| reader.choice(v, &[("standard", true)]));
    let is_standard = standard.unwrap_or(Some(false))?;
    let mut fields = Vec::new();
    for (key, header, preset) in HEADERS {
        let written = map.take(key).map(|v| read_value(reader, v, key));
        let preset = || preset.filter(|_| is_standard).map(Arc::from);
        if let Some(value) = written.map_or_else(|| Some(preset()), |read| read.map(Some))? {
            fields.push((*header, value));
        }
    }
    let replaces = map.take("override").map(|v| (v, reader.boolean(v)));
    let removed = map.take("remove").map(|v| read_removed(reader, v));
    map.finish(reader);
    if fields.is_empty() && removed.is_none() {
        let fix = "write `preset: standard`, a header, or `remove`".to_owned();
        reader.report(value.node.mark, "`securityHeaders` without a header", "one", Some(fix));
    }
    Some(SecurityHeaders {
        fields,
        replaces: replaces.map_or(Some(false), |(_, replaces)| replaces)?,
        removed: removed.unwrap_or_else(|| Some(Vec::new()))?,
    })
}

fn read_value(reader: &mut YamlReader, value: YamlValue<'_>, key: &str) -> Option<Arc<str>> {
    match WORDS.iter().find(|(known, _)| *known == key) {
        Some((_, words)) => reader.choice(value, words).map(Arc::from),
        None => reader.parsed(value, "the value of a header", header_value),
    }
}

/// RFC 9110 §5.5, without what is not ASCII.
fn header_value(text: &str) -> Result<Arc<str>, &'static str> {
    let visible = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let trimmed = text.trim_matches(' ').len() == text.len();
    match text.len() <= MAX_VALUE && visible && trimmed {
        true => Ok(text.into()),
        false => Err("one line of at most 4096 visible ASCII characters, no blanks at an end"),
    }
}

fn read_removed(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<Vec<&'static str>> {
    let items = reader.filled_list(value, REMOVABLE.len())?;
    items.into_iter().map(|item| reader.choice(item, REMOVABLE)).collect()
}
