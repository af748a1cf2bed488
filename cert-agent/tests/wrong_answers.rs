//! F-04: an authority that answers wrongly is rejected, what is held stays, and the agent says why.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::support::{Agent, CART, Ca, id};
use authority::attest::Caller;
use authority::ca::csr;
use authority::ca::leaf::{Subject, sign};
use authority::ca::signers::BACK_DATED;
use authority::clock::{RequestTime, wall_clock};
use authority::serve::issue::Authority;
use issuance_messages::signing_server::{Signing, SigningServer};
use issuance_messages::{
    Bundles, ExchangeTokenRequest, ExchangeTokenResponse, IssueJwtRequest, IssueJwtResponse,
    IssueRequest, IssueResponse, WatchBundlesRequest,
};
use rcgen::{CertificateParams, KeyPair};
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Request, Response, Status};

/// What the false authority does to an honest answer.
type Falsify = fn(IssueResponse, &IssueRequest, &Authority) -> IssueResponse;

/// An authority with the right keys and a will of its own.
struct FalseAuthority {
    authority: Arc<Authority>,
    falsify: Arc<Mutex<Option<Falsify>>>,
}

#[tonic::async_trait]
impl Signing for FalseAuthority {
    async fn issue(
        &self,
        request: Request<IssueRequest>,
    ) -> Result<Response<IssueResponse>, Status> {
        let request = request.into_inner();
        let now = RequestTime { wall: wall_clock(), monotonic: Instant::now() };
        let caller = Caller::Remote("127.0.0.1:1".parse().unwrap());
        let honest = self
            .authority
            .issue(&request, &caller, now)
            .await
            .map_err(|refusal| Status::unauthenticated(refusal.to_string()))?;
        Ok(Response::new(match *self.falsify.lock().unwrap() {
            Some(falsify) => falsify(honest, &request, &self.authority),
            None => honest,
        }))
    }

    async fn issue_jwt(
        &self,
        _request: Request<IssueJwtRequest>,
    ) -> Result<Response<IssueJwtResponse>, Status> {
        Err(Status::unimplemented("not a part of these stories"))
    }

    async fn exchange_token(
        &self,
        _request: Request<ExchangeTokenRequest>,
    ) -> Result<Response<ExchangeTokenResponse>, Status> {
        Err(Status::unimplemented("not a part of these stories"))
    }

    type WatchBundlesStream = tokio_stream::Empty<Result<Bundles, Status>>;

    async fn watch_bundles(
        &self,
        _request: Request<WatchBundlesRequest>,
    ) -> Result<Response<Self::WatchBundlesStream>, Status> {
        Err(Status::unimplemented("not a part of these stories"))
    }
}

fn serve(ca: &Ca, socket: &Path) -> Arc<Mutex<Option<Falsify>>> {
    let falsify = Arc::new(Mutex::new(None));
    let service = FalseAuthority { authority: Arc::new(ca.load()), falsify: Arc::clone(&falsify) };
    let incoming = UnixListenerStream::new(UnixListener::bind(socket).unwrap());
    tokio::spawn(
        tonic::transport::Server::builder()
            .add_service(SigningServer::new(service))
            .serve_with_incoming(incoming),
    );
    falsify
}

/// An agent that holds a certificate of an honest answer, then gets a false one.
async fn check(falsify: Falsify, expect: &str) {
    let ca = Ca::new();
    let socket = ca.dir.path().join("false.sock");
    let knob = serve(&ca, &socket);
    let mut agent = Agent::joining(&ca, "127.0.0.1:1".parse().unwrap(), CART);
    agent.settings.authority = None;
    agent.settings.authority_unix = Some(socket);
    let agent = agent.started().await;
    let before = agent.status().await.unwrap();

    *knob.lock().unwrap() = Some(falsify);
    let error = agent.renew().await.unwrap_err().to_string();
    assert!(error.contains(expect), "{error}");
    let after = agent.status().await.unwrap();
    assert!(after.ready);
    assert_eq!(after.serial, before.serial, "what is held stays");
    assert_eq!(after.roots, before.roots);
    assert_eq!(after.failures, 1);
    assert_eq!(after.last_error.as_deref(), Some(error.as_str()));

    *knob.lock().unwrap() = None;
    assert!(agent.renew().await.unwrap().ready, "an honest answer is taken again");
}

