//! The keys of token issuers (JWKS), kept by the control thread.
//!
//! Each source has a task and a schedule of its own, so that a slow or broken issuer delays nothing else. Workers read
//! the [`TokenKeys`] and never wait; they can only report that a token names an unknown key
//! ([`TokenKeys::unknown_key`]).
//!
//! The last good keys hold for a day when an issuer is down; before the first ones, that issuer's tokens are refused
//! (401). There are no other keys to fall back to.

mod discovery;
mod mesh_bundle;
mod schedule;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use identity::jws::{KeySet, KeySetError};
use oauth::ProviderMetadata;
use policy::{KeySource, Snapshot, TokenRules};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::clock::unix_now;
use crate::control::config::{self, Config};
use crate::traffic::provider_calls::ProviderError;
use crate::traffic::state::ProxyState;
use crate::traffic::token_keys::TokenKeys;
use schedule::RefreshSchedule;
use web_fetch::WebDocument;

/// Sources followed at the same time; a workload trusts a handful of issuers.
const MAX_SOURCES: usize = 64;
/// For the document of a SignIn's provider, and for its keys.
const PROVIDER_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads the inline keys and those in files, before the rules that need them come into force.
pub fn prepare(keys: &TokenKeys, rules: &TokenRules, config: &Config) {
    for rule in rules.rules() {
        let source = &rule.jwt.keys;
        if keys.keys().get(source).is_some() {
            continue;
        }
        let read = match source {
            KeySource::Inline(text) => KeySet::parse(text.as_bytes()).map_err(KeysError::from),
            KeySource::File(path) => {
                read_file(path, config).and_then(|text| Ok(KeySet::parse(&text)?))
            }
            KeySource::Uri(_) | KeySource::Discovery(_) => continue,
            KeySource::MeshBundle(domain) => {
                if let Err(error) = mesh_bundle::prepare(keys, source, domain, config) {
                    refused(source, &error);
                }
                continue;
            }
        };
        match read {
            Ok(set) => keys.put(source, Some(set)),
            Err(error) => refused(source, &error),
        }
    }
}

