//! Wakes when something in some directories may have changed: watched, and polled beside.
//!
//! A file that was put in place whole is looked at almost at once; one that is being written, or is gone for the moment in
//! which an editor replaces it, is waited for.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind, RenameMode};
use notify::{Event, RecursiveMode, Watcher};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// A burst of events is waited out, and a file that is half written.
const SETTLE: Duration = Duration::from_millis(30);
/// How long nothing may happen until a burst is over: somebody who moves several files there does so at once.
const QUIET: Duration = Duration::from_millis(3);
/// How many half-written files are told apart; with more, all of [`SETTLE`] is waited out.
const MAX_UNFINISHED: usize = 64;

/// Wakes when something in some directories may have changed.
pub(super) struct DirectoryWatch {
    events: Arc<SeenEvents>,
    /// Kept so that it goes on watching; `None` when the system has no watcher: then there is only polling.
    _watcher: Option<notify::RecommendedWatcher>,
    poll: Duration,
}

#[derive(Default)]
struct SeenEvents {
    unfinished: Mutex<UnfinishedFiles>,
    wake: Notify,
}

impl DirectoryWatch {
    /// Watches directories, not files: a file that is replaced would be lost to its watcher. Looks every `poll`
    /// regardless, because watchers miss events (SECURITY-CASES F-11). `is_file` tells by its name whether a file is one
    /// of those that are read: for no other is waited until it is whole.
    pub(super) fn of_directories<'a>(
        directories: impl IntoIterator<Item = &'a Path>,
        poll: Duration,
        is_file: fn(&OsStr) -> bool,
    ) -> Self {
        let events = Arc::new(SeenEvents::default());
        let seen = Arc::clone(&events);
        let wake = move |event: notify::Result<Event>| {
            // Our own reading is an event too; treating it as a change would never end.
            if let Some(event) = event.ok().filter(|event| !is_only_read(event)) {
                seen.unfinished.lock().note(&event, is_file);
                seen.wake.notify_one();
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
    pub(super) async fn next(&mut self) {
        let woken = tokio::time::timeout(self.poll, self.events.wake.notified()).await;
        if woken.is_ok() {
            let _ = tokio::time::timeout(SETTLE, self.settled()).await;
        }
        *self.events.unfinished.lock() = UnfinishedFiles::default();
    }

    /// Waits until nothing has happened for a moment, and nothing is half done.
    async fn settled(&self) {
        loop {
            let quiet = tokio::time::timeout(QUIET, self.events.wake.notified()).await.is_err();
            if quiet && self.events.unfinished.lock().is_empty() {
                return;
            }
        }
    }
}

fn is_only_read(event: &Event) -> bool {
    let written = EventKind::Access(AccessKind::Close(AccessMode::Write));
    matches!(event.kind, EventKind::Access(_)) && event.kind != written
}

/// The files that are open for writing, or gone: what lies there now need not be what somebody wants.
#[derive(Debug, Default)]
struct UnfinishedFiles {
    names: HashSet<OsString>,
    too_many: bool,
}

impl UnfinishedFiles {
    fn note(&mut self, event: &Event, is_file: impl Fn(&OsStr) -> bool) {
        // Both sides of a rename together say nothing that the one and the other have not said.
        if event.kind == EventKind::Modify(ModifyKind::Name(RenameMode::Both)) {
            return;
        }
        let is_whole = is_whole(event.kind);
        for name in event.paths.iter().filter_map(|path| path.file_name()) {
            if is_whole {
                self.names.remove(name);
            } else if !is_file(name) {
            } else if self.names.len() < MAX_UNFINISHED {
                self.names.insert(name.to_owned());
            } else {
                self.too_many = true;
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.names.is_empty() && !self.too_many
    }
}

/// Whether the file is now as its writer wants it: closed by who wrote it, or moved here.
fn is_whole(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::Access(AccessKind::Close(AccessMode::Write))
            | EventKind::Modify(ModifyKind::Name(RenameMode::To))
    )
}

#[cfg(test)]
mod tests {
    use notify::event::{CreateKind, DataChange, RemoveKind};

    use super::*;

    const MOVED_HERE: EventKind = EventKind::Modify(ModifyKind::Name(RenameMode::To));
    const MOVED_AWAY: EventKind = EventKind::Modify(ModifyKind::Name(RenameMode::From));
    const MOVED: EventKind = EventKind::Modify(ModifyKind::Name(RenameMode::Both));
    const CREATED: EventKind = EventKind::Create(CreateKind::File);
    const WRITTEN: EventKind = EventKind::Modify(ModifyKind::Data(DataChange::Any));
    const CLOSED: EventKind = EventKind::Access(AccessKind::Close(AccessMode::Write));
    const REMOVED: EventKind = EventKind::Remove(RemoveKind::File);

    #[test]
    fn a_file_is_waited_for_until_it_is_whole() {
        let (file, backup, temporary) = ("a.yaml", "a.yaml~", ".a.yaml.swp");
        for (name, events, finished) in [
            ("moved there from elsewhere", vec![(MOVED_HERE, vec![file])], true),
            (
                "renamed over the one before",
                vec![
                    (CREATED, vec![temporary]),
                    (CLOSED, vec![temporary]),
                    (MOVED_AWAY, vec![temporary]),
                    (MOVED_HERE, vec![file]),
                    (MOVED, vec![temporary, file]),
                ],
                true,
            ),
            ("half written", vec![(CREATED, vec![file]), (WRITTEN, vec![file])], false),
            ("written", vec![(CREATED, vec![file]), (CLOSED, vec![file])], true),
            ("one of two", vec![(WRITTEN, vec!["b.yaml"]), (MOVED_HERE, vec![file])], false),
            (
                "moved away by an editor, which is about to write it anew",
                vec![
                    (MOVED_AWAY, vec![file]),
                    (MOVED_HERE, vec![backup]),
                    (MOVED, vec![file, backup]),
                ],
                false,
            ),
            ("removed", vec![(REMOVED, vec![file])], false),
            ("removed, and there again", vec![(REMOVED, vec![file]), (CLOSED, vec![file])], true),
        ] {
            let mut files = UnfinishedFiles::default();
            for (kind, names) in events {
                let mut event = Event::new(kind);
                event.paths = names.iter().map(|name| Path::new("/r").join(name)).collect();
                files.note(&event, |name| Path::new(name).extension() == Some("yaml".as_ref()));
            }
            assert_eq!(files.is_empty(), finished, "{name}");
        }
    }

    #[test]
    fn of_many_half_written_files_not_each_is_remembered() {
        let mut files = UnfinishedFiles::default();
        for number in 0..=MAX_UNFINISHED {
            let name = format!("/r/{number}.yaml");
            files.note(&Event::new(WRITTEN).add_path(name.into()), |_| true);
        }
        assert!(files.names.len() == MAX_UNFINISHED && files.too_many, "{files:?}");
    }
}
