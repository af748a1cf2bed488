//! The descriptions of APIs that are files (`document.path` of an ApiSchema): read within bounds, compiled when they have
//! changed, watched and polled. A file that cannot be read, or is no description, leaves the last good one in force.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use api_schema::{ApiDescription, DescriptionProblem};
use aws_lc_rs::digest::{SHA256, digest};
use parking_lot::Mutex;
use policy::api_schema::{DocumentFile, MAX_DOCUMENT_BYTES};

use crate::control::config::read_file;
use crate::control::directory_watch::DirectoryWatch;
use crate::traffic::state::ProxyState;

/// Problems of one description that a log line lists; `check` lists all.
const MAX_LOGGED: usize = 20;

/// Why a file holds no description.
#[derive(Debug)]
pub enum UnreadDocument {
    /// It cannot be read.
    File(String),
    /// What is wrong in it.
    Description(Vec<DescriptionProblem>),
}

/// The files as they were read last.
#[derive(Default)]
pub(super) struct KnownDocuments {
    known: HashMap<Arc<DocumentFile>, KnownDocument>,
}

#[derive(Default)]
struct KnownDocument {
    /// Of what was read last; `None` before.
    seen: Option<Vec<u8>>,
    is_stale: bool,
    good: Option<Arc<ApiDescription>>,
}

/// Follows the files that ApiSchemas in force name, for ever.
pub(super) async fn follow(
    state: Arc<ProxyState>,
    known: Arc<Mutex<KnownDocuments>>,
    poll: Duration,
) {
    let mut wanted = state.api_schemas.changes();
    loop {
        wanted.borrow_and_update();
        let files = state.api_schemas.wanted_files();
        let folders = files.iter().filter_map(|file| Path::new(&*file.path).parent());
        let mut changes = DirectoryWatch::of_directories(folders, poll, |_| true);
        loop {
            known.lock().renew(&state);
            tokio::select! {
                () = changes.next() => {}
                changed = wanted.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return,
                },
            }
        }
    }
}

impl KnownDocuments {
    /// Reads the files that ApiSchemas name which are not in force yet, and puts in force what they say beside what is: no
    /// request waits for, or misses, a description that is being compiled.
    pub(super) fn prepare(&mut self, state: &ProxyState, coming: Vec<Arc<DocumentFile>>) {
        let mut changed = false;
        for file in coming {
            changed |= self.known.entry(Arc::clone(&file)).or_default().renew(&file);
        }
        if changed {
            self.install(state);
        }
    }

    /// Reads the files that ApiSchemas in force name, and puts in force what they say now.
    pub(super) fn renew(&mut self, state: &ProxyState) {
        let wanted = state.api_schemas.wanted_files();
        let before = self.known.len();
        self.known.retain(|file, _| wanted.contains(file));
        let mut changed = self.known.len() < before;
        for file in wanted {
            let known = self.known.entry(Arc::clone(&file)).or_default();
            changed |= known.renew(&file);
        }
        if changed {
            self.install(state);
        }
    }

    fn install(&self, state: &ProxyState) {
        let stale = self.known.values().filter(|known| known.is_stale).count();
        state.metrics.api_documents_stale.set(i64::try_from(stale).unwrap_or(i64::MAX));
        let good = self.known.iter();
        let good = good.filter_map(|(file, known)| Some((file.clone(), known.good.clone()?)));
        state.api_schemas.install_files(good.collect());
    }
}

impl KnownDocument {
    /// Whether the file says something else than before.
    fn renew(&mut self, file: &DocumentFile) -> bool {
        let read = read(file);
        let seen = match &read {
            Ok(text) => digest(&SHA256, text.as_bytes()).as_ref().to_vec(),
            Err(error) => error.clone().into_bytes(),
        };
        if self.seen.as_ref() == Some(&seen) {
            return false;
        }
        self.seen = Some(seen);
        let path = &*file.path;
        match read.map_err(UnreadDocument::File).and_then(|text| compile(file, &text)) {
            Ok(description) => {
                tracing::info!(path, "description of an API in force");
                self.good = Some(Arc::new(description));
                self.is_stale = false;
            }
            Err(error) => {
                let error = error.to_string();
                let rest = match self.good {
                    Some(_) => "the last good one stays in force",
                    None => "its requests are refused until there is one",
                };
                tracing::error!(path, error, "description of an API refused; {rest}");
                self.is_stale = true;
            }
        }
        true
    }
}

/// The description in a file.
///
/// # Errors
/// It cannot be read, or is none.
pub fn load(file: &DocumentFile) -> Result<ApiDescription, UnreadDocument> {
    read(file).map_err(UnreadDocument::File).and_then(|text| compile(file, &text))
}

fn read(file: &DocumentFile) -> Result<String, String> {
    let read = read_file(Path::new(&*file.path)).map_err(|error| error.to_string())?;
    if read.bytes.len() > MAX_DOCUMENT_BYTES {
        return Err(format!("{}: a description has at most 1 MiB", file.path));
    }
    String::from_utf8(read.bytes).map_err(|_| format!("{}: no UTF-8", file.path))
}

fn compile(file: &DocumentFile, text: &str) -> Result<ApiDescription, UnreadDocument> {
    ApiDescription::read_at(text, file.base_path.as_deref()).map_err(UnreadDocument::Description)
}

impl std::fmt::Display for UnreadDocument {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(error) => f.write_str(error),
            Self::Description(problems) => {
                let lines = problems.iter().take(MAX_LOGGED).map(ToString::to_string);
                f.write_str(&lines.collect::<Vec<_>>().join("; "))?;
                match problems.len().checked_sub(MAX_LOGGED) {
                    None | Some(0) => Ok(()),
                    Some(more) => write!(f, "; and {more} more"),
                }
            }
        }
    }
}
