//! How long each story took, for whoever wants to make the suite quicker: a line `SECONDS NAME` for each mesh, appended
//! to the file that `STORY_TIMES` names; `make e2e` sums them up. Of meshes that stand at the same time the first counts.

use std::cell::Cell;
use std::fs::OpenOptions;
use std::io::Write;
use std::time::Instant;

thread_local! {
    /// Whether a mesh of this thread's story stands already.
    static COUNTING: Cell<bool> = const { Cell::new(false) };
}

/// Measures from its making to its drop, for the test whose thread made it.
#[derive(Debug)]
pub(crate) struct StoryTime {
    story: String,
    start: Instant,
    counts: bool,
}

impl StoryTime {
    pub(crate) fn start() -> Self {
        // The test runner names a test's thread after it.
        let story = std::thread::current().name().unwrap_or("main").to_owned();
        Self { story, start: Instant::now(), counts: !COUNTING.replace(true) }
    }
}

impl Drop for StoryTime {
    fn drop(&mut self) {
        if !self.counts {
            return;
        }
        COUNTING.set(false);
        let Some(path) = std::env::var_os("STORY_TIMES") else { return };
        let line = format!("{:.1} {}\n", self.start.elapsed().as_secs_f32(), self.story);
        // In one write, so that lines of stories that end together stay whole; without the file there is no table.
        if let Ok(mut file) = OpenOptions::new().create(true).append(true).open(path) {
            let _ = file.write_all(line.as_bytes());
        }
    }
}
