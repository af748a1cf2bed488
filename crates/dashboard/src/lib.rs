//! The page at `/dashboard`: what was refused, by which policy, and how nearly it would have been allowed; beside that
//! who calls whom, certificates, limits, services and routes.
//!
//! Pure: a program collects what it keeps anyway into [`DashboardData`], and answers with [`answer`]. The page asks for
//! `/dashboard/data.json` every two seconds while somebody looks at it. Everything in it is bounded ([`bounds`]), and what
//! was left out is said ([`Listed`]).
//!
//! | file | says |
//! |---|---|
//! | [`data`] | the shape of `/dashboard/data.json` |
//! | [`denials`] | how refusals are grouped |
//! | [`edges`] | how counts of requests become who calls whom |
//! | [`explain_line`] | the question to `postern-proxy explain` that a refusal is the answer to |
//! | [`bounds`] | how much of everything is shown |
//! | [`report`] | what a proxy tells the controller of itself |
//! | [`mesh`] | the mesh as its proxies tell of it: what the controller's page shows |
//! | `files.rs` | the page's files, and the headers they go out with |

pub mod bounds;
pub mod data;
pub mod denials;
pub mod edges;
pub mod explain_line;
mod files;
pub mod mesh;
pub mod report;

pub use bounds::{Listed, shortened};
pub use data::DashboardData;
pub use files::{PATH, answer, data_page, is_data};
