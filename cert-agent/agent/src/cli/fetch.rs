//! `postern-cert-agent fetch`: a Workload API client for people and scripts.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use rustls_pki_types::CertificateDer;
use serde::Serialize;
use tokio::net::UnixStream;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status, Streaming};
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::{Zeroize, Zeroizing};

use crate::pem;
use crate::proto::workload::spiffe_workload_api_client::SpiffeWorkloadApiClient;
use crate::proto::workload::{
    JwtBundlesRequest, JwtsvidRequest, ValidateJwtsvidRequest, X509BundlesRequest, X509svid,
    X509svidRequest,
};
use crate::renewal::authority_client::ReadyConnection;

/// To connect, and for the first message.
const DEADLINE: Duration = Duration::from_secs(10);

/// Asks the agent at `socket` for its X.509-SVID.
///
/// # Errors
/// When nobody answers within 10 s, or the agent has nothing to give.
pub async fn fetch(socket: &Path) -> anyhow::Result<X509svid> {
    let mut client = client(socket).await?;
    let answer = first(client.fetch_x509svid(with_header(X509svidRequest {}))).await?;
    answer.svids.into_iter().next().context("the agent answered without an SVID")
}

/// Asks the agent at `socket` for a JWT-SVID.
///
/// # Errors
/// As [`fetch`].
pub async fn fetch_jwt(socket: &Path, audience: Vec<String>) -> anyhow::Result<Zeroizing<String>> {
    let mut client = client(socket).await?;
    let request = JwtsvidRequest { audience, spiffe_id: String::new() };
    let answer = answered(client.fetch_jwtsvid(with_header(request))).await?;
    let svid = answer.svids.into_iter().next().context("the agent answered without a JWT-SVID")?;
    Ok(Zeroizing::new(svid.svid))
}

/// What verifies the peers of one trust domain.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PublicBundle {
    /// Roots, PEM.
    x509: String,
    /// A JWK set.
    jwt: serde_json::Value,
}

/// Asks the agent at `socket` for the bundles of all trust domains, by SPIFFE id.
///
/// # Errors
/// As [`fetch`].
pub async fn fetch_bundles(socket: &Path) -> anyhow::Result<BTreeMap<String, PublicBundle>> {
    let mut client = client(socket).await?;
    let x509 = first(client.fetch_x509_bundles(with_header(X509BundlesRequest {}))).await?;
    let jwt = first(client.fetch_jwt_bundles(with_header(JwtBundlesRequest {}))).await?;
    let mut bundles = BTreeMap::<String, PublicBundle>::new();
    for (trust_domain, ders) in x509.bundles {
        bundles.entry(trust_domain).or_default().x509 = certificates(&ders)?;
    }
    for (trust_domain, jwks) in jwt.bundles {
        bundles.entry(trust_domain).or_default().jwt =
            serde_json::from_slice(&jwks).context("the agent's JWK set")?;
    }
    Ok(bundles)
}

/// Has the agent at `socket` verify a JWT-SVID. The SPIFFE id, or why the token proves nothing.
///
/// # Errors
/// As [`fetch`].
pub async fn validate_jwt(
    socket: &Path,
    audience: String,
    svid: String,
) -> anyhow::Result<Result<String, String>> {
    let mut client = client(socket).await?;
    let request = with_header(ValidateJwtsvidRequest { audience, svid });
    match tokio::time::timeout(DEADLINE, client.validate_jwtsvid(request)).await {
        Ok(Err(status)) if status.code() == Code::InvalidArgument => {
            Ok(Err(status.message().to_owned()))
        }
        Ok(answer) => Ok(Ok(answer.map_err(said)?.into_inner().spiffe_id)),
        Err(_) => Err(anyhow!("the agent did not answer within 10 s")),
    }
}

async fn client(socket: &Path) -> anyhow::Result<SpiffeWorkloadApiClient<Channel>> {
    Ok(SpiffeWorkloadApiClient::new(connect(socket).await?))
}

/// Workload Endpoint §3.
fn with_header<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("workload.spiffe.io", MetadataValue::from_static("true"));
    request
}

