//! What the annotations of a pod and of its namespace ask for.
//!
//! | file | says |
//! |---|---|
//! | [`annotation`] | every annotation, and what it may say |
//! | `listeners` | that the proxy can bind what two annotations name |
//! | `ports` | ports and ranges of ports |
//! | `resources` | what the proxy asks of its node |

pub mod annotation;
pub(crate) mod listeners;
pub(crate) mod ports;
pub(crate) mod resources;
