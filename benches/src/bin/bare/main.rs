//! What the libraries cost: a pair of proxies made of hyper and rustls and nothing else.
//!
//! One `current_thread` runtime for each worker, a listener and a pool for each of them. Between the two there is mutual TLS
//! with the identities of the mesh, and one HTTP/2 connection a worker, or HTTP/1.1 connections, pooled; opaque bytes have
//! a TLS connection for each TCP connection. No policy but the one expected peer, no metrics, no log, no deadline, no
//! limit, no retry: not a proxy to use, but the floor under one.

#[path = "../../credentials.rs"]
mod credentials;
mod forward;
mod pool;

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use identity::tls::{ALPN_H2, ALPN_HTTP11, client_config, server_config};
use identity::{SpiffeId, X509Svid};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::ReusePort;
use rustls::pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::LocalSet;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use credentials::Credentials;
use forward::Proxy;

/// Connections that wait to be accepted.
const BACKLOG: u32 = 4096;

/// One of the two proxies of a pair.
#[derive(Parser)]
#[command(name = "bare-pair", version)]
pub(crate) struct Options {
    /// Which of the two
    #[arg(value_enum)]
    side: Side,
    /// The port of 127.0.0.1 that is served
    #[arg(long)]
    listen: u16,
    /// The port of 127.0.0.1 that is called
    #[arg(long)]
    upstream: u16,
    /// What client and app speak
    #[arg(long, value_enum)]
    protocol: Protocol,
    /// What the two proxies speak, where it is HTTP
    #[arg(long, value_enum, default_value = "http2")]
    hop: Protocol,
    #[arg(long, default_value_t = 1)]
    workers: usize,
    #[arg(long)]
    certificate: PathBuf,
    #[arg(long)]
    key: PathBuf,
    #[arg(long)]
    root: PathBuf,
    /// The SPIFFE id that the other proxy must prove
    #[arg(long)]
    peer: String,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Side {
    /// Plaintext in, mutual TLS out
    Outbound,
    /// Mutual TLS in, plaintext out
    Inbound,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Protocol {
    Http1,
    Http2,
    Opaque,
}

/// What a worker needs, made once.
struct Setup {
    side: Side,
    protocol: Protocol,
    hop: Protocol,
    listen: SocketAddr,
    upstream: SocketAddr,
    acceptor: TlsAcceptor,
    connector: TlsConnector,
    peer: SpiffeId,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when standard error is gone.
            let _ = writeln!(std::io::stderr(), "bare-pair: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let setup = Arc::new(Setup::new(options)?);
    let workers: Vec<_> = (0..options.workers.max(1))
        .map(|_| {
            let setup = Arc::clone(&setup);
            std::thread::spawn(move || worker(&setup))
        })
        .collect();
    for worker in workers {
        worker.join().ok().context("a worker ended early")??;
    }
    Ok(())
}

impl Setup {
    fn new(options: &Options) -> Result<Self> {
        let Credentials { svid, key, bundles } =
            Credentials::read(&options.certificate, &options.key, &options.root)?;
        let bundles = Arc::new(bundles);
        let peer = SpiffeId::parse(&options.peer)?;
        let alpn: &[&[u8]] = match (options.protocol, options.hop) {
            (Protocol::Opaque, _) => &[],
            (Protocol::Http1, Protocol::Http1) => &[ALPN_HTTP11],
            _ => &[ALPN_H2],
        };
        let server = server_config(&svid, &key, Arc::clone(&bundles), alpn)?;
        let client = client_config(&svid, &key, bundles, Arc::new([peer.clone()]), alpn)?;
        let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Ok(Self {
            side: options.side,
            protocol: options.protocol,
            hop: options.hop,
            listen: loopback(options.listen),
            upstream: loopback(options.upstream),
            acceptor: TlsAcceptor::from(Arc::new(server)),
            connector: TlsConnector::from(Arc::new(client)),
            peer,
        })
    }

    /// The verifier has seen that the chain is good; whose it is, is asked here.
    fn ensure_it_is_the_peer(&self, chain: Option<&[CertificateDer<'_>]>) -> Result<()> {
        let leaf = chain.and_then(<[_]>::first).context("no certificate")?;
        let svid = X509Svid::parse(vec![leaf.clone().into_owned()])?;
        ensure!(*svid.id() == self.peer, "{} is not the peer", svid.id());
        Ok(())
    }
}

fn worker(setup: &Arc<Setup>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let listener = listen(setup.listen).context("listening")?;
        let proxy = Rc::new(Proxy::new(Arc::clone(setup)));
        loop {
            let (stream, _) = listener.accept().await.context("accepting")?;
            let proxy = Rc::clone(&proxy);
            // A connection that breaks ends, and says nothing.
            tokio::task::spawn_local(async move { drop(proxy.serve(stream).await) });
        }
    })
}

/// The kernel spreads connections over the workers that listen at the same address.
fn listen(address: SocketAddr) -> Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    setsockopt(&socket, ReusePort, &true)?;
    socket.bind(address)?;
    Ok(socket.listen(BACKLOG)?)
}

/// To the other proxy or to the app.
async fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
