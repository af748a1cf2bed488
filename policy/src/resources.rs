//! What people write: Kubernetes YAML documents, read strictly.
//!
//! The language is the one people know (`security.istio.io`, `networking.istio.io`), under a strict profile: an unknown field, kind or
//! wildcard form is a mistake, and a set with any mistake is refused whole, so that a misspelt rule never widens access.

mod authorization;
mod condition;
mod jwt_rule;
mod object;
mod peer_authentication;
mod request_authentication;
mod rules;
mod selector;
mod service_entry;
mod target;
mod token_policy;

use std::collections::HashMap;
use std::sync::Arc;

use crate::yaml::{self, Mark, Reader, Value};
use crate::{Mistake, Mistakes, Service};

pub use authorization::{Action, AuthorizationPolicy};
pub use peer_authentication::PeerAuthentication;
pub(crate) use peer_authentication::Scope;
pub use request_authentication::RequestAuthentication;
pub use rules::check_path_pattern;
pub use selector::Selector;
pub use service_entry::ServiceEntry;
pub use token_policy::TokenPolicy;

/// The namespace whose resources act on the whole mesh, unless set otherwise.
pub const DEFAULT_ROOT_NAMESPACE: &str = "postern-system";

/// A resource file as it was read: a name for messages and the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// The name messages show.
    pub name: String,
    /// The contents.
    pub bytes: Vec<u8>,
}

/// A checked set of resources, ready for [`crate::Snapshot::build`].
#[derive(Debug, Clone)]
pub struct Resources {
    root_namespace: Arc<str>,
    authorization: Vec<Arc<AuthorizationPolicy>>,
    peer_authentication: Vec<PeerAuthentication>,
    request_authentication: Vec<RequestAuthentication>,
    token_policies: Vec<TokenPolicy>,
    service_entries: Vec<ServiceEntry>,
}

impl Resources {
    /// The empty set.
    pub fn empty(root_namespace: &str) -> Self {
        Self {
            root_namespace: root_namespace.into(),
            authorization: Vec::new(),
            peer_authentication: Vec::new(),
            request_authentication: Vec::new(),
            token_policies: Vec::new(),
            service_entries: Vec::new(),
        }
    }

    /// Reads and checks every file.
    ///
    /// # Errors
    /// All mistakes of all files at once. A file of 0 bytes is one: it is a torn write, not an empty set.
    pub fn parse(files: &[SourceFile], root_namespace: &str) -> Result<Self, Mistakes> {
        let mut set = Set {
            resources: Self::empty(root_namespace),
            seen: HashMap::new(),
            ports: HashMap::new(),
        };
        let mut mistakes = Vec::new();
        for file in files {
            set.read_file(file, &mut mistakes);
        }
        let policies = &set.resources.authorization;
        mistakes.extend(policies.iter().flat_map(|policy| policy.unresolved(&set.resources)));
        let tokens = &set.resources.request_authentication;
        mistakes.extend(tokens.iter().flat_map(|object| object.unresolved(&set.resources)));
        set.resources.authorization.sort_by(|a, b| a.name().cmp(b.name()));
        set.resources.request_authentication.sort_by(|a, b| a.name().cmp(b.name()));
        Mistakes::none_or(set.resources, mistakes)
    }

