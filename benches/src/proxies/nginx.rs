//! nginx: HTTP/1.1 on the hop, which is all it can speak to a server, connections kept, no access log.
//!
//! nginx cannot read a URI name either: inbound it allows a common name, for each request, outbound it holds the server
//! to one. Its buffers are made large enough for a large answer, so that none goes to a file.

use std::path::Path;

use anyhow::Result;
use nix::unistd::Uid;

use super::{Invocations, Job, Proxy};
use crate::certificates::Identity;
use crate::process::Invocation;

pub(super) fn prepare(job: &Job<'_>) -> Result<Invocations> {
    Ok(Invocations {
        outbound: instance(job, "outbound", &outbound(job))?,
        inbound: instance(job, "inbound", &inbound(job))?,
    })
}

fn instance(job: &Job<'_>, side: &str, server: &str) -> Result<Invocation> {
    let folder = job.folder(&job.name(side, ""))?;
    let text = format!("{}{server}}}\n", settings(job, &folder));
    let file = job.write(&job.name(side, ".conf"), &text)?;
    let (folder, file) = (folder.display().to_string(), file.display().to_string());
    Ok(job.invocation(Proxy::Nginx, &["-p", &folder, "-e", "stderr", "-c", &file]))
}

fn settings(job: &Job<'_>, folder: &Path) -> String {
    // Started by root, a worker would become somebody who may not read the folder.
    let user = if Uid::effective().is_root() { "user root;\n" } else { "" };
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("  {what}_temp_path {}/{what};\n", folder.display()))
        .concat();
    format!(
        "{user}worker_processes {workers};
daemon off;
pid {folder}/pid;
error_log stderr error;
worker_rlimit_nofile 20000;
events {{ worker_connections 9000; }}
http {{
{temporary}  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 60s;
  proxy_http_version 1.1;
  proxy_set_header Connection \"\";
  proxy_buffer_size 32k;
  proxy_buffers 8 32k;
",
        workers = job.contender.workers.count(),
        folder = folder.display(),
    )
}

fn outbound(job: &Job<'_>) -> String {
    let certificates = &job.bed.certificates;
    format!(
        "  upstream peer {{
    server 127.0.0.1:{peer};
    keepalive 1024;
    keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass https://peer;
      proxy_ssl_protocols TLSv1.3;
      proxy_ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
      proxy_ssl_certificate {certificate};
      proxy_ssl_certificate_key {key};
      proxy_ssl_trusted_certificate {root};
      proxy_ssl_verify on;
      proxy_ssl_name {server};
    }}
  }}
",
        peer = job.ports.inbound,
        port = job.ports.outbound,
        certificate = certificates.leaf(job.identities.client).display(),
        key = certificates.key(job.identities.client).display(),
        root = certificates.root().display(),
        server = Identity::Server.name(),
    )
}

fn inbound(job: &Job<'_>) -> String {
    let certificates = &job.bed.certificates;
    format!(
        "  map $ssl_client_s_dn $allowed {{ default 0; \"CN={client}\" 1; }}
  upstream app {{
    server 127.0.0.1:{app};
    keepalive 1024;
    keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_protocols TLSv1.3;
    ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    ssl_client_certificate {root};
    ssl_verify_client on;
    ssl_session_tickets off;
    ssl_session_cache off;
    location / {{
      if ($allowed = 0) {{ return 403; }}
      proxy_pass http://app;
    }}
  }}
",
        client = Identity::Client.name(),
        app = job.app(),
        port = job.ports.inbound,
        certificate = certificates.leaf(job.identities.server).display(),
        key = certificates.key(job.identities.server).display(),
        root = certificates.root().display(),
    )
}