async fn answered<T>(
    asking: impl Future<Output = Result<Response<T>, Status>>,
) -> anyhow::Result<T> {
    tokio::time::timeout(DEADLINE, asking)
        .await
        .context("the agent did not answer within 10 s")?
        .map(Response::into_inner)
        .map_err(said)
}

/// The first message of a stream.
async fn first<T>(
    asking: impl Future<Output = Result<Response<Streaming<T>>, Status>>,
) -> anyhow::Result<T> {
    let mut stream = answered(asking).await?;
    tokio::time::timeout(DEADLINE, stream.message())
        .await
        .context("the agent did not answer within 10 s")?
        .map_err(said)?
        .context("the agent ended the stream without an answer")
}

fn said(status: Status) -> anyhow::Error {
    anyhow!("the agent answered {:?}: {}", status.code(), status.message())
}

/// Connects to one of the agent's sockets.
///
/// # Errors
/// When nobody listens there.
pub async fn connect(socket: &Path) -> anyhow::Result<Channel> {
    let cannot = || format!("cannot reach the agent at {} (is it running?)", socket.display());
    let stream = UnixStream::connect(socket).await.with_context(cannot)?;
    Endpoint::from_static("http://agent")
        .connect_timeout(DEADLINE)
        .connect_with_connector(ReadyConnection::new(stream))
        .await
        .with_context(cannot)
}

/// The PEM forms of an SVID.
#[derive(Debug)]
pub struct SvidPem {
    certificate: String,
    key: Zeroizing<String>,
    bundle: String,
}

impl SvidPem {
    /// Of an answer, which is wiped.
    ///
    /// # Errors
    /// When a certificate in it cannot be read.
    pub fn of(mut svid: X509svid) -> anyhow::Result<Self> {
        let pem = Self {
            certificate: certificates(&svid.x509_svid)?,
            key: pem::secret_block("PRIVATE KEY", &svid.x509_svid_key),
            bundle: certificates(&svid.bundle)?,
        };
        svid.x509_svid_key.zeroize();
        Ok(pem)
    }

    /// Writes `svid.pem`, `key.pem` (0600) and `bundle.pem` into a directory, the key first:
    /// whoever waits for the certificate finds its key.
    ///
    /// # Errors
    /// The operating system's.
    pub fn write(&self, directory: &Path) -> anyhow::Result<[PathBuf; 3]> {
        fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
        let paths = ["svid.pem", "key.pem", "bundle.pem"].map(|name| directory.join(name));
        replace(&paths[1], self.key.as_bytes(), 0o600)?;
        replace(&paths[2], self.bundle.as_bytes(), 0o644)?;
        replace(&paths[0], self.certificate.as_bytes(), 0o644)?;
        Ok(paths)
    }

    /// Writes everything to one stream.
    ///
    /// # Errors
    /// When it is closed.
    pub fn print(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(self.certificate.as_bytes())?;
        out.write_all(self.key.as_bytes())?;
        out.write_all(self.bundle.as_bytes())
    }
}

fn replace(path: &Path, content: &[u8], mode: u32) -> anyhow::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}", std::process::id()));
    let temporary = PathBuf::from(temporary);
    let at = || path.display().to_string();
    // Left by a process of our pid that died just here; its mode may be another.
    let _ = fs::remove_file(&temporary);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&temporary)
        .with_context(at)?;
    file.write_all(content).with_context(at)?;
    fs::rename(&temporary, path).with_context(at)
}

/// Certificates in DER, one after the other (Workload API §5.2.1).
///
/// # Errors
/// Bytes that are no certificate.
pub fn split(mut ders: &[u8]) -> anyhow::Result<Vec<CertificateDer<'_>>> {
    let mut certificates = Vec::new();
    while !ders.is_empty() {
        let (rest, _) =
            X509Certificate::from_der(ders).map_err(|_| anyhow!("not a certificate in DER"))?;
        certificates.push(CertificateDer::from(&ders[..ders.len() - rest.len()]));
        if rest.len() >= ders.len() || certificates.len() > 64 {
            bail!("not a certificate chain");
        }
        ders = rest;
    }
    Ok(certificates)
}

fn certificates(ders: &[u8]) -> anyhow::Result<String> {
    Ok(pem::certificates(split(ders)?.iter().map(AsRef::as_ref)))
}