    /// The root namespace the set was read for.
    pub fn root_namespace(&self) -> &str {
        &self.root_namespace
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.authorization.len()
            + self.peer_authentication.len()
            + self.request_authentication.len()
            + self.token_policies.len()
            + self.service_entries.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The AuthorizationPolicies, by `namespace/name`.
    pub fn authorization_policies(&self) -> &[Arc<AuthorizationPolicy>] {
        &self.authorization
    }

    /// The PeerAuthentications.
    pub fn peer_authentications(&self) -> &[PeerAuthentication] {
        &self.peer_authentication
    }

    /// The RequestAuthentications, by `namespace/name`.
    pub fn request_authentications(&self) -> &[RequestAuthentication] {
        &self.request_authentication
    }

    /// The TokenPolicies.
    pub fn token_policies(&self) -> &[TokenPolicy] {
        &self.token_policies
    }

    /// The ServiceEntries.
    pub fn service_entries(&self) -> &[ServiceEntry] {
        &self.service_entries
    }
}

/// A set while it is read: what was seen, and where, to find what is there twice.
struct Set {
    resources: Resources,
    seen: HashMap<(object::Kind, String), Place>,
    /// By namespace, host and port.
    ports: HashMap<(Arc<str>, Arc<str>, u16), Place>,
}

/// A file and a place in it.
type Place = (Arc<str>, Mark);

impl Set {
    fn read_file(&mut self, file: &SourceFile, mistakes: &mut Vec<Mistake>) {
        let name: Arc<str> = file.name.as_str().into();
        if file.bytes.is_empty() {
            let fix = "write the file whole, or a comment for an empty set".to_owned();
            mistakes.push(Mistake::new(
                &name,
                Mark::FILE,
                "a file of 0 bytes",
                "YAML documents",
                Some(fix),
            ));
            return;
        }
        let documents = yaml::read(&name, &file.bytes, mistakes);
        let mut reader = Reader::new(name);
        for document in &documents {
            if let Some(root) = &document.root {
                self.read_object(&mut reader, Value { node: root, name: "" });
            }
        }
        mistakes.extend(reader.into_mistakes());
    }

    fn read_object(&mut self, reader: &mut Reader, root: Value<'_>) -> Option<()> {
        let object = object::read(reader, root)?;
        self.refuse_second(reader, &object);
        let root_namespace = Arc::clone(&self.resources.root_namespace);
        match object.kind {
            object::Kind::AuthorizationPolicy => {
                let policy = authorization::read(reader, &object)?;
                self.resources.authorization.push(Arc::new(policy));
            }
            object::Kind::PeerAuthentication => {
                let read = peer_authentication::read(reader, &object, &root_namespace)?;
                self.resources.peer_authentication.push(read);
            }
            object::Kind::RequestAuthentication => {
                let read = request_authentication::read(reader, &object)?;
                self.resources.request_authentication.push(read);
            }
            object::Kind::TokenPolicy => {
                let read = token_policy::read(reader, &object)?;
                self.resources.token_policies.push(read);
            }
            object::Kind::ServiceEntry => {
                let entry = service_entry::read(reader, &object, &root_namespace)?;
                self.refuse_second_port(reader, &object, &entry);
                self.resources.service_entries.push(entry);
            }
        }
        Some(())
    }

    /// Two objects of one kind and name: which of them holds must not depend on the order of files.
    fn refuse_second(&mut self, reader: &mut Reader, object: &object::Object<'_>) {
        let key = (object.kind, object.full_name());
        match self.seen.get(&key) {
            Some((file, mark)) => {
                let found = format!("{} {} again", object.kind.as_str(), key.1);
                let fix = format!(
                    "it stands already at {file}:{}:{}; rename or remove one",
                    mark.line, mark.column
                );
                reader.mistake(object.mark, found, "each object once", Some(fix));
            }
            None => {
                self.seen.insert(key, (Arc::clone(reader.file()), object.mark));
            }
        }
    }

    /// Two ServiceEntries of one namespace that say different things about one host and port.
    fn refuse_second_port(
        &mut self,
        reader: &mut Reader,
        object: &object::Object<'_>,
        entry: &ServiceEntry,
    ) {
        for service in entry.services() {
            for port in &service.ports {
                let key = (Arc::clone(&service.namespace), Arc::clone(&service.host), port.number);
                if let Some((file, mark)) = self.ports.get(&key) {
                    let found = format!("port {} of {} again", port.number, service.host);
                    let fix = format!(
                        "it stands already at {file}:{}:{}; remove one",
                        mark.line, mark.column
                    );
                    reader.mistake(
                        object.mark,
                        found,
                        "each host and port once in a namespace",
                        Some(fix),
                    );
                } else {
                    self.ports.insert(key, (Arc::clone(reader.file()), object.mark));
                }
            }
        }
    }
}

impl ServiceEntry {
    /// The services it defines, one a host, without the identities that depend on the trust domain.
    pub fn services(&self) -> &[Service] {
        &self.services
    }
}

#[cfg(test)]
mod tests;
