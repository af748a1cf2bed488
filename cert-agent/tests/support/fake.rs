//! An authority that signs certificates as the real one does, and says of bundles and JWT-SVIDs what
//! a story tells it to.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use authority::attest::Caller;
use authority::clock::{RequestTime, wall_clock};
use authority::serve::issue::Authority;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use issuance_messages::signing_server::{Signing, SigningServer};
use issuance_messages::{
    Bundles, ExchangeTokenRequest, ExchangeTokenResponse, IssueJwtRequest, IssueJwtResponse,
    IssueRequest, IssueResponse, TrustDomainBundle, WatchBundlesRequest,
};
use rcgen::{KeyPair, PublicKeyData as _};
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::{UnixListenerStream, WatchStream};
use tonic::{Request, Response, Status};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::support::{Agent, Ca};

/// The authority, and what a story may change of it.
#[derive(Clone)]
pub(crate) struct Fake {
    authority: Arc<Authority>,
    /// What it says of bundles.
    pub(crate) bundles: watch::Sender<Bundles>,
    /// The key of its JWT-SVIDs.
    key: Arc<KeyPair>,
    /// How long they live, seconds; negative: refuse.
    pub(crate) jwt_lifetime: Arc<Mutex<i64>>,
    /// What its internal tokens say; none: refuse.
    pub(crate) internal: Arc<Mutex<Option<serde_json::Value>>>,
    /// How many it signed.
    pub(crate) jwts: Arc<Mutex<u32>>,
    pub(crate) socket: PathBuf,
}

impl Fake {
    /// Serves at a socket in the authority's directory, until the runtime ends.
    pub(crate) fn serve(ca: &Ca) -> Self {
        let authority = Arc::new(ca.load());
        let key = Arc::new(KeyPair::generate().unwrap());
        let socket = ca.dir.path().join("fake.sock");
        let own = own_bundle(&authority, &key, 1);
        let (bundles, _) = watch::channel(message(vec![own]));
        let fake = Self {
            authority,
            bundles,
            key,
            jwt_lifetime: Arc::new(Mutex::new(300)),
            internal: Arc::default(),
            jwts: Arc::default(),
            socket: socket.clone(),
        };
        let incoming = UnixListenerStream::new(UnixListener::bind(&socket).unwrap());
        tokio::spawn(
            tonic::transport::Server::builder()
                .add_service(SigningServer::new(fake.clone()))
                .serve_with_incoming(incoming),
        );
        fake
    }

    /// Its own bundle as it is at first, under this sequence.
    pub(crate) fn own(&self, sequence: u64) -> TrustDomainBundle {
        own_bundle(&self.authority, &self.key, sequence)
    }

    pub(crate) fn say(&self, bundles: Vec<TrustDomainBundle>) {
        self.bundles.send_replace(message(bundles));
    }

    /// A token by its key, with these claims.
    pub(crate) fn sign(&self, claims: &serde_json::Value) -> String {
        let key =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &self.key.serialize_der());
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let header = serde_json::json!({"alg": "ES256", "typ": "JWT", "kid": "k1"}).to_string();
        let signed = format!("{}.{}", part(header.as_bytes()), part(claims.to_string().as_bytes()));
        let signature = key.unwrap().sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", part(signature.as_ref()))
    }
}

/// An agent of this fake.
pub(crate) fn agent_of(ca: &Ca, socket: &Path, identity: &str) -> Agent {
    let mut agent = Agent::joining(ca, "127.0.0.1:1".parse().unwrap(), identity);
    agent.settings.authority = None;
    agent.settings.authority_unix = Some(socket.to_owned());
    agent
}

pub(crate) fn message(bundles: Vec<TrustDomainBundle>) -> Bundles {
    Bundles { bundles, server_time: i64::try_from(wall_clock()).unwrap() }
}

