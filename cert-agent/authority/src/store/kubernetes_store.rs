//! The store in Secrets of a Kubernetes cluster: what replicas of an authority share there.
//!
//! A Secret holds 1 MiB at most, so entries are spread by a hash of their key over 16 of them, `NAME-0` to `NAME-f`,
//! made when they are needed. An entry is one member of a Secret's `data`, named `KIND.NAME`. A change reads the
//! Secret, changes that member, and puts the Secret back with the `resourceVersion` it was read with; the API server
//! refuses it (409) when anybody was faster, and then it is tried anew. The version of an entry is a hash of its
//! value: an entry that became what it was before is the entry it was before.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use anyhow::Context;
use aws_lc_rs::digest::{SHA256, digest};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::runtime::Runtime;
use zeroize::{Zeroize, Zeroizing};

use crate::store::secret::hex;
use crate::store::{EntryKey, EntryVersion, Store, StoreEntry, kubernetes};

/// The Secrets that entries are spread over.
const SHARDS: u8 = 16;
/// Of all values of one Secret, bytes: the API server takes 1 MiB with everything around them.
const MAX_SHARD: usize = 900 * 1024;
/// Tries of one change; each failure means that another replica made progress.
const MAX_TRIES: usize = 50;
/// For one call, its tries together.
const DEADLINE: Duration = Duration::from_secs(8);

/// Where the Secrets are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretsLocation {
    namespace: String,
    name: String,
}

impl SecretsLocation {
    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name in it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads `NAMESPACE/NAME`.
    ///
    /// # Errors
    /// What to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let label = |part: &str| {
            (1..=50).contains(&part.len())
                && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                && !part.starts_with('-')
                && !part.ends_with('-')
        };
        match text.split_once('/') {
            Some((namespace, name)) if label(namespace) && label(name) => {
                Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => Err(format!(
                "`{text}` is not NAMESPACE/NAME; write for example postern-system/authority-state"
            )),
        }
    }
}

impl fmt::Display for SecretsLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The store.
pub struct KubernetesStore {
    /// The client's own: calls come from threads of any kind, and from commands that have no runtime.
    runtime: Option<Runtime>,
    secrets: Api<Secret>,
    place: SecretsLocation,
}

impl fmt::Debug for KubernetesStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KubernetesStore").field("place", &self.place).finish_non_exhaustive()
    }
}

impl KubernetesStore {
    /// A store at this place; nothing is asked yet.
    ///
    /// # Errors
    /// As [`kubernetes::client`].
    pub fn open(place: SecretsLocation, kubeconfig: Option<&Path>) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("kubernetes-store")
            .enable_all()
            .build()
            .context("cannot start a thread")?;
        let kubeconfig = kubeconfig.map(Path::to_owned);
        let (done, made) = sync_channel(1);
        runtime.spawn(async move { done.send(kubernetes::client(kubeconfig.as_deref()).await) });
        let client: Client = made.recv_timeout(DEADLINE).context("the connection's set-up")??;
        let secrets = Api::namespaced(client, &place.namespace);
        Ok(Self { runtime: Some(runtime), secrets, place })
    }

    /// Runs a call to its end on our own thread, while this one waits.
    fn wait<T: Send + 'static>(
        &self,
        call: impl Future<Output = io::Result<T>> + Send + 'static,
    ) -> io::Result<T> {
        let late =
            || io::Error::new(ErrorKind::TimedOut, "no answer of the Kubernetes API within 8 s");
        let runtime = self.runtime.as_ref().ok_or(ErrorKind::NotConnected)?;
        let (done, outcome) = sync_channel(1);
        runtime.spawn(async move {
            let outcome = tokio::time::timeout(DEADLINE, call).await;
            // Whoever waited may have given up.
            let _ = done.send(outcome.unwrap_or_else(|_| Err(late())));
        });
        outcome.recv_timeout(DEADLINE + Duration::from_secs(1)).unwrap_or_else(|_| Err(late()))
    }

    /// Changes one Secret, again when another writer came between. False when `change` finds nothing to do.
    fn change(
        &self,
        key: &EntryKey,
        change: impl Fn(&mut BTreeMap<String, ByteString>) -> bool + Send + 'static,
    ) -> io::Result<bool> {
        let (secrets, name) = (self.secrets.clone(), self.shard_of(key));
        self.wait(async move {
            for _ in 0..MAX_TRIES {
                let found = get(&secrets, &name).await?;
                let is_new = found.is_none();
                let mut shard = found.unwrap_or_else(|| empty(&name));
                let data = shard.0.data.get_or_insert_default();
                if !change(data) {
                    return Ok(false);
                }
                if data.values().map(|value| value.0.len()).sum::<usize>() > MAX_SHARD {
                    let full = format!(
                        "the Secret {name} is full; revoke tokens and instances that are not needed"
                    );
                    return Err(io::Error::new(ErrorKind::StorageFull, full));
                }
                if put(&secrets, &name, &shard.0, is_new).await? {
                    return Ok(true);
                }
            }
            let message = format!("the Secret {name} is changed by others all the time; try again");
            Err(io::Error::new(ErrorKind::WouldBlock, message))
        })
    }

    fn shard_of(&self, key: &EntryKey) -> String {
        let hash = digest(&SHA256, key.to_string().as_bytes());
        let number = hash.as_ref().first().map_or(0, |byte| byte % SHARDS);
        self.shard(number)
    }

    fn shard(&self, number: u8) -> String {
        format!("{}-{number:x}", self.place.name)
    }
}

