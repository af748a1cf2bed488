//! Injection into files: YAML or JSON in, the same with every workload in the mesh out.
//!
//! | file | says |
//! |---|---|
//! | [`stream`] | a stream of documents |
//! | `kinds`, `workload` | which of their objects carry a pod |
//! | `misplaced` | what of ours stands where nobody reads it |
//! | `place` | on which line a field stands |

pub(crate) mod kinds;
pub(crate) mod misplaced;
pub(crate) mod place;
pub mod stream;
pub(crate) mod workload;