fn resigned(
    mut answer: IssueResponse,
    authority: &Authority,
    identity: &str,
    csr_der: &[u8],
    at: u64,
) -> IssueResponse {
    let key = csr::proven_key(csr_der).unwrap();
    let subject = Subject { id: id(identity), dns_names: Vec::new() };
    let leaf = sign(&authority.ca.now(), &key, &subject, 60, at).unwrap();
    answer.certificate_chain = leaf.chain.iter().map(|c| c.to_vec()).collect();
    answer
}

#[tokio::test]
async fn f04_ca_answers_wrongly_other_id() {
    check(
        |answer, request, authority| {
            let other = "spiffe://cluster.local/ns/shop/sa/payments";
            resigned(answer, authority, other, &request.csr_der, wall_clock())
        },
        "with a certificate of spiffe://cluster.local/ns/shop/sa/payments, but this agent is",
    )
    .await;
}

#[tokio::test]
async fn f04_ca_answers_wrongly_other_key() {
    check(
        |answer, _, authority| {
            let key = KeyPair::generate().unwrap();
            let csr = CertificateParams::default().serialize_request(&key).unwrap();
            resigned(answer, authority, CART, csr.der(), wall_clock())
        },
        "of another key than the one we made",
    )
    .await;
}

#[tokio::test]
async fn f04_ca_answers_wrongly_expired() {
    check(
        |answer, request, authority| {
            // The intermediate itself begins 60 s before it was made; just inside of that, for 1 s.
            let at = wall_clock() - BACK_DATED + 2;
            let key = csr::proven_key(&request.csr_der).unwrap();
            let subject = Subject { id: id(CART), dns_names: Vec::new() };
            let leaf = sign(&authority.ca.now(), &key, &subject, 1, at).unwrap();
            let certificate_chain = leaf.chain.iter().map(|c| c.to_vec()).collect();
            IssueResponse { certificate_chain, ..answer }
        },
        "is not valid now",
    )
    .await;
}

#[tokio::test]
async fn f07_clock_behind_the_authority_is_named() {
    check(
        |answer, request, authority| {
            let ahead = wall_clock() + 3600;
            let answer = IssueResponse { server_time: i64::try_from(ahead).unwrap(), ..answer };
            resigned(answer, authority, CART, &request.csr_der, ahead)
        },
        "s behind the authority's",
    )
    .await;
}

#[tokio::test]
async fn f04_ca_answers_wrongly_empty_chain() {
    check(
        |answer, _, _| IssueResponse { certificate_chain: Vec::new(), ..answer },
        "is no X.509-SVID",
    )
    .await;
}

#[tokio::test]
async fn f04_ca_answers_wrongly_garbage() {
    check(
        |answer, _, _| IssueResponse { certificate_chain: vec![vec![0x30; 300]], ..answer },
        "is no X.509-SVID",
    )
    .await;
}

#[tokio::test]
async fn f04_ca_answers_wrongly_unknown_root() {
    check(
        |answer, request, _| {
            let other = Ca::new().load();
            let root = other.ca.now().bundle().roots()[0].to_vec();
            let answer = IssueResponse { trust_bundle: vec![root], ..answer };
            resigned(answer, &other, CART, &request.csr_der, wall_clock())
        },
        "does not lead to the roots we trust",
    )
    .await;
}

#[tokio::test]
async fn f04_ca_answers_wrongly_bundle_of_another_root() {
    check(
        |answer, _, _| {
            let root = Ca::new().load().ca.now().bundle().roots()[0].to_vec();
            IssueResponse { trust_bundle: vec![root], ..answer }
        },
        "does not lead to the roots it came with",
    )
    .await;
}

#[tokio::test]
async fn f04_ca_answers_wrongly_empty_bundle() {
    check(
        |answer, _, _| IssueResponse { trust_bundle: Vec::new(), ..answer },
        "trust bundle cannot be used: it is empty",
    )
    .await;
}

#[tokio::test]
async fn f04_ca_answers_wrongly_a_signer_instead_of_a_leaf() {
    check(
        |answer, _, authority| {
            let signer = authority.ca.now().certificate().to_vec();
            IssueResponse { certificate_chain: vec![signer], ..answer }
        },
        "is no X.509-SVID",
    )
    .await;
}
