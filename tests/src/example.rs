//! What lies in `examples/`, as it lies there.

use std::fs;
use std::path::PathBuf;

use crate::binaries::repository;
use crate::curl::Answer;
use crate::mesh::Mesh;
use crate::pod::Pod;

/// What a resource file says in this mesh: with the mesh's own network number in its addresses.
pub(crate) fn shipped(mesh: &Mesh, name: &str) -> String {
    let path = file(name);
    let text =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let index = mesh.network_index();
    text.replace("10.77.0.", &format!("10.77.{index}."))
        .replace("fd77::0:", &format!("fd77::{index:x}:"))
}

/// The file of this name, such as `shop/proxy/cart`.
pub(crate) fn file(name: &str) -> PathBuf {
    repository().join(format!("examples/{name}.yaml"))
}

/// Asks a gateway for a URL with curl: its name leads there, and its certificate is verified by `web.pem` of the client.
pub(crate) fn ask_edge(edge: &Pod, client: &Pod, url: &str, more: &[&str]) -> Answer {
    let (scheme, rest) = url.split_once("://").expect("a URL");
    let host = rest.split('/').next().unwrap_or(rest);
    let port = if scheme == "https" { 443 } else { 80 };
    let to = format!("{host}:{port}:{}", edge.ipv4());
    let believing = ["--resolve", &to, "--cacert", "/run/postern/web.pem"];
    client.curl_with(&[&believing, more, &[url]].concat())
}
