//! All rows, by what they are about.

mod attempts;
mod backend_tls;
mod certificate_grants;
mod gateways;
mod grpc;
mod headers;
mod hosts;
mod listener_set_routes;
mod listener_sets;
mod matching;
mod protocols;
mod redirects;
mod references;
mod rewrites;
mod tcp_routes;
mod tls;
mod tls_routes;
mod weights;

use crate::row::Row;

/// Every row with its file, in the order in which they run.
const FILES: [(&str, &[Row]); 18] = [
    ("matching", matching::ROWS),
    ("headers", headers::ROWS),
    ("redirects", redirects::ROWS),
    ("rewrites", rewrites::ROWS),
    ("weights", weights::ROWS),
    ("grpc", grpc::ROWS),
    ("references", references::ROWS),
    ("hosts", hosts::ROWS),
    ("attempts", attempts::ROWS),
    ("protocols", protocols::ROWS),
    ("tls", tls::ROWS),
    ("backend_tls", backend_tls::ROWS),
    ("gateways", gateways::ROWS),
    ("certificate_grants", certificate_grants::ROWS),
    ("listener_sets", listener_sets::ROWS),
    ("listener_set_routes", listener_set_routes::ROWS),
    ("tcp_routes", tcp_routes::ROWS),
    ("tls_routes", tls_routes::ROWS),
];

/// Every row, in the order in which they run.
pub(crate) fn all() -> Vec<Row> {
    FILES.iter().flat_map(|(_, rows)| *rows).copied().collect()
}

/// The file of a row, without its ending.
pub(crate) fn file_of(name: &str) -> Option<&'static str> {
    let has = |rows: &[Row]| rows.iter().any(|row| row.name == name);
    FILES.iter().find(|(_, rows)| has(rows)).map(|(file, _)| *file)
}
