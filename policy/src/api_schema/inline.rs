//! A description that stands in its ApiSchema, compiled once for as long as anybody uses it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use api_schema::{ApiDescription, DescriptionProblem};

/// The largest description, in bytes: etcd takes objects of 1.5 MiB, and reading one is to stay a matter of moments.
pub const MAX_DOCUMENT_BYTES: usize = 1024 * 1024;

/// A description with what it was made of. Two are equal when their texts and base paths are.
pub struct InlineDescription {
    text: Box<str>,
    base_path: Option<Box<str>>,
    description: Arc<ApiDescription>,
}

/// Those in use. A set of resources is read anew whenever one of its objects changes, and compiling schemas costs far more
/// than comparing texts. What nobody uses any more goes with its last user.
static IN_USE: Mutex<Vec<Weak<InlineDescription>>> = Mutex::new(Vec::new());

impl InlineDescription {
    /// The description that this text is, below a base path ([`ApiDescription::read_at`]): the one in use, if there is one.
    ///
    /// # Errors
    /// Everything that is wrong in it.
    pub fn read(text: &str, base_path: Option<&str>) -> Result<Arc<Self>, Vec<DescriptionProblem>> {
        if let Some(known) = Self::in_use(text, base_path) {
            return Ok(known);
        }
        // Not under the lock: it may take long. Two who read one text at once compile it twice, which does no harm.
        let description = Arc::new(ApiDescription::read_at(text, base_path)?);
        let base_path = base_path.map(Into::into);
        let read = Arc::new(Self { text: text.into(), base_path, description });
        let mut in_use = IN_USE.lock().unwrap_or_else(PoisonError::into_inner);
        in_use.retain(|known| known.strong_count() > 0);
        in_use.push(Arc::downgrade(&read));
        Ok(read)
    }

    /// What it says.
    pub fn description(&self) -> &Arc<ApiDescription> {
        &self.description
    }

    fn in_use(text: &str, base_path: Option<&str>) -> Option<Arc<Self>> {
        let in_use = IN_USE.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it =
            |known: &Arc<Self>| &*known.text == text && known.base_path.as_deref() == base_path;
        in_use.iter().filter_map(Weak::upgrade).find(is_it)
    }
}

impl PartialEq for InlineDescription {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.base_path == other.base_path
    }
}

impl fmt::Debug for InlineDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InlineDescription").field("bytes", &self.text.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_text_is_compiled_once_while_it_is_in_use() {
        let of = |title: &str, base_path| {
            let text = format!(
                "openapi: 3.1.0\ninfo: {{title: {title}, version: '1'}}\n\
                 paths: {{/a: {{get: {{responses: {{'200': {{description: fine}}}}}}}}}}\n"
            );
            InlineDescription::read(&text, base_path).unwrap()
        };
        let first = of("once", None);
        assert!(Arc::ptr_eq(&first, &of("once", None)), "the same text");
        assert!(!Arc::ptr_eq(&first, &of("another", None)), "another text");
        assert!(!Arc::ptr_eq(&first, &of("once", Some("/v1"))), "another base path");
        let before = Arc::downgrade(&first);
        drop(first);
        assert!(before.upgrade().is_none(), "kept by nobody");
    }
}
