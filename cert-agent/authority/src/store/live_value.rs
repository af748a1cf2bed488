//! A value that is replaced whole while others use it.

use std::sync::Arc;

use parking_lot::RwLock;

/// A value that is replaced whole. Whoever took the old one keeps it until done.
#[derive(Debug, Default)]
pub struct LiveValue<T>(RwLock<Arc<T>>);

impl<T> LiveValue<T> {
    /// Begins with this value.
    #[must_use]
    pub fn new(value: T) -> Self {
        Self(RwLock::new(Arc::new(value)))
    }

    /// The value at this moment.
    #[must_use]
    pub fn now(&self) -> Arc<T> {
        Arc::clone(&self.0.read())
    }

    /// From now on this value.
    pub fn set(&self, value: T) {
        *self.0.write() = Arc::new(value);
    }
}
