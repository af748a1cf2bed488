//! The client against an agent that is as strict as a SPIRE agent: security header or `InvalidArgument`,
//! `PermissionDenied` while the workload is not registered, one stream per client, nothing beyond the standard's
//! fields.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, Response};
use identity::{TrustBundles, TrustDomain};
use prost::Message;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, IsCa,
    KeyIdMethod, KeyPair, KeyUsagePurpose, SanType, SerialNumber, date_time_ymd,
};
use rustls_pki_types::UnixTime;
use tokio::net::UnixListener;
use tokio::sync::watch;

use super::proto::{X509svid, X509svidResponse};
use crate::control::config::Config;
use crate::control::credentials::workload_api::*;

const CART: &str = "spiffe://cluster.local/ns/shop/sa/cart";

struct TestAuthority(CertifiedIssuer<'static, KeyPair>);

impl TestAuthority {
    fn new() -> Self {
        let mut root = CertificateParams::default();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        root.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self(CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap())
    }

    fn answer(&self) -> X509svidResponse {
        let mut leaf = CertificateParams::default();
        leaf.subject_alt_names = vec![SanType::URI(CART.try_into().unwrap())];
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.is_ca = IsCa::ExplicitNoCa;
        let key = KeyPair::generate().unwrap();
        X509svidResponse {
            svids: vec![X509svid {
                spiffe_id: CART.to_owned(),
                x509_svid: leaf.signed_by(&key, &self.0).unwrap().der().to_vec(),
                x509_svid_key: key.serialize_der(),
                bundle: self.der(),
                hint: String::new(),
            }],
            ..X509svidResponse::default()
        }
    }

    fn der(&self) -> Vec<u8> {
        self.0.as_ref().der().to_vec()
    }

    fn list(&self) -> Vec<u8> {
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(2036, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.0).unwrap().der().to_vec()
    }
}

fn held(answer: X509svidResponse) -> Credentials {
    let OfferedCredentials { svid, key, bundles, .. } = read(answer, None).unwrap();
    Credentials::new(1, svid, key, bundles, UnixTime::now()).unwrap()
}

fn lists(bundles: &TrustBundles) -> usize {
    let own = TrustDomain::parse("cluster.local").unwrap();
    bundles.get(&own).map_or(0, |bundle| bundle.crls().len())
}

#[test]
fn s28_revocation_lists_of_an_answer() {
    let authority = TestAuthority::new();
    let with = |crl: Vec<Vec<u8>>| X509svidResponse { crl, ..authority.answer() };
    let first = held(with(vec![authority.list()]));
    assert_eq!(lists(first.bundles()), 1);
    // Workload API §4.4: an empty field clears the earlier value.
    assert_eq!(lists(&read(with(vec![]), Some(&first)).unwrap().bundles), 0);
    for bad in [vec![], vec![0xff; 100]] {
        let kept = read(with(vec![authority.list(), bad.clone()]), Some(&first)).unwrap();
        assert_eq!((lists(&kept.bundles), kept.kept.len()), (1, 1));
        assert!(read(with(vec![bad]), None).is_err(), "at the start there is none to keep");
    }
}

#[test]
fn a_workloads_certificate_in_a_bundle_refuses_the_bundle_by_name() {
    let authority = TestAuthority::new();
    let with_leaf =
        |answer: &X509svidResponse| [authority.der(), answer.svids[0].x509_svid.clone()].concat();
    let mut own = authority.answer();
    own.svids[0].bundle = with_leaf(&own);
    let said = format!("{:#}", read(own, None).map(drop).unwrap_err());
    assert!(said.contains("certificate 1 ") && said.contains(CART), "{said}");
    // The roots of another trust domain: the last good ones stay, the rest is taken.
    let partner = |roots: Vec<u8>| X509svidResponse {
        federated_bundles: [("spiffe://partner.example".to_owned(), roots)].into(),
        ..authority.answer()
    };
    let first = held(partner(authority.der()));
    let offered = read(partner(with_leaf(&authority.answer())), Some(&first)).unwrap();
    let name = TrustDomain::parse("partner.example").unwrap();
    assert_eq!(offered.bundles.get(&name).map(|bundle| bundle.roots().len()), Some(1));
    assert!(offered.kept[0].error.contains(CART), "{}", offered.kept[0].error);
}

#[test]
fn f09_bundle_unreadable_is_kept_and_explicitly_empty_distrusts() {
    let (authority, partner) = (TestAuthority::new(), TestAuthority::new());
    let name = TrustDomain::parse("partner.example").unwrap();
    let with = |roots: Vec<u8>| X509svidResponse {
        federated_bundles: [("spiffe://partner.example".to_owned(), roots)].into(),
        ..authority.answer()
    };
    let roots = |offered: &OfferedCredentials| offered.bundles.get(&name).map(|b| b.roots().len());
    let first = held(with(partner.der()));
    let seen = |answer| read(answer, Some(&first)).unwrap();
    assert_eq!(roots(&seen(with([partner.der(), authority.der()].concat()))), Some(2));
    let torn = seen(with(partner.der()[1..].to_vec()));
    assert_eq!((roots(&torn), torn.kept.len()), (Some(1), 1), "unreadable: kept");
    assert_eq!(roots(&seen(with(vec![]))), Some(0), "explicitly empty: distrusted");
    assert_eq!(roots(&seen(authority.answer())), None, "no longer sent: nobody is trusted");
    let mut own = authority.answer();
    own.svids[0].bundle.clear();
    assert!(read(own.clone(), None).is_err(), "none held");
    assert!(read(own, Some(&first)).unwrap().refused.is_some(), "the own roots are never emptied");
}

/// Revocations and the roots of other trust domains apply even while our own part is invalid.
#[test]
fn lists_and_foreign_roots_are_taken_while_our_own_part_is_refused() {
    let (authority, partner) = (TestAuthority::new(), TestAuthority::new());
    let own = TrustDomain::parse("cluster.local").unwrap();
    let name = TrustDomain::parse("partner.example").unwrap();
    let held = held(authority.answer());
    let check = |what: &str, spoil: &dyn Fn(&mut X509svid)| {
        let federated_bundles = [
            ("spiffe://partner.example".to_owned(), partner.der()),
            // Our own roots come with the SVID alone.
            ("spiffe://cluster.local".to_owned(), partner.der()),
        ];
        let crl = vec![authority.list()];
        let federated_bundles = federated_bundles.into();
        let mut answer = X509svidResponse { crl, federated_bundles, ..authority.answer() };
        spoil(&mut answer.svids[0]);
        let offered = read(answer.clone(), Some(&held)).unwrap();
        assert!(offered.refused.is_some(), "{what}");
        assert_eq!(lists(&offered.bundles), 1, "{what}");
        assert_eq!(offered.bundles.get(&name).map(|b| b.roots().len()), Some(1), "{what}");
        let ours = |bundles: &TrustBundles| bundles.get(&own).unwrap().roots().to_vec();
        assert_eq!(ours(&offered.bundles), ours(held.bundles()), "{what}");
        assert_eq!(offered.svid.serial_hex(), held.svid().serial_hex(), "{what}");
        assert!(read(answer, None).is_err(), "{what}: none held");
    };
    check("a workload's certificate among the roots", &|svid| {
        svid.bundle.extend_from_slice(&svid.x509_svid.clone());
    });
    check("torn roots", &|svid| svid.bundle.truncate(100));
    check("no roots", &|svid| svid.bundle.clear());
    check("a torn certificate", &|svid| svid.x509_svid.truncate(100));
    check("another name", &|svid| svid.spiffe_id.push('x'));
    check("no key", &|svid| svid.x509_svid_key.clear());
    let crl = vec![authority.list()];
    let nobody = X509svidResponse { crl, ..X509svidResponse::default() };
    assert!(read(nobody, Some(&held)).is_err(), "an answer without an SVID says nothing");
}

#[test]
fn f04_answers_that_do_not_fit_are_refused() {
    let authority = TestAuthority::new();
    let check = |name: &str, change: &dyn Fn(&mut X509svidResponse)| {
        let mut answer = authority.answer();
        change(&mut answer);
        assert!(read(answer, None).is_err(), "{name}");
    };
    check("no SVID", &|answer| answer.svids.clear());
    check("another name beside the certificate", &|answer| answer.svids[0].spiffe_id.push('x'));
    check("no chain", &|answer| answer.svids[0].x509_svid.clear());
    check("a torn chain", &|answer| answer.svids[0].x509_svid.truncate(100));
    check("no key", &|answer| answer.svids[0].x509_svid_key.clear());
    check("a torn bundle", &|answer| answer.svids[0].bundle.truncate(100));
}

/// Serves one answer at a time, the latest; `None` is a workload that is not registered.
async fn strict_agent(
    listener: UnixListener,
    answers: watch::Receiver<Option<X509svidResponse>>,
    calls: Arc<AtomicUsize>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let (answers, calls) = (answers.clone(), calls.clone());
        tokio::spawn(async move {
            let mut connection = h2::server::handshake(stream).await.unwrap();
            while let Some(Ok((request, respond))) = connection.accept().await {
                calls.fetch_add(1, Relaxed);
                tokio::spawn(serve(request, respond, answers.clone()));
            }
        });
    }
}

