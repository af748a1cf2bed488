//! The annotations of namespaces, asked of the API server when a pod comes and remembered shortly.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use kube::api::Api;
use parking_lot::Mutex;

use crate::inject::NamespaceFacts;

/// How long an answer is good: an edit of a namespace takes this long to be seen by new pods.
const FRESH: Duration = Duration::from_secs(5);
/// For one question.
const DEADLINE: Duration = Duration::from_secs(3);
/// Namespaces remembered; all are forgotten when there are more.
const MOST: usize = 4096;

/// What is known of namespaces.
pub struct NamespaceCache {
    client: Client,
    known: Mutex<BTreeMap<String, (Instant, NamespaceFacts)>>,
}

impl fmt::Debug for NamespaceCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Namespaces").finish_non_exhaustive()
    }
}

impl NamespaceCache {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client, known: Mutex::new(BTreeMap::new()) }
    }

    /// The annotations of a namespace. While the API server does not answer, what it said last.
    ///
    /// # Errors
    /// It has never said anything about this one.
    pub async fn facts(&self, name: &str) -> anyhow::Result<NamespaceFacts> {
        let known = self.known.lock().get(name).cloned();
        if let Some((at, facts)) = &known
            && at.elapsed() < FRESH
        {
            return Ok(facts.clone());
        }
        match (self.ask(name).await, known) {
            (Ok(facts), _) => {
                self.remember(name, facts.clone());
                Ok(facts)
            }
            (Err(error), Some((_, facts))) => {
                tracing::warn!(
                    name,
                    error = format!("{error:#}"),
                    "using what is remembered of the namespace"
                );
                Ok(facts)
            }
            (Err(error), None) => Err(error),
        }
    }

    async fn ask(&self, name: &str) -> anyhow::Result<NamespaceFacts> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let namespace = tokio::time::timeout(DEADLINE, api.get_metadata(name))
            .await
            .map_err(|_| anyhow::anyhow!("no answer within {DEADLINE:?}"))
            .and_then(|asked| Ok(asked?))
            .with_context(|| format!("cannot read namespace {name}"))?;
        Ok(NamespaceFacts { annotations: namespace.metadata.annotations.unwrap_or_default() })
    }

    fn remember(&self, name: &str, facts: NamespaceFacts) {
        let mut known = self.known.lock();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(name.to_owned(), (Instant::now(), facts));
    }
}
