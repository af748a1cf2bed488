//! A file read by itself, so that a change of one file costs that file and no other.
//!
//! Only sets without a mistake are joined of such files. Where anything is wrong, in a file or between two of them, the
//! set is read whole by [`Resources::parse`], which tells all of it: what is refused, and why, is said in one place.

use std::collections::HashSet;

use super::kind::ResourceKind;
use super::set::{self, PortKey, ResourceSet};
use super::{ReadOptions, Resources, SourceFile};

/// A file of a set, read by itself and without a mistake in it.
#[derive(Debug)]
pub struct ReadFile {
    resources: Resources,
    /// What it defines, once in a set: its objects, and the ports of its ServiceEntries' hosts.
    objects: Vec<(ResourceKind, Box<str>)>,
    ports: Vec<PortKey>,
}

impl ReadFile {
    /// Reads a file. `None`: something is wrong in it.
    pub fn read(file: &SourceFile, root_namespace: &str) -> Option<Self> {
        let mut set = ResourceSet::new(ReadOptions::strict(root_namespace));
        let mut diagnostics = Vec::new();
        set.read_file(file, &mut diagnostics);
        if !diagnostics.is_empty() {
            return None;
        }
        let ResourceSet { resources, seen, ports, .. } = set;
        let objects = seen.into_keys().map(|(kind, name)| (kind, name.into_boxed_str()));
        Some(Self { resources, objects: objects.collect(), ports: ports.into_keys().collect() })
    }
}

impl Resources {
    /// The set of these files, as [`Self::parse`] makes it of them in this order. `None`: something is wrong between them.
    pub fn join<'f>(
        files: impl IntoIterator<Item = &'f ReadFile>,
        root_namespace: &str,
    ) -> Option<Self> {
        let mut joined = Self::empty(root_namespace);
        let (mut objects, mut ports) = (HashSet::new(), HashSet::new());
        for file in files {
            let new = file.objects.iter().all(|object| objects.insert(object))
                && file.ports.iter().all(|port| ports.insert(port));
            if !new {
                return None;
            }
            joined.extend(&file.resources);
        }
        joined.sort();
        set::between(&joined).is_empty().then_some(joined)
    }

    fn extend(&mut self, part: &Self) {
        self.authorization.extend(part.authorization.iter().cloned());
        self.peer_authentication.extend(part.peer_authentication.iter().cloned());
        self.request_authentication.extend(part.request_authentication.iter().cloned());
        self.token_policies.extend(part.token_policies.iter().cloned());
        self.client_credentials.extend(part.client_credentials.iter().cloned());
        self.token_exchanges.extend(part.token_exchanges.iter().cloned());
        self.token_introspections.extend(part.token_introspections.iter().cloned());
        self.token_revocations.extend(part.token_revocations.iter().cloned());
        self.topic_policies.extend(part.topic_policies.iter().cloned());
        self.api_key_policies.extend(part.api_key_policies.iter().cloned());
        self.sign_ins.extend(part.sign_ins.iter().cloned());
        self.threat_policies.extend(part.threat_policies.iter().cloned());
        self.api_schemas.extend(part.api_schemas.iter().cloned());
        self.rate_limit_policies.extend(part.rate_limit_policies.iter().cloned());
        self.abuse_policies.extend(part.abuse_policies.iter().cloned());
        self.service_entries.extend(part.service_entries.iter().cloned());
        self.extend_calls(part);
        self.extend_edge(part);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::resources::DEFAULT_ROOT_NAMESPACE;

    fn object(kind: &str, name: &str, spec: &str) -> String {
        let group = match kind {
            "ServiceEntry" => "networking.istio.io/v1",
            "HTTPRoute" => "gateway.networking.k8s.io/v1",
            _ => "security.istio.io/v1",
        };
        format!(
            "apiVersion: {group}\nkind: {kind}\nmetadata: {{name: {name}, namespace: shop}}\nspec: {spec}\n"
        )
    }

    fn entry(name: &str, host: &str) -> String {
        object(
            "ServiceEntry",
            name,
            &format!("{{hosts: [{host}], ports: [{{number: 80, name: http}}]}}"),
        )
    }

    fn route(name: &str, rules: &str) -> String {
        let parents = "[{group: '', kind: Service, name: cart}]";
        object("HTTPRoute", name, &format!("{{parentRefs: {parents}, rules: {rules}}}"))
    }

    /// The set of files that were read one by one, and the one of files that were read together.
    fn both(texts: &[String]) -> (Option<Resources>, Option<Resources>) {
        let files: Vec<_> = texts
            .iter()
            .enumerate()
            .map(|(at, text)| SourceFile {
                name: format!("{at}.yaml"),
                bytes: text.clone().into_bytes(),
            })
            .collect();
        let read = files.iter().map(|file| ReadFile::read(file, DEFAULT_ROOT_NAMESPACE));
        let read: Option<Vec<_>> = read.collect();
        let joined = read.and_then(|read| Resources::join(&read, DEFAULT_ROOT_NAMESPACE));
        (joined, Resources::parse(&files, DEFAULT_ROOT_NAMESPACE).ok())
    }

    #[test]
    fn files_read_one_by_one_are_the_set_that_is_read_whole() {
        let backend = "[{backendRefs: [{name: cart, port: 80}]}]";
        let policy = |name| object("AuthorizationPolicy", name, "{rules: [{}]}");
        let named = object(
            "AuthorizationPolicy",
            "named",
            "{targetRefs: [{kind: Service, group: '', name: a}], rules: [{}]}",
        );
        let service = entry("a", "a.shop.svc.cluster.local").replace(
            "ports:",
            "endpoints: [{address: 10.0.0.1, serviceAccount: a}], resolution: STATIC, ports:",
        );
        for (name, files, taken) in [
            ("none", vec![], true),
            ("comments", vec!["# nothing\n".to_owned()], true),
            (
                "routes, not in their order",
                vec![route("two", backend), route("one", backend)],
                true,
            ),
            ("policies", vec![policy("b"), policy("a") + "---\n" + &policy("c")], true),
            (
                "services",
                vec![entry("a", "a.example"), entry("b", "b.example") + "---\n" + &policy("b")],
                true,
            ),
            ("a file of 0 bytes", vec![policy("a"), String::new()], false),
            ("a mistake", vec![policy("a"), policy("b").replace("rules", "rule")], false),
            ("an object again", vec![policy("a"), policy("a")], false),
            ("an object again in its file", vec![policy("a") + "---\n" + &policy("a")], false),
            ("a port again", vec![entry("a", "a.example"), entry("b", "a.example")], false),
            ("broken YAML", vec![policy("a"), "a: [".to_owned()], false),
            ("a target in another file", vec![named.clone(), service], true),
            ("a target that is in none", vec![named, entry("b", "b.example")], false),
        ] {
            let (joined, whole) = both(&files);
            assert_eq!(whole.is_some(), taken, "{name}");
            assert_eq!(format!("{joined:?}"), format!("{whole:?}"), "{name}");
        }
    }
}