async fn serve(
    request: http::Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
    mut answers: watch::Receiver<Option<X509svidResponse>>,
) {
    assert_eq!(request.uri().path(), "/SpiffeWorkloadAPI/FetchX509SVID");
    let head = Response::builder().header("content-type", "application/grpc");
    let trailers_only = |code: &str| head_with_status(code);
    if request.headers().get("workload.spiffe.io").is_none_or(|value| value != "true") {
        respond.send_response(trailers_only("3"), true).unwrap();
        return;
    }
    if answers.borrow_and_update().is_none() {
        respond.send_response(trailers_only("7"), true).unwrap();
        return;
    }
    let mut stream = respond.send_response(head.body(()).unwrap(), false).unwrap();
    loop {
        let Some(answer) = answers.borrow_and_update().clone() else {
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", "7".parse().unwrap());
            stream.send_trailers(trailers).unwrap();
            return;
        };
        let mut frame = BytesMut::new();
        frame.put_u8(0);
        frame.put_u32(u32::try_from(answer.encoded_len()).unwrap());
        answer.encode(&mut frame).unwrap();
        stream.send_data(frame.freeze(), false).unwrap();
        if answers.changed().await.is_err() {
            return;
        }
    }
}

fn head_with_status(code: &str) -> Response<()> {
    let head = Response::builder().header("content-type", "application/grpc");
    head.header("grpc-status", code).header("grpc-message", "no identity issued").body(()).unwrap()
}

