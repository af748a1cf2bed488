//! Descriptions of APIs that are files (`document.path` of an ApiSchema): what is wrong in them.

use std::path::Path;
use std::sync::Arc;

use data_plane::control::api_documents::{UnreadDocument, load};
use policy::api_schema::{ApiDocument, DocumentFile};
use policy::yaml::SourcePosition;
use policy::{Diagnostic, Resources};

const EXPECTED: &str = "an OpenAPI description of version 3.0 or 3.1";

/// What is wrong in the files that ApiSchemas name. A file that is not here is one elsewhere, unless the configuration of
/// the proxy is (`is_here`).
pub(super) fn problems(resources: &Resources, is_here: bool) -> Vec<Diagnostic> {
    let files = resources.api_schemas().iter().filter_map(|object| {
        let ApiDocument::File(file) = &object.settings().document else { return None };
        Some((object.name(), file))
    });
    let files = files.filter(|(_, file)| is_here || Path::new(&*file.path).exists());
    files.flat_map(|(policy, file)| problems_in(policy, file)).collect()
}

fn problems_in(policy: &str, file: &DocumentFile) -> Vec<Diagnostic> {
    let name: Arc<str> = (&*file.path).into();
    let object: Arc<str> = format!("ApiSchema {policy}").into();
    let at = |line: Option<u32>, found: String| {
        let mark = match line {
            Some(line) => SourcePosition { line, column: 1 },
            None => SourcePosition::FILE,
        };
        Diagnostic::new(&name, mark, found, EXPECTED, None).within(Arc::clone(&object))
    };
    match load(file) {
        Ok(_) => Vec::new(),
        Err(UnreadDocument::File(error)) => vec![at(None, error)],
        Err(UnreadDocument::Description(problems)) => {
            let told = problems.into_iter().map(|problem| {
                let found = match problem.pointer.is_empty() {
                    true => problem.message,
                    false => format!("{}: {}", problem.pointer, problem.message),
                };
                at(problem.line, found)
            });
            told.collect()
        }
    }
}
