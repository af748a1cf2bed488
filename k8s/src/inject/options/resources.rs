//! The annotation `postern.dev/resources`: what the proxy asks of its node.

use std::collections::BTreeMap;
use std::str::FromStr;

/// CPU that proxy and agent ask for without the annotation: a hundredth of a core, what both need
/// while nothing happens.
pub(crate) const DEFAULT_CPU: &str = "10m";
/// Memory that proxy and agent ask for without the annotation.
pub(crate) const DEFAULT_MEMORY: &str = "20Mi";

/// Requests and limits by resource name (`cpu`, `memory`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProxyResources {
    pub(crate) requests: BTreeMap<&'static str, String>,
    pub(crate) limits: BTreeMap<&'static str, String>,
}

impl Default for ProxyResources {
    fn default() -> Self {
        let requests = [("cpu", DEFAULT_CPU), ("memory", DEFAULT_MEMORY)];
        Self {
            requests: requests.map(|(name, quantity)| (name, quantity.to_owned())).into(),
            limits: BTreeMap::new(),
        }
    }
}

impl FromStr for ProxyResources {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut resources = Self::default();
        for item in text.split(',').map(|item| item.trim_matches(' ')) {
            let shown: String = item.chars().take(64).collect();
            let wrong = || format!("found {shown:?}");
            let (name, quantity) = item.split_once('=').ok_or_else(wrong)?;
            if !is_quantity(quantity) {
                return Err(wrong());
            }
            let (list, name) = match name {
                "cpu" => (&mut resources.requests, "cpu"),
                "memory" => (&mut resources.requests, "memory"),
                "cpu-limit" => (&mut resources.limits, "cpu"),
                "memory-limit" => (&mut resources.limits, "memory"),
                _ => return Err(wrong()),
            };
            list.insert(name, quantity.to_owned());
        }
        resources.check()
    }
}

impl ProxyResources {
    /// A request above its limit is refused by Kubernetes, for the whole pod and without naming the annotation.
    fn check(mut self) -> Result<Self, String> {
        let default = Self::default();
        for (name, limit) in &self.limits {
            let Some(request) = self.requests.get(*name) else { continue };
            if amount(request) > amount(limit) {
                if default.requests.get(*name) == Some(request) {
                    // Nobody asked for the default; the limit is what was meant.
                    self.requests.insert(name, limit.clone());
                    return self.check();
                }
                return Err(format!("the {name} limit {limit} is below the request {request}"));
            }
        }
        Ok(self)
    }
}

/// A positive quantity: digits, at most one point, and a suffix of Kubernetes
/// (<https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>).
fn is_quantity(text: &str) -> bool {
    let (number, suffix) = split(text);
    let digits = number.bytes().filter(u8::is_ascii_digit).count();
    let points = number.bytes().filter(|b| *b == b'.').count();
    (1..=15).contains(&digits) && points <= 1 && factor(suffix).is_some() && amount(text) > 0.0
}

fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    text.split_at(end)
}

fn amount(text: &str) -> f64 {
    let (number, suffix) = split(text);
    number.parse::<f64>().unwrap_or(0.0) * factor(suffix).unwrap_or(0.0)
}

fn factor(suffix: &str) -> Option<f64> {
    Some(match suffix {
        "" => 1.0,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was read, as one line: requests, then limits.
    fn shown(text: &str) -> String {
        match text.parse::<ProxyResources>() {
            Err(problem) => problem,
            Ok(found) => {
                let list = |map: &BTreeMap<&str, String>| {
                    let pairs = map.iter().map(|(name, quantity)| format!("{name} {quantity}"));
                    pairs.collect::<Vec<_>>().join(", ")
                };
                format!("{}; {}", list(&found.requests), list(&found.limits))
            }
        }
    }

    #[test]
    fn requests_and_limits() {
        for (text, expect) in [
            ("cpu=100m", "cpu 100m, memory 20Mi; "),
            ("cpu=1.5, memory=64Mi", "cpu 1.5, memory 64Mi; "),
            ("cpu-limit=1,memory-limit=1Gi", "cpu 10m, memory 20Mi; cpu 1, memory 1Gi"),
            ("memory-limit=16Mi", "cpu 10m, memory 16Mi; memory 16Mi"),
            ("memory=64Mi,memory-limit=32Mi", "the memory limit 32Mi is below the request 64Mi"),
            ("cpu=0", "found \"cpu=0\""),
            ("cpu=-1", "found \"cpu=-1\""),
            ("cpu=1x", "found \"cpu=1x\""),
            ("gpu=1", "found \"gpu=1\""),
            ("cpu", "found \"cpu\""),
            ("", "found \"\""),
            ("cpu=1\nmemory=2", "found \"cpu=1\\nmemory=2\""),
            ("cpu=$(reboot)", "found \"cpu=$(reboot)\""),
        ] {
            assert_eq!(shown(text), expect, "{text}");
        }
    }
}
