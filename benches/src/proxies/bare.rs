//! The price of the libraries: hyper and rustls, with the identities of the mesh and nothing else. See `bin/bare`.

use anyhow::Result;

use super::{Invocations, Job, Proxy};
use crate::certificates::Identity;
use crate::contender::Hop;
use crate::process::Invocation;
use crate::rows::Protocol;

pub(super) fn prepare(job: &Job<'_>) -> Result<Invocations> {
    let (client, server) = (job.identities.client, job.identities.server);
    Ok(Invocations {
        outbound: instance(job, "outbound", client, job.ports.outbound, job.ports.inbound)?,
        inbound: instance(job, "inbound", server, job.ports.inbound, job.app())?,
    })
}

fn instance(
    job: &Job<'_>,
    side: &str,
    own: Identity,
    listen: u16,
    upstream: u16,
) -> Result<Invocation> {
    let certificates = &job.bed.certificates;
    let protocol = match job.protocol() {
        Protocol::Http1 => "http1",
        Protocol::Http2 => "http2",
        Protocol::Opaque => "opaque",
    };
    let hop = match job.contender.hop {
        Hop::Http1 => "http1",
        Hop::Http2 => "http2",
    };
    // Whom it takes for a peer: the right one of the other side, whoever it is itself.
    let peer = if side == "outbound" { Identity::Server } else { Identity::Client };
    let arguments = [
        side.to_owned(),
        format!("--listen={listen}"),
        format!("--upstream={upstream}"),
        format!("--protocol={protocol}"),
        format!("--hop={hop}"),
        format!("--workers={}", job.contender.workers.count()),
        format!("--certificate={}", certificates.leaf(own).display()),
        format!("--key={}", certificates.key(own).display()),
        format!("--root={}", certificates.root().display()),
        format!("--peer={}", peer.spiffe_id()),
    ];
    Ok(job.invocation(Proxy::Bare, &arguments.each_ref().map(String::as_str)))
}
