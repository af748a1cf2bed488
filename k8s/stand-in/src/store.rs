//! The objects, their versions, and what happened to them.

use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use serde_json::Value;
use tokio::sync::watch;

/// What a path names.
#[derive(Debug, Clone)]
pub struct RequestTarget {
    /// Group, version and plural: `v1/pods`, `security.istio.io/v1/authorizationpolicies`.
    pub collection: String,
    /// Empty for all namespaces.
    pub namespace: String,
    /// None for a collection.
    pub name: Option<String>,
    /// Whether the subresource `status` is meant.
    pub status: bool,
}

impl RequestTarget {
    /// What a path names; `None` where no API has such a path.
    #[must_use]
    pub fn of(path: &str) -> Option<Self> {
        let mut parts = path.trim_matches('/').split('/').collect::<Vec<_>>();
        let version = match *parts.first()? {
            "api" => parts.get(1)?.to_string(),
            "apis" => format!("{}/{}", parts.get(1)?, parts.get(2)?),
            _ => return None,
        };
        parts.drain(..if version.contains('/') { 3 } else { 2 });
        let mut namespace = String::new();
        if parts.first() == Some(&"namespaces") && parts.len() > 2 {
            namespace = parts[1].to_owned();
            parts.drain(..2);
        }
        let plural = parts.first()?;
        Some(Self {
            collection: format!("{version}/{plural}"),
            namespace,
            name: parts.get(1).map(ToString::to_string),
            status: parts.get(2) == Some(&"status"),
        })
    }
}

/// A change of an object, as watches see it.
#[derive(Debug, Clone)]
pub struct WatchEvent {
    /// The version of the change.
    pub version: u64,
    /// Group, version and plural.
    pub collection: String,
    /// `ADDED`, `MODIFIED` or `DELETED`.
    pub what: &'static str,
    /// The object after the change; of a deleted one the last state.
    pub object: Value,
}

#[derive(Debug, Default)]
struct StoreState {
    version: u64,
    objects: BTreeMap<String, BTreeMap<(String, String), Value>>,
    log: Vec<WatchEvent>,
    /// What happened before is forgotten: a watch from there gets 410.
    oldest: u64,
    absent: HashSet<String>,
}

/// The objects of a cluster and the log of their changes; and the switches by which a test makes the server fail.
#[derive(Debug)]
pub struct ObjectStore {
    inner: Mutex<StoreState>,
    changes: watch::Sender<u64>,
    outages: watch::Sender<u64>,
    down: AtomicBool,
    /// How many lists were answered, for tests of resyncs.
    pub lists: AtomicU64,
}

impl Default for ObjectStore {
    fn default() -> Self {
        Self {
            inner: Mutex::default(),
            changes: watch::Sender::new(0),
            outages: watch::Sender::new(0),
            down: AtomicBool::new(false),
            lists: AtomicU64::new(0),
        }
    }
}

/// The collection of an object.
///
/// # Panics
/// It has no `kind` or no `apiVersion`.
#[must_use]
pub fn collection_of(object: &Value) -> String {
    let kind = object["kind"].as_str().unwrap().to_ascii_lowercase();
    let plural = match kind.as_str() {
        "gateway" => "gateways".to_owned(),
        kind if kind.ends_with('y') => format!("{}ies", &kind[..kind.len() - 1]),
        kind if kind.ends_with('s') => format!("{kind}es"),
        kind => format!("{kind}s"),
    };
    format!("{}/{plural}", object["apiVersion"].as_str().unwrap())
}

fn key_of(object: &Value) -> (String, String) {
    let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
    (text("namespace"), text("name"))
}

impl ObjectStore {
    /// Whether there is an outage.
    pub fn is_down(&self) -> bool {
        self.down.load(SeqCst)
    }

    /// Ends every connection, and takes new ones only when `down` is false.
    pub fn set_down(&self, down: bool) {
        self.down.store(down, SeqCst);
        self.outages.send_modify(|outage| *outage += 1);
    }

    /// Ends every connection.
    pub fn disconnect(&self) {
        self.outages.send_modify(|outage| *outage += 1);
    }

    /// Forgets what happened: the next watch from an old version gets 410.
    pub fn compact(&self) {
        let mut inner = self.inner.lock().unwrap();
        inner.version += 1;
        inner.oldest = inner.version;
        inner.log.clear();
    }

    /// Whether the kind is known.
    pub fn knows(&self, collection: &str) -> bool {
        !self.inner.lock().unwrap().absent.contains(collection)
    }

    /// As if the kind's definition was not installed.
    pub fn set_absent(&self, collection: &str, absent: bool) {
        let mut inner = self.inner.lock().unwrap();
        if absent {
            inner.absent.insert(collection.to_owned());
        } else {
            inner.absent.remove(collection);
        }
    }

    /// Wakes at each change of an object.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Wakes when every connection is to end.
    pub fn outages(&self) -> watch::Receiver<u64> {
        self.outages.subscribe()
    }

