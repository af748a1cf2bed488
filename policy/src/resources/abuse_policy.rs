//! AbusePolicy (`policy.postern.dev/v1alpha1`): who is blocked for a while because of what its requests were answered; see
//! `docs/abuse.md`.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::listener_target;
use super::object::ResourceObject;
use super::rate_limit_policy::read_claim;
use super::selector::{self, MatchLabels};
use crate::Workload;
use crate::abuse::{AbuseMeasure, AbuseMode, AbuseSettings, BlockStatus};
use crate::rate_limit::LimitKey;
use crate::yaml::{YamlMapping, YamlReader, YamlValue, format_duration, parse_duration};

const WINDOWS: RangeInclusive<Duration> = Duration::from_secs(10)..=Duration::from_secs(3_600);
const BLOCKS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);
/// Fewer than five paths are missing for whoever follows old links; how many more than five hundred are is not told well.
const MISSING: RangeInclusive<u64> = 5..=500;
const REQUESTS: RangeInclusive<u64> = 5..=1_000_000;

const DEFAULT: AbuseMeasure = AbuseMeasure {
    window: Duration::from_secs(60),
    requests: 20,
    refused_percent: 50,
    distinct_missing: 30,
    block_for: Duration::from_secs(300),
};

const MODES: &[(&str, AbuseMode)] = &[("detect", AbuseMode::Detect), ("block", AbuseMode::Block)];
const STATUSES: &[(&str, BlockStatus)] =
    &[("429", BlockStatus::TooManyRequests), ("403", BlockStatus::Forbidden)];

/// An AbusePolicy. All that are about a request hold together, each with a count of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct AbusePolicy {
    namespace: Arc<str>,
    selector: MatchLabels,
    settings: Arc<AbuseSettings>,
}

impl AbusePolicy {
    /// `namespace/name`.
    pub fn name(&self) -> &Arc<str> {
        &self.settings.policy
    }

    /// What it says.
    pub fn settings(&self) -> &Arc<AbuseSettings> {
        &self.settings
    }

    /// True when it is about the workload: in its namespace or the root one, and selected.
    pub fn selects(&self, workload: &Workload, root_namespace: &str) -> bool {
        let scope = *self.namespace == *workload.namespace || *self.namespace == *root_namespace;
        self.settings.targets.is_empty() && scope && self.selector.matches(&workload.labels)
    }
}

pub(super) fn read(reader: &mut YamlReader, object: &ResourceObject<'_>) -> Option<AbusePolicy> {
    let Some(spec) = object.spec else {
        reader.report(object.mark, "no `spec`", "a `spec` with a `key`", None);
        return None;
    };
    let mut map = reader.mapping(spec)?;
    let selector = map.take("selector").map(|v| selector::read(reader, v));
    let refs = map.take("targetRefs");
    if let Some(refs) = refs.filter(|_| selector.is_some()) {
        reader.report(refs.node.mark, "`targetRefs` beside `selector`", "one of the two", None);
    }
    let targets = refs.map(|v| listener_target::read(reader, v, &object.namespace));
    let mode = map.take("mode").map(|v| reader.choice(v, MODES));
    let key = read_key(reader, &mut map);
    let measure = read_measure(reader, &mut map);
    let status = map.take("status").map(|v| reader.choice(v, STATUSES));
    map.finish(reader);
    Some(AbusePolicy {
        namespace: Arc::clone(&object.namespace),
        selector: selector.unwrap_or_else(|| Some(MatchLabels::default()))?,
        settings: Arc::new(AbuseSettings {
            policy: object.full_name().into(),
            mode: mode.unwrap_or_else(|| Some(AbuseMode::default()))?,
            key: key?,
            measure: measure?,
            status: status.unwrap_or_else(|| Some(BlockStatus::default()))?,
            targets: targets.unwrap_or_else(|| Some(Vec::new()))?,
        }),
    })
}

/// One word: whom two words tell apart could be blocked by what another one did.
fn read_key(reader: &mut YamlReader, map: &mut YamlMapping<'_>) -> Option<LimitKey> {
    type MakeKey = fn(Option<Box<str>>) -> Option<LimitKey>;
    const KEYS: &[(&str, MakeKey)] = &[
        ("principal", |_| Some(LimitKey::Principal)),
        ("clientAddress", |_| Some(LimitKey::ClientAddress)),
        ("claim", |claim| claim.map(LimitKey::Claim)),
        ("apiKey", |_| Some(LimitKey::ApiKey)),
    ];
    let claim = map.take("claim");
    let value = map.require(reader, "key")?;
    let make = reader.choice(value, KEYS)?;
    make(read_claim(reader, value, claim, value.is_text("claim"))?)
}

/// Every field is read, so that all mistakes are told.
fn read_measure(reader: &mut YamlReader, map: &mut YamlMapping<'_>) -> Option<AbuseMeasure> {
    let window = map.take("window").map(|v| duration(reader, v, WINDOWS));
    let requests = map.take("requests").map(|v| number(reader, v, REQUESTS));
    let refused = map.take("refusedRatio").map(|v| number(reader, v, 1..=100));
    let missing = map.take("distinctMissing").map(|v| number(reader, v, MISSING));
    let block_for = map.take("blockFor").map(|v| duration(reader, v, BLOCKS));
    Some(AbuseMeasure {
        window: window.unwrap_or(Some(DEFAULT.window))?,
        requests: requests.unwrap_or(Some(DEFAULT.requests))?,
        refused_percent: refused.unwrap_or(Some(DEFAULT.refused_percent))?,
        distinct_missing: missing.unwrap_or(Some(DEFAULT.distinct_missing))?,
        block_for: block_for.unwrap_or(Some(DEFAULT.block_for))?,
    })
}

fn number(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    bounds: RangeInclusive<u64>,
) -> Option<u32> {
    u32::try_from(reader.integer(value, bounds)?).ok()
}

fn duration(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    bounds: RangeInclusive<Duration>,
) -> Option<Duration> {
    let (least, most) = (format_duration(*bounds.start()), format_duration(*bounds.end()));
    reader.parsed(value, &format!("a duration from {least} to {most}"), |text| {
        parse_duration(text).filter(|time| bounds.contains(time)).ok_or("such as 30s or 5m")
    })
}

#[cfg(test)]
mod tests;
