//! What changes the state while the proxy runs: resource files, watched and polled, or the controller's stream
//! ([`crate::control::cluster`]).

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecursiveMode, Watcher};
use policy::{Resources, SourceFile};
use tokio::sync::mpsc;

use crate::clock::unix_now;
use crate::control::config::{DirectoryStamp, read_directory};
use crate::control::installer::ResourceInstaller;
use crate::traffic::state::ProxyState;

/// Diagnostics that one log line lists; `check` lists all.
const MAX_LOGGED_DIAGNOSTICS: usize = 20;
/// A burst of events from an editor is waited out.
const SETTLE: Duration = Duration::from_millis(30);

/// Seconds between two changes of a file that surely have different times, on any file system.
const COARSEST_FILE_CLOCK: i64 = 3;

/// Wakes when something in some directories may have changed.
pub struct DirectoryWatch {
    events: mpsc::Receiver<()>,
    /// Kept so that it goes on watching; `None` when the system has no watcher: then there is only polling.
    _watcher: Option<notify::RecommendedWatcher>,
    poll: Duration,
}

impl DirectoryWatch {
    /// Watches directories, not files: a file that is replaced would be lost to its watcher. Looks every `poll`
    /// regardless, because watchers miss events (SECURITY-CASES F-11).
    pub fn of_directories<'a>(
        directories: impl IntoIterator<Item = &'a Path>,
        poll: Duration,
    ) -> Self {
        let (sender, events) = mpsc::channel(1);
        let wake = move |event: notify::Result<notify::Event>| {
            // Our own reading is an event too; treating it as a change would never end.
            if !event.is_ok_and(|event| is_only_read(&event)) {
                // A full channel means that a wake-up is already pending.
                let _ = sender.try_send(());
            }
        };
        let watcher = notify::recommended_watcher(wake).ok().map(|mut watcher| {
            for directory in directories {
                // Polling sees what cannot be watched.
                let _ = watcher.watch(directory, RecursiveMode::NonRecursive);
            }
            watcher
        });
        Self { events, _watcher: watcher, poll }
    }

    /// Waits for a change, or for the next poll.
    pub async fn next(&mut self) {
        if let Ok(Some(())) = tokio::time::timeout(self.poll, self.events.recv()).await {
            tokio::time::sleep(SETTLE).await;
            while self.events.try_recv().is_ok() {}
        }
    }
}

fn is_only_read(event: &notify::Event) -> bool {
    let written = EventKind::Access(AccessKind::Close(AccessMode::Write));
    matches!(event.kind, EventKind::Access(_)) && event.kind != written
}

/// Follows the resource directory for ever, and reads it only where a file may have changed: thousands of policies read
/// at each look would take the CPU from the traffic. A set that cannot be read, or has one error, changes nothing and is
/// counted; the last good set stays.
pub async fn follow_resources(installer: ResourceInstaller) {
    let config = &installer.config;
    let Some(directory) = config.resources.clone() else { return };
    let mut changes =
        DirectoryWatch::of_directories([directory.as_path()], config.limits.resource_poll);
    let mut seen = None;
    let mut known = KnownDirectory::default();
    loop {
        changes.next().await;
        // Taken before the files are read: what changes in between shows at the next look.
        let stamp = DirectoryStamp::of(&directory).ok();
        let read = || read_directory(&directory).map_err(|error| error.to_string());
        let unix = i64::try_from(unix_now()).unwrap_or(i64::MAX);
        let Some(look) = known.look(stamp, unix, read) else { continue };
        let now = fingerprint(&look);
        if seen != Some(now) {
            take(&installer, look);
            seen = Some(now);
        }
    }
}

/// What a look at the directory found: its files, or why they cannot be read.
type DirectoryListing = Result<Vec<SourceFile>, String>;

/// The directory as it was read last, where another look at the same files would find the same.
#[derive(Default)]
struct KnownDirectory(Option<DirectoryStamp>);

impl KnownDirectory {
    /// Reads the directory, unless nothing has changed since it was read. `unix` is the time of the stamp in seconds. What
    /// could not be read is read again, because the cause may be none of the files.
    fn look(
        &mut self,
        stamp: Option<DirectoryStamp>,
        unix: i64,
        read: impl FnOnce() -> DirectoryListing,
    ) -> Option<DirectoryListing> {
        if stamp.is_some() && stamp == self.0 {
            return None;
        }
        let look = read();
        let settled = |stamp: &DirectoryStamp| stamp.is_settled(unix, COARSEST_FILE_CLOCK);
        self.0 = stamp.filter(|stamp| look.is_ok() && settled(stamp));
        Some(look)
    }
}

fn take(installer: &ResourceInstaller, look: DirectoryListing) {
    let files = match look {
        Ok(files) => files,
        Err(error) => return refuse(&installer.state, &error),
    };
    let config = &installer.config;
    let mesh = std::slice::from_ref(&config.trust_domain);
    let read = Resources::parse(&files, &config.root_namespace);
    match read.and_then(|resources| resources.without_impersonations(mesh)) {
        Ok(resources) => {
            installer.install(&resources);
            tracing::info!(files = files.len(), "resources in force");
        }
        Err(diagnostics) => refuse(&installer.state, &diagnostics.first(MAX_LOGGED_DIAGNOSTICS)),
    }
}

fn refuse(state: &ProxyState, error: &str) {
    state.metrics.config_update(false);
    tracing::error!(error, "resources refused; the last good set stays in force");
}

fn fingerprint(look: &DirectoryListing) -> u64 {
    let mut hasher = DefaultHasher::new();
    match look {
        Ok(files) => files.iter().for_each(|file| (&file.name, &file.bytes).hash(&mut hasher)),
        Err(error) => error.hash(&mut hasher),
    }
    hasher.finish()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_read_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("a.yaml"), "one").unwrap();
        let stamp = || Some(DirectoryStamp::of(directory.path()).unwrap());
        let (fresh, settled) = (0, i64::MAX);
        let (failed, read) = (|| Err("no descriptor".to_owned()), || Ok(Vec::new()));
        let mut known = KnownDirectory::default();
        for (name, stamp, unix, listing, expect) in [
            ("the first look", stamp(), fresh, read(), true),
            ("it had changed a moment ago", stamp(), settled, failed(), true),
            ("the cause was none of the files", stamp(), settled, read(), true),
            ("nothing has changed", stamp(), settled, read(), false),
            ("out of reach", None, settled, failed(), true),
            ("there again", stamp(), settled, read(), true),
            ("nothing has changed since", stamp(), settled, read(), false),
        ] {
            assert_eq!(known.look(stamp, unix, || listing).is_some(), expect, "{name}");
        }
    }
}
