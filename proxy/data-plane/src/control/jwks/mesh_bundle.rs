//! The keys that tokens of the own mesh are verified with: the JWT authorities of the own trust domain, from wherever the
//! proxy's certificate comes from. A Workload API sends them on a stream of its own (`FetchJWTBundles`, SPIFFE Workload
//! API §6.2.2); beside PEM files they are one file more.
//!
//! The last good keys stay while the agent is away or its answer cannot be read. An answer that has none for the own trust
//! domain takes them away: it is the whole truth (§4.3).

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use back_off::BackOff;
use identity::TrustDomain;
use identity::jws::{KeySet, KeySetError};
use policy::KeySource;

use super::{KeysError, put_new, refused};
use crate::control::config::{self, Config, IdentitySource};
use crate::control::credentials::workload_api;
use crate::control::directory_watch::DirectoryWatch;
use crate::traffic::state::ProxyState;
use crate::traffic::token_keys::TokenKeys;

/// First wait after a failure, doubled each time.
const RETRY_MIN: Duration = Duration::from_millis(250);
/// The longest wait after a failure: the socket is local.
const RETRY_MAX: Duration = Duration::from_secs(5);

/// Why a proxy has no keys for a rule about the mesh's own tokens.
#[derive(Debug, thiserror::Error)]
pub(super) enum MeshBundleError {
    /// The rule is about another trust domain.
    #[error(
        "{0} is another trust domain than the own one; name its issuer's `jwks` or `jwksUri`, or trust its tokens through an issuer of the web"
    )]
    Foreign(TrustDomain),
    /// Nothing brings the keys.
    #[error("`identity.files.jwtBundle` names no file of the trust domain's keys")]
    NoFile,
}

/// Reads the keys that are in a file, before the rules that need them come into force. Those of a Workload API come by
/// themselves.
pub(super) fn prepare(
    keys: &TokenKeys,
    source: &KeySource,
    domain: &TrustDomain,
    config: &Config,
) -> Result<(), KeysError> {
    is_own(domain, config)?;
    let IdentitySource::Files(files) = &config.identity else { return Ok(()) };
    let path = files.jwt_bundle.as_ref().ok_or(MeshBundleError::NoFile)?;
    keys.put(source, Some(read(path)?));
    Ok(())
}

/// Follows the keys for ever. What cannot be helped was said by [`prepare`].
pub(super) async fn follow(
    state: &ProxyState,
    config: &Config,
    source: &KeySource,
    domain: &TrustDomain,
) {
    if is_own(domain, config).is_err() {
        return;
    }
    match &config.identity {
        IdentitySource::WorkloadApi(socket) => follow_agent(state, source, domain, socket).await,
        IdentitySource::Files(files) => {
            if let Some(path) = &files.jwt_bundle {
                follow_file(state, source, path).await;
            }
        }
    }
}

fn is_own(domain: &TrustDomain, config: &Config) -> Result<(), MeshBundleError> {
    match *domain == config.trust_domain {
        true => Ok(()),
        false => Err(MeshBundleError::Foreign(domain.clone())),
    }
}

async fn follow_agent(state: &ProxyState, source: &KeySource, domain: &TrustDomain, socket: &Path) {
    let mut back_off = BackOff::new(RETRY_MIN, RETRY_MAX);
    loop {
        let mut answered = false;
        if let Err(error) = follow_once(state, source, domain, socket, &mut answered).await {
            state.metrics.token_keys_update(false);
            let error = format!("{error:#}");
            tracing::warn!(socket = %socket.display(), error, "the stream of the mesh's token keys ended; retrying");
        }
        if answered {
            back_off.reset();
        }
        tokio::time::sleep(back_off.next_wait()).await;
    }
}

async fn follow_once(
    state: &ProxyState,
    source: &KeySource,
    domain: &TrustDomain,
    socket: &Path,
    answered: &mut bool,
) -> anyhow::Result<()> {
    let limit = state.settings.limits.identity_timeout;
    let mut answers = tokio::time::timeout(limit, workload_api::ask_jwt_bundles(socket))
        .await
        .map_err(|_| anyhow!("no answer within {limit:?}"))?
        .context("is the agent running, and is `identity.workloadApi` its socket?")?;
    while let Some(bundles) = answers.next().await? {
        let taken = match bundles.of(domain) {
            Some(text) => take(state, source, text),
            None => withdraw(state, source),
        };
        state.metrics.token_keys_update(taken.is_ok());
        match taken {
            Ok(()) => *answered = true,
            Err(error) => refused(source, &error),
        }
    }
    Err(anyhow!("the agent closed the stream"))
}

/// Puts a bundle in force. One without keys is no mistake: its trust domain issues no tokens.
fn take(state: &ProxyState, source: &KeySource, text: &[u8]) -> Result<(), KeysError> {
    match KeySet::of_jwt_authorities(text) {
        Ok(keys) => {
            put_new(state, source, keys);
            Ok(())
        }
        Err(KeySetError::NoUsableKey) => withdraw(state, source),
        Err(error) => Err(error.into()),
    }
}

fn withdraw(state: &ProxyState, source: &KeySource) -> Result<(), KeysError> {
    if state.token_keys.keys().get(source).is_some() {
        tracing::warn!("the agent has no keys for tokens of the mesh any more");
        state.token_keys.put(source, None);
    }
    Ok(())
}

async fn follow_file(state: &ProxyState, source: &KeySource, path: &Path) {
    let poll = state.settings.limits.resource_poll;
    let mut changes = DirectoryWatch::of_directories(path.parent(), poll, |_| true);
    let mut complained = false;
    loop {
        changes.next().await;
        match read(path) {
            Ok(keys) => {
                put_new(state, source, keys);
                complained = false;
            }
            // A file that is half written changes nothing.
            Err(error) if !complained => {
                refused(source, &error);
                state.metrics.token_keys_update(false);
                complained = true;
            }
            Err(_) => {}
        }
    }
}

fn read(path: &Path) -> Result<KeySet, KeysError> {
    Ok(KeySet::of_jwt_authorities(&config::read_file(path)?.bytes)?)
}

#[cfg(test)]
mod tests;
