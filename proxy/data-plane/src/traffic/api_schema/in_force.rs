//! The ApiSchemas in force, and the descriptions that files hold.

use std::collections::HashMap;
use std::sync::Arc;

use api_schema::ApiDescription;
use arc_swap::ArcSwap;
use policy::api_schema::{ApiDocument, DocumentFile};
use policy::{ApiSchemaSettings, ApiSchemaTable};
use tokio::sync::watch;

use crate::traffic::inspect_phase::place::InspectedPlace;

/// Descriptions by the files that they are in.
pub type FileDescriptions = HashMap<Arc<DocumentFile>, Arc<ApiDescription>>;

/// The ApiSchemas in force. One for all workers; both parts are swapped whole.
pub struct ApiSchemas {
    table: ArcSwap<ApiSchemaTable>,
    files: ArcSwap<FileDescriptions>,
    changes: watch::Sender<u64>,
}

impl Default for ApiSchemas {
    fn default() -> Self {
        let (table, files) = (ArcSwap::default(), ArcSwap::default());
        Self { table, files, changes: watch::Sender::new(0) }
    }
}

/// What a request is compared with.
#[derive(Debug, Clone)]
pub(crate) struct DescribedApi {
    /// The ApiSchema.
    pub(crate) settings: Arc<ApiSchemaSettings>,
    /// Its description; `None`: its file never held one.
    pub(crate) description: Option<Arc<ApiDescription>>,
}

impl ApiSchemas {
    /// Puts other ApiSchemas in force, for the next request on.
    pub fn install(&self, table: ApiSchemaTable) {
        if **self.table.load() != table {
            self.table.store(Arc::new(table));
            self.changes.send_modify(|changes| *changes += 1);
        }
    }

    /// Puts other descriptions of files in force, for the next request on.
    pub fn install_files(&self, files: FileDescriptions) {
        self.files.store(Arc::new(files));
    }

    /// The files that descriptions in force are in.
    pub fn wanted_files(&self) -> Vec<Arc<DocumentFile>> {
        self.table.load().files()
    }

    /// Wakes at each change of [`Self::wanted_files`].
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The closest of those that are about a request.
    pub(super) fn about(&self, place: InspectedPlace<'_>) -> Option<DescribedApi> {
        let table = self.table.load();
        if table.is_empty() {
            return None;
        }
        let settings = match place {
            InspectedPlace::AppPort(port) => table.at_port(port),
            InspectedPlace::Edge(listener, rule) => {
                table.at_edge(&listener.place(), Some(&rule.route))
            }
        };
        let settings = Arc::clone(settings?);
        let description = match &settings.document {
            ApiDocument::Inline(inline) => Some(Arc::clone(inline.description())),
            ApiDocument::File(file) => self.files.load().get(file).cloned(),
        };
        Some(DescribedApi { settings, description })
    }
}
