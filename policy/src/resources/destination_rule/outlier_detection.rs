//! `outlierDetection`.

use std::time::Duration;

use super::settings::{count, duration, percent, refuse_keys};
use crate::traffic_policy::OutlierDetection;
use crate::yaml::{YamlReader, YamlValue};

/// The most failures in a row that are waited for.
const MOST_FAILURES: u32 = 10_000;

/// What is not written keeps our default, not Istio's: [`OutlierDetection::default`] says why.
pub(super) fn read(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<OutlierDetection> {
    let mut map = reader.mapping(value)?;
    let mut outlier = OutlierDetection::default();
    let mut failures = |reader: &mut YamlReader, key, to: &mut u32| {
        let number = map.take(key).and_then(|v| count(reader, v, 0..=MOST_FAILURES));
        *to = number.unwrap_or(*to);
    };
    failures(reader, "consecutiveGatewayErrors", &mut outlier.consecutive_gateway_errors);
    failures(reader, "consecutive5xxErrors", &mut outlier.consecutive_5xx_errors);
    let mut time = |reader: &mut YamlReader, key, most, to: &mut Duration| {
        let bounds = Duration::from_millis(100)..=Duration::from_secs(most);
        let time = map.take(key).and_then(|v| duration(reader, v, bounds));
        *to = time.unwrap_or(*to);
    };
    time(reader, "interval", 300, &mut outlier.interval);
    time(reader, "baseEjectionTime", 3600, &mut outlier.base_ejection_time);
    let mut share = |reader: &mut YamlReader, key, to: &mut u8| {
        *to = map.take(key).and_then(|v| percent(reader, v, 0)).unwrap_or(*to);
    };
    share(reader, "maxEjectionPercent", &mut outlier.max_ejection_percent);
    share(reader, "minHealthPercent", &mut outlier.min_health_percent);
    outlier.max_ejection_time = OutlierDetection::MAX_EJECTION_TIME.max(outlier.base_ejection_time);
    refuse_keys(reader, &mut map, UNSUPPORTED);
    map.finish(reader);
    Some(outlier)
}

const LOCAL: &str =
    "take it out: a connection that fails counts as a gateway error (consecutiveGatewayErrors)";

const UNSUPPORTED: &[(&str, &str)] = &[
    ("consecutiveErrors", "write consecutiveGatewayErrors, as Istio has it now"),
    ("splitExternalLocalOriginErrors", LOCAL),
    ("consecutiveLocalOriginFailures", LOCAL),
];