impl Store for KubernetesStore {
    fn get(&self, key: &EntryKey) -> io::Result<Option<StoreEntry>> {
        let (secrets, name, member) = (self.secrets.clone(), self.shard_of(key), member(key));
        self.wait(async move {
            let found = get(&secrets, &name).await?;
            let data = found.as_ref().and_then(|shard| shard.0.data.as_ref());
            Ok(data.and_then(|data| data.get(&member)).map(entry))
        })
    }

    fn create(&self, key: &EntryKey, value: &[u8]) -> io::Result<bool> {
        let (member, value) = (member(key), Zeroizing::new(value.to_vec()));
        self.change(key, move |data| {
            let is_new = !data.contains_key(&member);
            if is_new {
                data.insert(member.clone(), ByteString(value.to_vec()));
            }
            is_new
        })
    }

    fn replace(&self, key: &EntryKey, value: &[u8], version: &EntryVersion) -> io::Result<bool> {
        let (member, version) = (member(key), version.clone());
        let value = Zeroizing::new(value.to_vec());
        self.change(key, move |data| {
            let is_at = data.get(&member).is_some_and(|found| version_of(found) == version);
            if is_at {
                data.insert(member.clone(), ByteString(value.to_vec()));
            }
            is_at
        })
    }

    fn remove(&self, key: &EntryKey, version: &EntryVersion) -> io::Result<bool> {
        let (member, version) = (member(key), version.clone());
        self.change(key, move |data| {
            let is_at = data.get(&member).is_some_and(|found| version_of(found) == version);
            if is_at {
                data.remove(&member);
            }
            is_at
        })
    }

    fn list(&self, kind: &str) -> io::Result<Vec<(EntryKey, StoreEntry)>> {
        let mut listed = Vec::new();
        for number in 0..SHARDS {
            let (secrets, name) = (self.secrets.clone(), self.shard(number));
            let kind = kind.to_owned();
            listed.extend(self.wait(async move {
                let found = get(&secrets, &name).await?;
                let mut entries = Vec::new();
                let data = found.as_ref().and_then(|shard| shard.0.data.as_ref());
                for (member, value) in data.into_iter().flatten() {
                    // A member that is not ours is not for us to judge.
                    if let Some((of_kind, name)) = member.split_once('.')
                        && of_kind == kind
                        && let Ok(key) = EntryKey::new(of_kind, name)
                    {
                        entries.push((key, entry(value)));
                    }
                }
                Ok(entries)
            })?);
        }
        listed.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(listed)
    }
}

impl Drop for KubernetesStore {
    fn drop(&mut self) {
        // Waiting for its thread would not be allowed inside of another runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A Secret that is wiped when it is dropped.
struct WipedSecret(Secret);

impl Drop for WipedSecret {
    fn drop(&mut self) {
        for value in self.0.data.iter_mut().flat_map(BTreeMap::values_mut) {
            value.0.zeroize();
        }
    }
}

fn empty(name: &str) -> WipedSecret {
    let labels = [("app.kubernetes.io/managed-by".to_owned(), "postern-authority".to_owned())];
    WipedSecret(Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(labels.into()),
            ..ObjectMeta::default()
        },
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    })
}

async fn get(secrets: &Api<Secret>, name: &str) -> io::Result<Option<WipedSecret>> {
    let found = secrets.get_opt(name).await;
    found.map(|found| found.map(WipedSecret)).map_err(|error| failed(name, &error))
}

/// False: another writer was faster (409 AlreadyExists or Conflict), or removed the Secret (404).
async fn put(secrets: &Api<Secret>, name: &str, secret: &Secret, is_new: bool) -> io::Result<bool> {
    let params = PostParams::default();
    let put = match is_new {
        true => secrets.create(&params, secret).await,
        // With the resourceVersion it was read with.
        false => secrets.replace(name, &params, secret).await,
    };
    match put {
        Ok(stored) => {
            drop(WipedSecret(stored));
            Ok(true)
        }
        Err(kube::Error::Api(status)) if status.code == 409 || (status.code == 404 && !is_new) => {
            Ok(false)
        }
        Err(error) => Err(failed(name, &error)),
    }
}

/// The API server's own words, cut; they never hold the Secret.
fn failed(name: &str, error: &kube::Error) -> io::Error {
    let words: String = error.to_string().chars().take(300).collect();
    let hint = match error {
        kube::Error::Api(status) if matches!(status.code, 401 | 403) => {
            "; the authority's account needs the rights get, create and update on secrets"
        }
        _ => "",
    };
    io::Error::other(format!("the Secret {name}: {words}{hint}"))
}

fn member(key: &EntryKey) -> String {
    format!("{}.{}", key.kind(), key.name())
}

fn entry(value: &ByteString) -> StoreEntry {
    StoreEntry { value: Zeroizing::new(value.0.clone()), version: version_of(value) }
}

fn version_of(value: &ByteString) -> EntryVersion {
    EntryVersion(hex(digest(&SHA256, &value.0).as_ref()))
}
