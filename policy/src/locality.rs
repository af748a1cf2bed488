//! Where a workload runs: a region, a zone of it, a part of the zone.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The longest name of a part: that of a label's value, where Kubernetes keeps it.
const MAX_PART: usize = 63;
const ADVICE: &str = "write region/zone/subzone, region/zone, region or /zone, each of letters, digits, '-', '_' and '.', at most 63";

/// `region/zone/subzone`, as Istio writes it. Whoever knows a zone and not its region leaves the region empty: `/zone`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Locality {
    region: Arc<str>,
    zone: Arc<str>,
    subzone: Arc<str>,
}

/// How far a locality is from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LocalityDistance {
    /// In the same zone.
    SameZone,
    /// In another zone of the same region.
    SameRegion,
    /// In another region, or one of the two is not known.
    Elsewhere,
}

impl Locality {
    /// Reads `region`, `region/zone`, `region/zone/subzone`, `/zone` and `/zone/subzone`.
    ///
    /// # Errors
    /// What to write instead.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let parts: Vec<_> = text.split('/').collect();
        let (region, zone, subzone) = match *parts.as_slice() {
            [region] => (region, "", ""),
            [region, zone] => (region, zone, ""),
            [region, zone, subzone] => (region, zone, subzone),
            _ => return Err(ADVICE),
        };
        let named = parts.iter().skip(1).all(|part| !part.is_empty());
        if !named || text.is_empty() || !parts.iter().all(|part| is_part(part)) {
            return Err(ADVICE);
        }
        Ok(Self { region: region.into(), zone: zone.into(), subzone: subzone.into() })
    }

    /// A zone whose region is not known.
    ///
    /// # Errors
    /// It is none.
    pub fn of_zone(zone: &str) -> Result<Self, &'static str> {
        match zone.contains('/') {
            true => Err(ADVICE),
            false => Self::parse(&format!("/{zone}")),
        }
    }

    /// Where a pod with these labels runs: Kubernetes gives a pod the topology labels of its node
    /// (<https://kubernetes.io/docs/reference/labels-annotations-taints/#topologykubernetesiozone>).
    pub fn of_labels(labels: &BTreeMap<String, String>) -> Option<Self> {
        let part = |key: &str| labels.get(key).map_or("", String::as_str);
        let region = part("topology.kubernetes.io/region");
        let zone = part("topology.kubernetes.io/zone");
        let text = if zone.is_empty() { region.to_owned() } else { format!("{region}/{zone}") };
        Self::parse(&text).ok()
    }

    /// The region; empty where it is not known.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The zone; empty where it is not known.
    pub fn zone(&self) -> &str {
        &self.zone
    }

    /// The part of the zone; empty where it is not known.
    pub fn subzone(&self) -> &str {
        &self.subzone
    }

    /// How far it is to `other`. Zones of one name are the same where a region is not known, since clouds name zones after
    /// their regions.
    pub fn distance(&self, other: &Self) -> LocalityDistance {
        let same_region = self.region == other.region && !self.region.is_empty();
        let may_be_same = same_region || self.region.is_empty() || other.region.is_empty();
        if may_be_same && !self.zone.is_empty() && self.zone == other.zone {
            LocalityDistance::SameZone
        } else if same_region {
            LocalityDistance::SameRegion
        } else {
            LocalityDistance::Elsewhere
        }
    }
}

impl fmt::Display for Locality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.region)?;
        for part in [&self.zone, &self.subzone] {
            if !part.is_empty() {
                write!(f, "/{part}")?;
            }
        }
        Ok(())
    }
}

fn is_part(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    text.len() <= MAX_PART && text.bytes().all(fits)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn localities() {
        for (text, valid) in [
            ("eu", true),
            ("eu/eu-1", true),
            ("eu/eu-1/rack-7", true),
            ("/eu-1", true),
            ("/eu-1/rack-7", true),
            ("", false),
            ("/", false),
            ("//rack-7", false),
            ("eu//rack-7", false),
            ("eu/", false),
            ("eu//", false),
            ("eu/eu-1/rack-7/shelf", false),
            ("e u", false),
            ("*", false),
        ] {
            assert_eq!(Locality::parse(text).is_ok(), valid, "{text}");
            if let Ok(locality) = Locality::parse(text) {
                assert_eq!(locality.to_string(), text);
            }
        }
    }

    #[test]
    fn of_the_labels_of_a_pod() {
        for (region, zone, expect) in [
            (Some("eu"), Some("eu-1"), Some("eu/eu-1")),
            (None, Some("eu-1"), Some("/eu-1")),
            (Some("eu"), None, Some("eu")),
            (None, None, None),
        ] {
            let label = |key: &str, value: Option<&str>| {
                Some((format!("topology.kubernetes.io/{key}"), value?.to_owned()))
            };
            let labels = [label("region", region), label("zone", zone)];
            let locality = Locality::of_labels(&labels.into_iter().flatten().collect());
            assert_eq!(locality.map(|found| found.to_string()).as_deref(), expect);
        }
    }

    #[test]
    fn distances() {
        use LocalityDistance::{Elsewhere, SameRegion, SameZone};
        for (own, other, expect) in [
            ("eu/eu-1", "eu/eu-1/rack-7", SameZone),
            ("eu/eu-1", "/eu-1", SameZone),
            ("eu/eu-1", "us/eu-1", Elsewhere),
            ("eu/eu-1", "eu/eu-2", SameRegion),
            ("eu", "eu", SameRegion),
            ("eu", "eu/eu-2", SameRegion),
            ("/eu-1", "/eu-2", Elsewhere),
            ("eu", "us", Elsewhere),
        ] {
            let parse = |text| Locality::parse(text).unwrap();
            assert_eq!(parse(own).distance(&parse(other)), expect, "{own} {other}");
            assert_eq!(parse(other).distance(&parse(own)), expect, "{other} {own}");
        }
    }
}