    /// The version of the last change.
    pub fn version(&self) -> u64 {
        self.inner.lock().unwrap().version
    }

    /// Writes an object into the collection of its kind.
    pub fn put(&self, object: Value) -> Value {
        let collection = collection_of(&object);
        self.put_in(&collection, object)
    }

    /// Writes an object: metadata of a first version is made, a changed spec is a new generation.
    pub fn put_in(&self, collection: &str, mut object: Value) -> Value {
        let mut inner = self.inner.lock().unwrap();
        inner.version += 1;
        let version = inner.version;
        let key = key_of(&object);
        let before = inner.objects.entry(collection.to_owned()).or_default().get(&key).cloned();
        let metadata = &mut object["metadata"];
        metadata["resourceVersion"] = version.to_string().into();
        let kept = |key: &str| before.as_ref().map(|before| before["metadata"][key].clone());
        if metadata["uid"].is_null() {
            let uid = format!("00000000-0000-4000-8000-{version:012}");
            metadata["uid"] = kept("uid").unwrap_or_else(|| uid.into());
        }
        if metadata["creationTimestamp"].is_null() {
            metadata["creationTimestamp"] =
                kept("creationTimestamp").unwrap_or_else(|| "2026-11-23T12:00:00Z".into());
        }
        let same_spec = before.as_ref().is_some_and(|before| before["spec"] == object["spec"]);
        let generation = kept("generation").and_then(|value| value.as_i64()).unwrap_or(0);
        object["metadata"]["generation"] = (generation + i64::from(!same_spec)).into();
        let what = if before.is_some() { "MODIFIED" } else { "ADDED" };
        inner.objects.entry(collection.to_owned()).or_default().insert(key, object.clone());
        let happened =
            WatchEvent { version, collection: collection.into(), what, object: object.clone() };
        inner.log.push(happened);
        drop(inner);
        self.changes.send_modify(|change| *change += 1);
        object
    }

    /// Deletes an object, which watches see.
    pub fn delete(&self, collection: &str, namespace: &str, name: &str) -> Option<Value> {
        let mut inner = self.inner.lock().unwrap();
        let key = (namespace.to_owned(), name.to_owned());
        let mut object = inner.objects.get_mut(collection)?.remove(&key)?;
        inner.version += 1;
        let version = inner.version;
        object["metadata"]["resourceVersion"] = version.to_string().into();
        let collection = collection.to_owned();
        inner.log.push(WatchEvent { version, collection, what: "DELETED", object: object.clone() });
        drop(inner);
        self.changes.send_modify(|change| *change += 1);
        Some(object)
    }

    /// Takes an object out unseen by watches: a list after an outage finds it gone.
    pub fn lose(&self, collection: &str, namespace: &str, name: &str) {
        let mut inner = self.inner.lock().unwrap();
        let key = (namespace.to_owned(), name.to_owned());
        inner.objects.get_mut(collection).unwrap().remove(&key);
    }

    /// An object, if it is there.
    pub fn get(&self, collection: &str, namespace: &str, name: &str) -> Option<Value> {
        let inner = self.inner.lock().unwrap();
        let key = (namespace.to_owned(), name.to_owned());
        inner.objects.get(collection)?.get(&key).cloned()
    }

    /// The objects of a collection that fit, in their order: one page of them, how many are left, and the version they
    /// are of.
    pub fn list(
        &self,
        target: &RequestTarget,
        fits: impl Fn(&Value) -> bool,
        from: usize,
        most: usize,
    ) -> (Vec<Value>, usize, u64) {
        let inner = self.inner.lock().unwrap();
        let objects = inner.objects.get(&target.collection).into_iter().flatten();
        let here = objects.filter(|((namespace, _), object)| {
            (target.namespace.is_empty() || *namespace == target.namespace) && fits(object)
        });
        let mut rest = here.skip(from);
        let page: Vec<Value> = rest.by_ref().take(most).map(|(_, object)| object.clone()).collect();
        let left = rest.count();
        (page, left, inner.version)
    }

    /// What happened to a collection after a version; `None` when that is forgotten.
    pub fn since(&self, target: &RequestTarget, version: u64) -> Option<(Vec<WatchEvent>, u64)> {
        let inner = self.inner.lock().unwrap();
        if version < inner.oldest {
            return None;
        }
        let first = inner.log.partition_point(|happened| happened.version <= version);
        let here = inner.log[first..].iter().filter(|happened| {
            happened.collection == target.collection
                && (target.namespace.is_empty()
                    || happened.object["metadata"]["namespace"] == target.namespace.as_str())
        });
        Some((here.cloned().collect(), inner.version))
    }
}

/// Merges `patch` into `object`; lists are replaced (server-side apply of atomic lists).
pub fn merge(object: &mut Value, patch: &Value) {
    match (object, patch) {
        (Value::Object(object), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(object.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (object, patch) => *object = patch.clone(),
    }
}
