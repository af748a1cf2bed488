//! HAProxy: HTTP/1.1 or HTTP/2 on the hop between the two, connections pooled and reused by every request, nothing logged.
//!
//! Its buffers are of 64 KiB, with which HTTP/2 carries an answer of 16 KiB for a fifth less than with the 16 KiB of the
//! default; in rows about memory they are as by default.
//!
//! HAProxy 2.6 cannot read a URI name of a certificate. Inbound it looks for the SPIFFE id, as it stands in the DER of a
//! certificate, once a connection; outbound it can hold the server to a common name at most. Both are weaker than what
//! a mesh must check, and cheap.

use std::fmt::Write;

use anyhow::Result;

use super::{Invocations, Job, Proxy};
use crate::certificates::Identity;
use crate::contender::Hop;
use crate::process::Invocation;
use crate::rows::Protocol;

pub(super) fn prepare(job: &Job<'_>) -> Result<Invocations> {
    Ok(Invocations {
        outbound: instance(job, "outbound", &outbound(job))?,
        inbound: instance(job, "inbound", &inbound(job))?,
    })
}

fn instance(job: &Job<'_>, side: &str, proxies: &str) -> Result<Invocation> {
    let text = format!("{}{proxies}", settings(job));
    let file = job.write(&job.name(side, ".cfg"), &text)?;
    let arguments = ["-db", "-q", "-f", &file.display().to_string()];
    Ok(job.invocation(Proxy::Haproxy, &arguments))
}

/// The same suite that Postern prefers, TLS 1.3 only, no tickets, which nobody would use. There is no line `log`, so
/// nothing is logged.
fn settings(job: &Job<'_>) -> String {
    let (mode, reuse) = match job.protocol() {
        Protocol::Opaque => ("tcp", "never"),
        Protocol::Http1 | Protocol::Http2 => ("http", "always"),
    };
    format!(
        "global
  nbthread {workers}
  maxconn 9000
{buffers}  ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256
  ssl-default-bind-options ssl-min-ver TLSv1.3 no-tls-tickets
  ssl-default-server-ciphersuites TLS_AES_128_GCM_SHA256
  ssl-default-server-options ssl-min-ver TLSv1.3
defaults
  mode {mode}
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse {reuse}
",
        workers = job.contender.workers.count(),
        buffers = if job.bed.row.figure.is_memory() { "" } else { "  tune.bufsize 65536\n" },
    )
}

/// What the hop's two ends say of HTTP/2, and what the ends towards client and app say of it.
fn versions(job: &Job<'_>) -> (&'static str, &'static str) {
    let ends = if job.protocol() == Protocol::Http2 { " proto h2" } else { "" };
    let hop = match (job.protocol(), job.contender.hop) {
        (Protocol::Http1, Hop::Http2) | (Protocol::Http2, _) => " alpn h2",
        _ => "",
    };
    (hop, ends)
}

fn outbound(job: &Job<'_>) -> String {
    let (hop, client) = versions(job);
    format!(
        "frontend outbound
  bind 127.0.0.1:{port}{client}
  default_backend peer
backend peer
  server peer 127.0.0.1:{peer} ssl crt {certificate} ca-file {root} verify required verifyhost {server}{hop}
",
        port = job.ports.outbound,
        peer = job.ports.inbound,
        certificate = job.bed.certificates.leaf_and_key(job.identities.client).display(),
        root = job.bed.certificates.root().display(),
        server = Identity::Server.name(),
    )
}

fn inbound(job: &Job<'_>) -> String {
    let (hop, app) = versions(job);
    format!(
        "frontend inbound
  bind 127.0.0.1:{port} ssl crt {certificate} ca-file {root} verify required{hop}
  tcp-request session reject unless {{ ssl_c_der,hex -m sub {allowed} }}
  default_backend app
backend app
  server app 127.0.0.1:{backend}{app}
",
        port = job.ports.inbound,
        certificate = job.bed.certificates.leaf_and_key(job.identities.server).display(),
        root = job.bed.certificates.root().display(),
        allowed = uri_name_in_der(&Identity::Client.spiffe_id()),
        backend = job.app(),
    )
}

/// A `uniformResourceIdentifier` of RFC 5280 §4.2.1.6 as it stands in a certificate: tag, length, text; in hex.
fn uri_name_in_der(uri: &str) -> String {
    let mut hex = format!("86{:02X}", uri.len());
    for byte in uri.bytes() {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02X}");
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_as_der_has_it() {
        assert_eq!(uri_name_in_der("a:b"), "8603613A62");
    }
}
