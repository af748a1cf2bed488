//! One `GET` of a small document over https, with everything that could go wrong bounded (S-35): TLS 1.3 against the
//! certificates of the registry, the address checked that is dialled, no redirects, 1 MiB, 5 s.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, CONTENT_ENCODING, HOST};
use http::{HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use identity::address::{self, NotOutside};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::store::files;

/// From the look-up of the name to the last byte.
const DEADLINE: Duration = Duration::from_secs(5);
/// Of an answer, bytes.
const MAX_BODY: usize = 1 << 20;
/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 4;

/// Fetches a document whose host `ca_file` vouches for.
///
/// # Errors
/// What went wrong, in words of ours.
pub(super) async fn get(uri: &str, ca_file: &Path, allow_local: bool) -> Result<Vec<u8>, String> {
    let fetched = tokio::time::timeout(DEADLINE, fetch(uri, ca_file, allow_local)).await;
    let outcome = fetched.unwrap_or_else(|_| Err("no document within 5 s".to_owned()));
    outcome.map_err(|reason| format!("{uri}: {reason}"))
}

async fn fetch(uri: &str, ca_file: &Path, allow_local: bool) -> Result<Vec<u8>, String> {
    let uri: Uri = uri.parse().map_err(|_| "not an address".to_owned())?;
    let host = uri.host().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let stream = dial(bare, uri.port_u16().unwrap_or(443), allow_local).await?;
    let name = ServerName::try_from(bare.to_owned()).map_err(|error| error.to_string())?;
    let tls = TlsConnector::from(Arc::new(tls_config(ca_file)?)).connect(name, stream).await;
    let stream = tls.map_err(|error| format!("no TLS connection: {error}"))?;
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_headers(100)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    // Ends with the sender and the answer, which do not outlive the deadline.
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(request(&uri)?).await.map_err(|error| error.to_string())?;
    if answer.status() != StatusCode::OK {
        return Err(format!("answered {} (redirects are not followed)", answer.status().as_u16()));
    }
    if answer.headers().contains_key(CONTENT_ENCODING) {
        return Err("sent an encoded body, which was not asked for".to_owned());
    }
    let body = Limited::new(answer.into_body(), MAX_BODY).collect().await;
    connection.abort();
    Ok(body.map_err(|error| format!("the body: {error}"))?.to_bytes().to_vec())
}

fn request(uri: &Uri) -> Result<Request<Empty<Bytes>>, String> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let host = uri.authority().map_or("", |authority| authority.as_str());
    Request::builder()
        .uri(path)
        .header(HOST, host)
        .header(ACCEPT, HeaderValue::from_static("application/json"))
        .body(Empty::new())
        .map_err(|error| error.to_string())
}

/// Resolves, checks, and dials the very address that was checked, so that a second look-up cannot mean another. One
/// forbidden address makes the name one that is not to be believed.
async fn dial(host: &str, port: u16, allow_local: bool) -> Result<TcpStream, String> {
    let resolved = tokio::net::lookup_host((host, port)).await;
    let resolved = resolved.map_err(|error| format!("{host} cannot be resolved: {error}"))?;
    let addresses: Vec<SocketAddr> = resolved.take(MAX_ADDRESSES).collect();
    let allowed = if allow_local { address::local_blocks() } else { Vec::new() };
    address::check_all(&addresses, &allowed).map_err(|(address, reason)| {
        format!("{host} is not called at {address}: {reason}{}", way_out(reason))
    })?;
    TcpStream::connect(addresses.as_slice()).await.map_err(|error| format!("{host}: {error}"))
}

fn way_out(reason: NotOutside) -> &'static str {
    match reason {
        NotOutside::Local => "; `allowLocalAddresses: true` allows it",
        NotOutside::Metadata => ", which has no keys of an issuer",
    }
}

/// Read anew each time: the file is renewed by others.
fn tls_config(ca_file: &Path) -> Result<ClientConfig, String> {
    let at = ca_file.display();
    let pem = files::read(ca_file).map_err(|error| error.to_string())?;
    let roots = identity::web_roots(&pem).map_err(|error| format!("{at}: {error}"))?;
    let builder = ClientConfig::builder_with_provider(identity::tls::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| error.to_string())?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    /// The rule is that of every fetch; here is what this one makes of it.
    #[tokio::test]
    async fn s35_ssrf_and_file_reads_addresses_of_issuers() {
        let check = async |host: &str, allow_local: bool, words: &str| {
            // Nobody listens on port 1: what may be called is refused by the system instead.
            let error = dial(host, 1, allow_local).await.expect_err(host);
            assert!(error.contains(words), "{host}, {allow_local}: {error}");
        };
        check("127.0.0.1", false, "`allowLocalAddresses: true` allows it").await;
        check("127.0.0.1", true, "refused").await;
        for host in ["168.63.129.16", "100.100.100.200", "169.254.169.254", "fd00:ec2::254"] {
            for allow_local in [false, true] {
                check(host, allow_local, "metadata service").await;
            }
        }
    }

    #[test]
    fn a_file_of_authorities_with_anything_else_in_it_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        let mut ca = rcgen::CertificateParams::default();
        ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let ca = rcgen::CertifiedIssuer::self_signed(ca, key).unwrap();
        let leaf = rcgen::CertificateParams::default();
        let leaf = leaf.signed_by(&rcgen::KeyPair::generate().unwrap(), &ca).unwrap().pem();
        let ca = ca.as_ref().pem();
        std::fs::write(&file, &ca).unwrap();
        assert!(tls_config(&file).is_ok());
        for (name, text, words) in [
            ("a server's certificate", leaf.clone(), "ca.pem: certificate 0 "),
            ("beside a CA", format!("{ca}{leaf}"), "ca.pem: certificate 1 "),
            ("a damaged block", format!("{ca}{}", &ca[..99]), "damaged PEM at certificate 1 "),
            ("nothing", String::new(), "no PEM certificate"),
        ] {
            std::fs::write(&file, text).unwrap();
            let said = tls_config(&file).map(drop).expect_err(name);
            assert!(said.contains(words), "{name}: {said}");
        }
    }
}
