//! ThreatPolicy (`policy.postern.dev/v1alpha1`): which requests are looked through for attacks; see `docs/threats.md`.

mod exclusion;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::listener_target;
use super::object::ResourceObject;
use super::selector::{self, MatchLabels};
use crate::Workload;
use crate::threat::{ExceededBody, RuleSetSource, ThreatMode, ThreatSettings};
use crate::yaml::{YamlMapping, YamlReader, YamlValue, parse_duration, parse_size};

const MODES: &[(&str, ThreatMode)] =
    &[("detect", ThreatMode::Detect), ("block", ThreatMode::Block)];
const EXCEEDED: &[(&str, ExceededBody)] =
    &[("deny", ExceededBody::Deny), ("inspectPrefix", ExceededBody::InspectPrefix)];
/// One match of a rule of severity CRITICAL.
const DEFAULT_THRESHOLD: u32 = 5;
const MAX_THRESHOLD: u64 = 10_000;
const DEFAULT_BYTES: u32 = 128 << 10;
const LEAST_BYTES: u64 = 1 << 10;
/// Of more, rules take longer than a request can wait.
const MOST_BYTES: u64 = 1 << 20;
const DEFAULT_TIMEOUT: Duration = Duration::from_millis(50);
const LEAST_TIMEOUT: Duration = Duration::from_millis(1);
const MOST_TIMEOUT: Duration = Duration::from_secs(10);
/// The most rules that may be left out of a set.
const MAX_UNSUPPORTED: usize = 256;
/// The longest path of a rule set, bytes.
const MAX_PATH: usize = 4096;

/// A ThreatPolicy. Of all that are about a request the closest holds.
#[derive(Debug, Clone, PartialEq)]
pub struct ThreatPolicy {
    name: Arc<str>,
    namespace: Arc<str>,
    /// Without targets; empty selects every workload of the namespace, in the root namespace of the mesh.
    selector: MatchLabels,
    settings: Arc<ThreatSettings>,
}

impl ThreatPolicy {
    /// `namespace/name`.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What it says.
    pub fn settings(&self) -> &Arc<ThreatSettings> {
        &self.settings
    }

    /// True when it is about the workload: in its namespace or the root one, and selected.
    pub fn selects(&self, workload: &Workload, root_namespace: &str) -> bool {
        let scope = *self.namespace == *workload.namespace || *self.namespace == *root_namespace;
        self.settings.targets.is_empty() && scope && self.selector.matches(&workload.labels)
    }

    /// How closely it selects the workload: whether from its own namespace, and by how many labels.
    pub(crate) fn selection(&self, workload: &Workload) -> (bool, usize) {
        (*self.namespace == *workload.namespace, self.selector.labels().len())
    }
}

pub(super) fn read(reader: &mut YamlReader, object: &ResourceObject<'_>) -> Option<ThreatPolicy> {
    let Some(spec) = object.spec else {
        let fix =
            "an empty one, `spec: {}`, looks through all requests of the namespace".to_owned();
        reader.report(object.mark, "no `spec`", "a `spec`", Some(fix));
        return None;
    };
    let mut map = reader.mapping(spec)?;
    let selector = map.take("selector").map(|v| selector::read(reader, v));
    let refs = map.take("targetRefs");
    if let Some(refs) = refs.filter(|_| selector.is_some()) {
        reader.report(refs.node.mark, "`targetRefs` beside `selector`", "one of the two", None);
    }
    let targets = refs.map(|v| listener_target::read_with_routes(reader, v, &object.namespace));
    let settings = read_settings(reader, &mut map);
    map.finish(reader);
    let targets = targets.unwrap_or_else(|| Some(Vec::new()))?;
    Some(ThreatPolicy {
        name: object.full_name().into(),
        namespace: Arc::clone(&object.namespace),
        selector: selector.unwrap_or_else(|| Some(MatchLabels::default()))?,
        settings: Arc::new(ThreatSettings { targets, ..settings? }),
    })
}