fn own_bundle(authority: &Authority, key: &KeyPair, sequence: u64) -> TrustDomainBundle {
    let roots = authority.ca.now().bundle().roots().iter().map(|root| root.to_vec()).collect();
    TrustDomainBundle {
        trust_domain: "cluster.local".to_owned(),
        x509_authorities: roots,
        jwt_authorities: jwks(key),
        sequence,
        ..TrustDomainBundle::default()
    }
}

fn jwks(key: &KeyPair) -> Vec<u8> {
    let point = key.der_bytes();
    let coordinate = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let (x, y) = (coordinate(&point[1..33]), coordinate(&point[33..65]));
    let key = serde_json::json!({
        "kty": "EC", "crv": "P-256", "kid": "k1", "use": "jwt-svid", "x": x, "y": y,
    });
    serde_json::json!({"keys": [key]}).to_string().into_bytes()
}

/// The proof of `proto/authority.proto`, checked with another library than the one that made it.
fn proven(request: &IssueJwtRequest) -> String {
    let (_, leaf) = X509Certificate::from_der(&request.certificate_chain[0]).unwrap();
    let mut signed = b"postern jwt request v1\0".to_vec();
    signed.extend(request.signed_at.to_be_bytes());
    for audience in &request.audience {
        signed.extend(u32::try_from(audience.len()).unwrap().to_be_bytes());
        signed.extend(audience.as_bytes());
    }
    let point = &leaf.public_key().subject_public_key.data;
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point)
        .verify(&signed, &request.signature)
        .expect("the proof fits the contract");
    let names = leaf.subject_alternative_name().unwrap().unwrap();
    names
        .value
        .general_names
        .iter()
        .find_map(|name| match name {
            x509_parser::prelude::GeneralName::URI(uri) => Some((*uri).to_owned()),
            _ => None,
        })
        .unwrap()
}

#[tonic::async_trait]
impl Signing for Fake {
    async fn issue(
        &self,
        request: Request<IssueRequest>,
    ) -> Result<Response<IssueResponse>, Status> {
        let now = RequestTime { wall: wall_clock(), monotonic: Instant::now() };
        let caller = Caller::Remote("127.0.0.1:1".parse().unwrap());
        self.authority
            .issue(&request.into_inner(), &caller, now)
            .await
            .map(Response::new)
            .map_err(|refusal| Status::unauthenticated(refusal.to_string()))
    }

    async fn issue_jwt(
        &self,
        request: Request<IssueJwtRequest>,
    ) -> Result<Response<IssueJwtResponse>, Status> {
        let request = request.into_inner();
        let subject = proven(&request);
        let lifetime = *self.jwt_lifetime.lock().unwrap();
        if lifetime < 0 {
            return Err(Status::unavailable("not today"));
        }
        *self.jwts.lock().unwrap() += 1;
        let now = i64::try_from(wall_clock()).unwrap();
        let not_after = now + lifetime;
        let claims = serde_json::json!({
            "sub": subject, "aud": request.audience, "iat": now, "exp": not_after,
        });
        Ok(Response::new(IssueJwtResponse {
            svid: self.sign(&claims),
            not_after,
            server_time: now,
        }))
    }

    async fn exchange_token(
        &self,
        _request: Request<ExchangeTokenRequest>,
    ) -> Result<Response<ExchangeTokenResponse>, Status> {
        let claims = self.internal.lock().unwrap().clone();
        let claims = claims.ok_or_else(|| Status::unavailable("not today"))?;
        let now = i64::try_from(wall_clock()).unwrap();
        let token = self.sign(&claims);
        Ok(Response::new(ExchangeTokenResponse { token, not_after: now + 300, server_time: now }))
    }

    type WatchBundlesStream =
        std::pin::Pin<Box<dyn tokio_stream::Stream<Item = Result<Bundles, Status>> + Send>>;

    async fn watch_bundles(
        &self,
        _request: Request<WatchBundlesRequest>,
    ) -> Result<Response<Self::WatchBundlesStream>, Status> {
        let bundles = WatchStream::new(self.bundles.subscribe());
        Ok(Response::new(Box::pin(bundles.map(Ok))))
    }
}
