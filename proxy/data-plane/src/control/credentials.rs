//! Where the workload's certificate, key and trust bundles come from: the SPIFFE Workload API ([`workload_api`]) or PEM
//! files ([`files`]). Each passes on only sets that have passed the same checks.

pub mod files;
mod offered;
mod take_over;
pub mod workload_api;

pub use offered::{OfferedCredentials, RetainedPart, TrustPart};