async fn until(what: &str, mut is: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if is() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited ten seconds for {what}");
}

#[tokio::test]
async fn a_spire_like_agent_is_followed_from_registration_to_restart() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("agent.sock");
    let text = format!(
        "workload: {{namespace: shop, serviceAccount: cart}}\nidentity: {{workloadApi: \"unix://{}\"}}\n",
        socket.display()
    );
    let state = ProxyState::new(Config::parse("p", text.as_bytes()).unwrap().traffic_settings(), 1)
        .unwrap();
    let (say, answers) = watch::channel(None);
    let calls = Arc::new(AtomicUsize::new(0));
    let listener = UnixListener::bind(&socket).unwrap();
    let agent = tokio::spawn(strict_agent(listener, answers.clone(), calls.clone()));
    tokio::spawn(follow(state.clone(), socket.clone()));
    until("two calls", || calls.load(Relaxed) >= 2).await;
    assert!(state.credentials().is_none(), "PermissionDenied is asked again, and nothing is taken");

    let authority = TestAuthority::new();
    say.send(Some(authority.answer())).unwrap();
    until("the first certificate", || state.credentials_generation() == 1).await;
    // A rotation comes on the same stream.
    let before = calls.load(Relaxed);
    say.send(Some(authority.answer())).unwrap();
    until("the second certificate", || state.credentials_generation() == 2).await;
    assert_eq!(calls.load(Relaxed), before, "one stream a client");
    // An invalid answer changes nothing; the next valid one is taken.
    say.send(Some(X509svidResponse::default())).unwrap();
    until("another call", || calls.load(Relaxed) > before).await;
    assert_eq!(state.credentials_generation(), 2);
    say.send(Some(authority.answer())).unwrap();
    until("the third certificate", || state.credentials_generation() == 3).await;

    agent.abort();
    std::fs::remove_file(&socket).unwrap();
    let listener = UnixListener::bind(&socket).unwrap();
    tokio::spawn(strict_agent(listener, answers, calls));
    say.send(None).unwrap();
    say.send(Some(authority.answer())).unwrap();
    until("a certificate of the restarted agent", || state.credentials_generation() >= 4).await;
}

/// The two copies of the standard's messages must not drift apart.
#[test]
fn the_protocol_is_the_cert_agents() {
    let ours =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/proto/workload.proto"));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../cert-agent/agent/proto/workload.proto");
    assert_eq!(ours.unwrap(), std::fs::read_to_string(path).unwrap());
}
