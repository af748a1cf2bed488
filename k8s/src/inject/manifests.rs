//! Injection into files: YAML or JSON in, the same with every workload in the mesh out.
//!
//! | file | says |
//! |---|---|
//! | [`stream`] | a stream of documents |
//! | `workload_kinds`, `workload` | which of their objects carry a pod |
//! | `misplaced_annotations` | labels and annotations of ours that have no effect where they stand |
//! | `source_lines` | on which line a field stands |

pub(crate) mod misplaced_annotations;
pub(crate) mod source_lines;
pub mod stream;
pub(crate) mod workload;
pub(crate) mod workload_kinds;
