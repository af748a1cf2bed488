//! How the objects of a gateway are named.
//!
//! Its ServiceAccount, Deployment and Service are `<gateway>-postern`. A Service's name is one DNS label, a Gateway's may
//! be a whole domain: of one that does not fit, the name is what can be kept of it and a digest of the whole.

use std::collections::BTreeMap;

use crate::controller::convert::GATEWAY_LABEL;
use crate::controller::index::ObjectName;

/// What the names of a gateway's objects end with.
const SUFFIX: &str = "-postern";
/// The longest DNS label, and the longest value of a label.
const LONGEST_LABEL: usize = 63;
/// What is kept of a name that does not fit: with a letter in front, a digest of 16 and the suffix it is a label.
const LONGEST_KEPT: usize = 32;

/// The name of the ServiceAccount, Deployment and Service of a gateway.
#[must_use]
pub fn object_name(gateway: &str) -> String {
    format!("{}{SUFFIX}", label_value(gateway))
}

/// What runs a gateway, by its namespace and that name.
#[must_use]
pub fn runs(gateway: &ObjectName) -> ObjectName {
    let name = object_name(&gateway.name).into();
    ObjectName { namespace: gateway.namespace.clone(), name }
}

/// The value of [`GATEWAY_LABEL`] at a gateway's pods: its name where that is a DNS label that leaves room for the suffix
/// and is not in the form of what is made of others.
#[must_use]
pub fn label_value(gateway: &str) -> String {
    let begins_well = gateway.starts_with(|first: char| first.is_ascii_lowercase());
    let fits = gateway.len() + SUFFIX.len() <= LONGEST_LABEL;
    if begins_well && fits && !gateway.contains('.') && !is_digested(gateway) {
        return gateway.to_owned();
    }
    let kept: String =
        gateway.chars().take(LONGEST_KEPT).map(|c| if c == '.' { '-' } else { c }).collect();
    format!("g-{kept}-{:016x}", digest(gateway))
}

/// Whether it is what might be made of another name.
fn is_digested(gateway: &str) -> bool {
    let digest = gateway.strip_prefix("g-").and_then(|rest| rest.rsplit_once('-'));
    digest.is_some_and(|(_, digest)| {
        digest.len() == 16 && digest.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// FNV-1a: a name must be the same on every replica and in every version.
fn digest(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |digest, byte| {
        (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Whether a pod with these labels and this service account is a proxy of the gateway of this name, in its namespace.
///
/// Whoever makes pods in the namespace can make such a one; and can mount what it would be told as well.
#[must_use]
pub fn is_proxy_of(
    gateway: &str,
    labels: &BTreeMap<String, String>,
    service_account: &str,
) -> bool {
    labels.get(GATEWAY_LABEL).is_some_and(|value| *value == label_value(gateway))
        && service_account == object_name(gateway)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_labels() {
        let long = "a".repeat(56);
        for (gateway, expect) in [
            ("edge", "edge-postern"),
            (&long[..55], &format!("{}-postern", &long[..55])),
            (&long[..], "g-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-956c5576914f6c3d-postern"),
            ("edge.shop", "g-edge-shop-c1cbd0c941f6c33a-postern"),
            ("2nd", "g-2nd-6163601828866e9f-postern"),
        ] {
            let name = object_name(gateway);
            assert!(name.len() <= LONGEST_LABEL, "{name}");
            assert_eq!(name, expect, "{gateway}");
        }
        assert_ne!(object_name("edge.shop"), object_name("edge-shop"));
        assert_ne!(object_name("edge.shop"), object_name("g-edge-shop"));
        assert_ne!(object_name("edge.shop"), object_name(&label_value("edge.shop")));
        assert_eq!(object_name("g-edge-shop"), "g-edge-shop-postern");
    }

    #[test]
    fn whose_proxies() {
        let labels = |value: &str| BTreeMap::from([(GATEWAY_LABEL.to_owned(), value.to_owned())]);
        for (name, labels, account, expect) in [
            ("its own", labels("edge"), "edge-postern", true),
            ("of another account", labels("edge"), "default", false),
            ("of another gateway", labels("other"), "edge-postern", false),
            ("without a label", BTreeMap::new(), "edge-postern", false),
        ] {
            assert_eq!(is_proxy_of("edge", &labels, account), expect, "{name}");
        }
    }
}