/// Why keys were rejected.
#[derive(Debug, thiserror::Error)]
enum KeysError {
    #[error(transparent)]
    Fetch(#[from] ProviderError),
    #[error(transparent)]
    Discovery(#[from] discovery::DiscoveryError),
    #[error(transparent)]
    MeshBundle(#[from] mesh_bundle::MeshBundleError),
    #[error(transparent)]
    Set(#[from] KeySetError),
    #[error(transparent)]
    File(#[from] std::io::Error),
    #[error("{0} is not in the resource directory nor in one of `tokens.keyDirectories`")]
    OutOfBounds(String),
}

/// Follows the sources of the rules in force, for ever.
pub async fn keep(state: Arc<ProxyState>, config: Arc<Config>) {
    let mut changes = state.policy_changes();
    let mut followed: HashMap<(KeySource, Duration), (AbortHandle, Arc<Notify>)> = HashMap::new();
    loop {
        let sources = sources_to_follow(&state.snapshot());
        followed.retain(|source, (task, _)| {
            let keep = sources.contains(source);
            if !keep {
                task.abort();
            }
            keep
        });
        for source in sources {
            followed.entry(source.clone()).or_insert_with(|| {
                let wake = Arc::new(Notify::new());
                let task =
                    tokio::spawn(follow(state.clone(), config.clone(), source, wake.clone()));
                (task.abort_handle(), wake)
            });
        }
        let wake = followed.iter().map(|((source, _), (_, wake))| (source.clone(), wake.clone()));
        state.token_keys.set_fetchers(wake.collect());
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// The sources to follow, each once, with the timeout of a fetch: those of token rules, and the providers of SignIns.
fn sources_to_follow(snapshot: &Snapshot) -> Vec<(KeySource, Duration)> {
    let rules = snapshot.tokens().rules().iter().map(|rule| &rule.jwt);
    let of_rules = rules.map(|rule| (&*rule.id, rule.keys.clone(), rule.timeout));
    let of_sign_ins = snapshot.sign_ins().policies().map(|policy| {
        let source = KeySource::Discovery(policy.settings.issuer.clone());
        (&*policy.name, source, PROVIDER_TIMEOUT)
    });
    let mut sources: Vec<(KeySource, Duration)> = Vec::new();
    for (by, source, timeout) in of_rules.chain(of_sign_ins) {
        let known = sources.iter().any(|(known, _)| *known == source);
        if known || matches!(source, KeySource::Inline(_)) {
            continue;
        }
        if sources.len() >= MAX_SOURCES {
            tracing::error!(
                by,
                "more than {MAX_SOURCES} sources of token keys; the rest are not fetched"
            );
            break;
        }
        sources.push((source, timeout));
    }
    sources
}

async fn follow(
    state: Arc<ProxyState>,
    config: Arc<Config>,
    (source, limit): (KeySource, Duration),
    wake: Arc<Notify>,
) {
    match &source {
        KeySource::File(path) => follow_file(&state, &config, &source, path).await,
        KeySource::MeshBundle(domain) => {
            mesh_bundle::follow(&state, &config, &source, domain).await;
        }
        _ => follow_issuer(&state, &source, limit, &wake).await,
    }
}

async fn follow_issuer(state: &ProxyState, source: &KeySource, limit: Duration, wake: &Notify) {
    // Keys that an earlier task of the source left: they hold for a day from now at the most.
    let held = state.token_keys.keys().get(source).map(|_| unix_now());
    let mut schedule = RefreshSchedule::new(held);
    loop {
        schedule.begins(unix_now());
        let fetched = tokio::time::timeout(limit, fetch_keys(state, source, limit)).await;
        let fetched = fetched.unwrap_or_else(|_| Err(ProviderError::Timeout(limit).into()));
        let taken = fetched.and_then(|document| {
            take(state, source, &document.body)?;
            Ok(document.max_age)
        });
        let now = unix_now();
        state.metrics.token_keys_update(taken.is_ok());
        match taken {
            Ok(max_age) => schedule.succeeded(now, max_age),
            Err(error) => {
                schedule.failed(now);
                refused(source, &error);
            }
        }
        if schedule.is_stale(now) && state.token_keys.keys().get(source).is_some() {
            tracing::error!(source = %source_label(source), "token keys could not be renewed for a day and are let go");
            state.token_keys.put(source, None);
            if let KeySource::Discovery(issuer) = source {
                state.sign_ins.providers.put(issuer, None);
            }
        }
        tokio::select! {
            () = tokio::time::sleep(schedule.wait(unix_now())) => {}
            () = wake.notified() => {
                tokio::time::sleep(schedule.wait_for_unknown_key(unix_now())).await;
            }
        }
    }
}

/// Puts a set in force, unless it is the one in force: cached verdicts about tokens then stay.
fn take(state: &ProxyState, source: &KeySource, text: &[u8]) -> Result<(), KeysError> {
    put_new(state, source, KeySet::parse(text)?);
    Ok(())
}

fn put_new(state: &ProxyState, source: &KeySource, keys: KeySet) {
    let book = state.token_keys.keys();
    if book.get(source).is_none_or(|held| **held != keys) {
        state.token_keys.put(source, Some(keys));
        tracing::info!(source = %source_label(source), "token keys in force");
    }
}

async fn fetch_keys(
    state: &ProxyState,
    source: &KeySource,
    limit: Duration,
) -> Result<WebDocument, KeysError> {
    let calls = &state.provider_calls;
    match source {
        KeySource::Discovery(issuer) => {
            let document = calls.get(&discovery::document_of(issuer), limit).await?;
            take_metadata(state, issuer, &document.body);
            let keys = discovery::keys_in(&document.body, issuer)?;
            Ok(calls.get(&keys, limit).await?)
        }
        KeySource::Uri(uri) => Ok(calls.get(uri, limit).await?),
        // The others are read where they are needed, or come by themselves.
        KeySource::Inline(_) | KeySource::File(_) | KeySource::MeshBundle(_) => {
            Err(ProviderError::Url(source_label(source).to_owned(), "it is not fetched").into())
        }
    }
}

/// Puts what a provider says of itself in force, where a SignIn names it. What cannot be used leaves the last good one.
fn take_metadata(state: &ProxyState, issuer: &Arc<str>, document: &[u8]) {
    if !state.snapshot().sign_ins().names(issuer) {
        return;
    }
    let read = ProviderMetadata::parse(document, issuer);
    match read.and_then(|metadata| metadata.for_sign_in().map(|_| metadata.clone())) {
        Ok(metadata) => state.sign_ins.providers.put(issuer, Some(metadata)),
        Err(error) => {
            tracing::warn!(%issuer, %error, "nobody can sign in with this document of the provider; the last good one stays");
        }
    }
}

/// A file that cannot be read or parsed changes nothing: it may be half written.
async fn follow_file(state: &ProxyState, config: &Config, source: &KeySource, path: &str) {
    let mut complained = false;
    loop {
        tokio::time::sleep(config.limits.resource_poll).await;
        let read = read_file(path, config);
        match read.and_then(|text| take(state, source, &text)) {
            Ok(()) => complained = false,
            Err(error) if !complained => {
                refused(source, &error);
                state.metrics.token_keys_update(false);
                complained = true;
            }
            Err(_) => {}
        }
    }
}

/// Reads a file of keys, if its real path is where resources may point to: symbolic links are resolved first (S-35).
fn read_file(path: &str, config: &Config) -> Result<Bytes, KeysError> {
    let real = Path::new(path).canonicalize()?;
    let allowed = config.resources.iter().chain(&config.tokens.key_directories);
    let inside = allowed.filter_map(|directory| directory.canonicalize().ok());
    if !inside.into_iter().any(|directory| real.starts_with(directory)) {
        return Err(KeysError::OutOfBounds(path.to_owned()));
    }
    Ok(config::read_file(&real)?.bytes.into())
}

fn refused(source: &KeySource, error: &KeysError) {
    let source = source_label(source);
    tracing::warn!(%source, %error, "token keys not taken; the last good ones stay, if there are any");
}

fn source_label(source: &KeySource) -> &str {
    match source {
        KeySource::Inline(_) => "inline",
        KeySource::MeshBundle(domain) => domain.as_str(),
        KeySource::File(text) | KeySource::Uri(text) | KeySource::Discovery(text) => text,
    }
}

#[cfg(test)]
mod tests;
