//! TLS clients and servers that hold any certificate, or none, and look at nothing: the other side's refusal is
//! what a test is about.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig, SignatureScheme,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::certificates::Svid;
use crate::inside::Task;
use crate::pod::Pod;
use crate::wait;

/// How long a handshake or an exchange may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// A client that shows this certificate (or none) and takes any server.
#[must_use]
pub fn client(svid: Option<&Svid>, alpn: &[&str]) -> Arc<ClientConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3 is there")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer(provider)));
    let mut config = match svid {
        Some(svid) => builder
            .with_client_auth_cert(svid.chain(), svid.key())
            .expect("a certificate and its key"),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// Connects and finishes the client's half of the handshake. With TLS 1.3 a server that refuses our certificate
/// says so afterwards, at the first read.
///
/// # Errors
/// Why there was no handshake.
pub async fn connect(
    config: Arc<ClientConfig>,
    address: SocketAddr,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = timeout(DEADLINE, TcpStream::connect(address)).await??;
    // The end of a handshake is not acknowledged at once: a request would wait for that, 40 ms.
    stream.set_nodelay(true)?;
    let name = ServerName::IpAddress(address.ip().into());
    timeout(DEADLINE, TlsConnector::from(config).connect(name, stream)).await?
}

/// Connects, sends an HTTP/1.1 request for `path`, and reads the whole answer as text.
///
/// # Errors
/// The refusal: the alert, or the broken connection.
pub async fn get(
    config: Arc<ClientConfig>,
    address: SocketAddr,
    path: &str,
) -> std::io::Result<String> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    say(config, address, request.as_bytes()).await
}

/// Connects, sends these bytes, and reads the whole answer as text.
///
/// # Errors
/// The refusal: the alert, or the broken connection.
pub async fn say(
    config: Arc<ClientConfig>,
    address: SocketAddr,
    bytes: &[u8],
) -> std::io::Result<String> {
    let mut stream = connect(config, address).await?;
    stream.write_all(bytes).await?;
    let mut answer = Vec::new();
    timeout(DEADLINE, stream.read_to_end(&mut answer)).await??;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The same over a stream on which every byte travels alone, from the ClientHello on.
///
/// # Errors
/// The refusal: the alert, or the broken connection.
pub async fn get_slowly(
    config: Arc<ClientConfig>,
    stream: TcpStream,
    path: &str,
) -> std::io::Result<String> {
    let name = ServerName::IpAddress(stream.peer_addr()?.ip().into());
    let connecting = TlsConnector::from(config).connect(name, OneByteWrites(stream));
    let mut stream = timeout(DEADLINE, connecting).await??;
    let request = format!("GET {path} HTTP/1.1\r\nhost: slow\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    timeout(DEADLINE, stream.read_to_end(&mut answer)).await??;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// A TLS server in a pod that answers every HTTP/1.1 request with 200 and remembers what it was asked.
pub struct Server {
    stop: tokio::sync::oneshot::Sender<()>,
    seen: Task<Vec<String>>,
}

impl Server {
    /// Listens on `port` with this certificate, asking for a client certificate that `bundle_pem` verifies.
    #[must_use]
    pub fn start(pod: &Pod, port: u16, svid: &Svid, bundle_pem: &str) -> Self {
        let acceptor = TlsAcceptor::from(server_config(svid, bundle_pem));
        // A process that is just being started holds a copy of the last server's socket for a moment.
        let listener = wait::until("the port to be free", wait::PATIENCE, || {
            let bound = pod.run(async move { TcpListener::bind(("::", port)).await });
            bound.map_err(|error| error.to_string())
        });
        let (stop, stopped) = oneshot::channel();
        let seen = pod.spawn(async move {
            let mut seen = Vec::new();
            tokio::select! {
                () = serve(&listener, &acceptor, &mut seen) => {}
                _ = stopped => {}
            }
            seen
        });
        Self { stop, seen }
    }

    /// Stops and tells which requests came.
    #[must_use]
    pub fn stop(self) -> Vec<String> {
        drop(self.stop);
        self.seen.join()
    }
}

async fn serve(listener: &TcpListener, acceptor: &TlsAcceptor, seen: &mut Vec<String>) {
    while let Ok((stream, _)) = listener.accept().await {
        // A client that does not like us hangs up: that is what these servers are for.
        let Ok(Ok(mut stream)) = timeout(DEADLINE, acceptor.accept(stream)).await else { continue };
        let mut request = vec![0; 8192];
        let Ok(Ok(length)) = timeout(DEADLINE, stream.read(&mut request)).await else { continue };
        if length > 0 {
            seen.push(String::from_utf8_lossy(&request[..length]).into_owned());
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\nhi\n")
                .await;
        }
        let _ = stream.shutdown().await;
    }
}

fn server_config(svid: &Svid, bundle_pem: &str) -> Arc<ServerConfig> {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(bundle_pem.as_bytes()) {
        roots.add(root.expect("our own PEM")).expect("a root");
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3 is there")
        .with_client_cert_verifier(clients.build().expect("roots to verify with"))
        .with_single_cert(svid.chain(), svid.key())
        .expect("a certificate and its key");
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// Hands on one byte a write.
struct OneByteWrites(TcpStream);

impl AsyncRead for OneByteWrites {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, into)
    }
}

impl AsyncWrite for OneByteWrites {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let one = bytes.len().min(1);
        Pin::new(&mut self.0).poll_write(context, &bytes[..one])
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// Takes any server certificate; signatures are still checked, so that the handshake is a real one.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 was not offered".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
