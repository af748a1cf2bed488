//! What changes the state while the proxy runs: resource files, watched and polled, or the controller's stream
//! ([`crate::control::cluster`]).

use policy::Resources;

use crate::clock::unix_now;
use crate::control::config::is_resource_name;
use crate::control::directory_watch::DirectoryWatch;
use crate::control::installer::ResourceInstaller;
use crate::control::known_files::{KnownFiles, Look, logged};
use crate::traffic::state::ProxyState;

/// Follows the resource directory for ever, and reads only the files that may have changed: thousands of policies read at
/// each look would take the CPU from the traffic. A set that cannot be read, or has one error, changes nothing and is
/// counted; the last good set stays.
pub async fn follow_resources(installer: ResourceInstaller) {
    let config = &installer.config;
    let Some(directory) = config.resources.clone() else { return };
    let poll = config.limits.resource_poll;
    let watched = [directory.as_path()];
    let mut changes = DirectoryWatch::of_directories(watched, poll, is_resource_name);
    let mut known = KnownFiles::new(directory.clone(), &config.root_namespace);
    // At once: what has changed since the start, before anything was watched, is not to wait for the poll.
    loop {
        let unix = i64::try_from(unix_now()).unwrap_or(i64::MAX);
        match known.look(unix) {
            Look::Same => {}
            Look::Taken(resources, files) => take(&installer, *resources, files),
            Look::Refused(error) => refuse(&installer.state, &error),
        }
        changes.next().await;
    }
}

fn take(installer: &ResourceInstaller, resources: Resources, files: usize) {
    let config = &installer.config;
    let checked = resources.without_impersonations(std::slice::from_ref(&config.trust_domain));
    let checked = match config.gateway {
        Some(_) => checked.and_then(Resources::with_usable_sign_ins),
        None => checked,
    };
    match checked {
        Ok(resources) => {
            installer.install(&resources);
            tracing::info!(files, "resources in force");
        }
        Err(diagnostics) => refuse(&installer.state, &logged(&diagnostics)),
    }
}

fn refuse(state: &ProxyState, error: &str) {
    state.metrics.config_update(false);
    tracing::error!(error, "resources refused; the last good set stays in force");
}