/// All of it but the targets. Every field is read, so that all mistakes are told.
fn read_settings(reader: &mut YamlReader, map: &mut YamlMapping<'_>) -> Option<ThreatSettings> {
    let mode = map.take("mode").map(|v| reader.choice(v, MODES));
    let rule_set = map.take("ruleSet").map(|v| read_rule_set(reader, v));
    let paranoia = map.take("paranoia").map(|v| small(reader, v, 4));
    let threshold = map.take("inboundThreshold").map(|v| small(reader, v, MAX_THRESHOLD));
    let body = map.take("body").map(|v| read_body(reader, v));
    let exclusions = map.take("exclusions").map(|v| exclusion::read_all(reader, v));
    let timeout = map.take("timeout").map(|v| read_timeout(reader, v));
    if let Some(value) = map.take("onTimeout") {
        reader.choice(value, &[("deny", ())]);
    }
    let (inspect_bytes, on_exceed) =
        body.unwrap_or_else(|| Some((DEFAULT_BYTES, ExceededBody::default())))?;
    Some(ThreatSettings {
        targets: Vec::new(),
        mode: mode.unwrap_or_else(|| Some(ThreatMode::default()))?,
        rule_set: rule_set.unwrap_or_else(|| Some(RuleSetSource::default()))?,
        paranoia: u8::try_from(paranoia.unwrap_or(Some(1))?).ok()?,
        inbound_threshold: threshold.unwrap_or(Some(DEFAULT_THRESHOLD))?,
        inspect_bytes,
        on_exceed,
        exclusions: exclusions.unwrap_or_else(|| Some(Vec::new()))?,
        timeout: timeout.unwrap_or(Some(DEFAULT_TIMEOUT))?,
    })
}

/// From 1 to `most`.
fn small(reader: &mut YamlReader, value: YamlValue<'_>, most: u64) -> Option<u32> {
    u32::try_from(reader.integer(value, 1..=most)?).ok()
}

/// `builtin`, or a mapping with a path.
fn read_rule_set(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<RuleSetSource> {
    if value.scalar().is_some() {
        return reader.choice(value, &[("builtin", ())]).map(|()| RuleSetSource::Builtin);
    }
    let mut map = reader.mapping(value)?;
    let path = map.require(reader, "path");
    let path = path.and_then(|v| reader.parsed(v, "the absolute path of a rule set", absolute));
    let unsupported = map.take("allowUnsupported").map(|v| read_rule_ids(reader, v));
    map.finish(reader);
    let allow_unsupported = unsupported.unwrap_or_else(|| Some(Vec::new()))?.into();
    Some(RuleSetSource::Files { path: path?, allow_unsupported })
}

fn read_rule_ids(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<Vec<u32>> {
    let items = reader.filled_list(value, MAX_UNSUPPORTED)?;
    let read: Vec<_> = items.into_iter().map(|item| rule_id(reader, item)).collect();
    let mut ids = read.into_iter().collect::<Option<Vec<u32>>>()?;
    // Two policies that list the same rules have one rule set.
    ids.sort_unstable();
    ids.dedup();
    Some(ids)
}

fn rule_id(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<u32> {
    let id = reader.integer(value, 1..=u64::from(u32::MAX))?;
    u32::try_from(id).ok()
}

fn absolute(text: &str) -> Result<Arc<Path>, &'static str> {
    let path = Path::new(text);
    match path.is_absolute() && text.len() <= MAX_PATH && !text.contains('\0') {
        true => Ok(path.into()),
        false => Err("such as /etc/postern/rules: a file, or a directory of *.conf"),
    }
}

fn read_body(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<(u32, ExceededBody)> {
    let mut map = reader.mapping(value)?;
    let bytes = map.take("inspectBytes").map(|v| {
        reader.parsed(v, "a size from 1KiB to 1MiB", |text| {
            let within = |size: &u64| (LEAST_BYTES..=MOST_BYTES).contains(size);
            let size = parse_size(text).filter(within).ok_or("such as 128KiB")?;
            u32::try_from(size).map_err(|_| "such as 128KiB")
        })
    });
    let on_exceed = map.take("onExceed").map(|v| reader.choice(v, EXCEEDED));
    map.finish(reader);
    Some((
        bytes.unwrap_or(Some(DEFAULT_BYTES))?,
        on_exceed.unwrap_or_else(|| Some(ExceededBody::default()))?,
    ))
}

fn read_timeout(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<Duration> {
    reader.parsed(value, "a time from 1ms to 10s", |text| {
        let within = |time: &Duration| (LEAST_TIMEOUT..=MOST_TIMEOUT).contains(time);
        parse_duration(text).filter(within).ok_or("such as 50ms")
    })
}

#[cfg(test)]
mod tests;
