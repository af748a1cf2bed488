//! The SPIFFE Workload API as the standard words it, asked by the `spiffe` crate (which knows
//! nothing of us) and, for what that crate would never do, by a bare client.

use std::time::Duration;

use crate::support::{Agent, CART, Ca, Running, bare, free_address, with_header, within};
use agent::cli::fetch;
use agent::proto::workload::spiffe_workload_api_client::SpiffeWorkloadApiClient;
use agent::proto::workload::spiffe_workload_api_server::SpiffeWorkloadApiServer;
use agent::proto::workload::{
    JwtBundlesRequest, JwtsvidRequest, ValidateJwtsvidRequest, X509BundlesRequest, X509svidRequest,
};
use agent::renewal::authority_client::AuthorityAddress;
use agent::renewal::jwt_source::JwtSource;
use agent::renewal::served_state;
use agent::serve::callers::AllowedCallers;
use agent::serve::socket::ListeningSocket;
use agent::serve::workload_api::WorkloadApi;
use futures_util::StreamExt as _;
use identity::SvidKey;
use spiffe::WorkloadApiClient;
use tokio_util::sync::CancellationToken;
use tonic::metadata::AsciiMetadataValue;
use tonic::{Code, Request};

async fn ready() -> (Ca, Running, Agent) {
    let ca = Ca::new();
    let authority = ca.start().await;
    let agent = Agent::joining(&ca, authority.address, CART).started().await;
    (ca, authority, agent)
}

#[tokio::test]
async fn spiffe_workload_api_5_2_1_fetch_x509_svid() {
    let (_ca, _authority, agent) = ready().await;
    let client = WorkloadApiClient::connect_to(agent.endpoint()).await.unwrap();
    let svid = client.fetch_x509_svid().await.unwrap();
    assert_eq!(svid.spiffe_id().to_string(), CART);
    assert_eq!(svid.cert_chain().len(), 2, "leaf and intermediate");

    let answer = fetch::fetch(agent.socket()).await.unwrap();
    SvidKey::from_pkcs8_der(answer.x509_svid_key).expect("§5.2: unencrypted PKCS#8");
    assert_eq!(fetch::split(&answer.bundle).unwrap().len(), 1, "the own domain's bundle, always");
}

#[tokio::test]
async fn spiffe_workload_api_5_2_2_fetch_x509_bundles() {
    let (_ca, _authority, agent) = ready().await;
    let client = WorkloadApiClient::connect_to(agent.endpoint()).await.unwrap();
    let bundles = client.fetch_x509_bundles().await.unwrap();
    let trust_domain = spiffe::TrustDomain::new("cluster.local").unwrap();
    let bundle = bundles.get(&trust_domain).expect("the own domain's bundle, always");
    assert_eq!(bundle.authorities().len(), 1);

    let mut raw = bare(&agent)
        .await
        .fetch_x509_bundles(with_header(X509BundlesRequest {}))
        .await
        .unwrap()
        .into_inner();
    let message = within("the bundles", raw.message()).await.unwrap().unwrap();
    assert_eq!(message.bundles.keys().collect::<Vec<_>>(), ["spiffe://cluster.local"]);
}

#[tokio::test]
async fn spiffe_workload_api_4_3_every_message_is_the_full_set_and_the_first_comes_at_once() {
    let (_ca, _authority, agent) = ready().await;
    let client = WorkloadApiClient::connect_to(agent.endpoint()).await.unwrap();
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(client.stream_x509_contexts().await.unwrap());
    }
    let mut first = Vec::new();
    for stream in &mut streams {
        first.push(within("the first message", stream.next()).await.unwrap().unwrap());
    }
    let renewed = agent.renew().await.unwrap();
    for (stream, first) in streams.iter_mut().zip(first) {
        let second = within("the push", stream.next()).await.unwrap().unwrap();
        let (old, new) = (first.default_svid().unwrap(), second.default_svid().unwrap());
        assert_ne!(old.cert_chain()[0].as_bytes(), new.cert_chain()[0].as_bytes());
        assert_eq!(new.spiffe_id().to_string(), CART);
        assert_eq!(second.bundle_set().len(), 1, "the bundle comes with it each time");
    }
    assert_eq!(renewed.renewals, 2);
}

#[tokio::test]
async fn spiffe_workload_api_streams_see_a_rotation_by_lifetime() {
    let ca = Ca::new().lifetime(2);
    let authority = ca.start().await;
    let agent = Agent::joining(&ca, authority.address, CART).started().await;
    let client = WorkloadApiClient::connect_to(agent.endpoint()).await.unwrap();
    let mut stream = client.stream_x509_svids().await.unwrap();
    let mut serials = std::collections::HashSet::new();
    for _ in 0..3 {
        let svid = within("a rotation", stream.next()).await.unwrap().unwrap();
        serials.insert(svid.cert_chain()[0].as_bytes().to_vec());
    }
    assert_eq!(serials.len(), 3);
}

#[tokio::test]
async fn spiffe_workload_endpoint_3_requests_without_the_security_header() {
    let (_ca, _authority, agent) = ready().await;
    let mut client = bare(&agent).await;
    let check = |outcome: Result<(), tonic::Status>| {
        assert_eq!(outcome.unwrap_err().code(), Code::InvalidArgument);
    };
    check(client.fetch_x509svid(X509svidRequest {}).await.map(drop));
    check(client.fetch_x509_bundles(X509BundlesRequest {}).await.map(drop));
    check(client.fetch_jwtsvid(JwtsvidRequest::default()).await.map(drop));
    check(client.fetch_jwt_bundles(JwtBundlesRequest {}).await.map(drop));
    check(client.validate_jwtsvid(ValidateJwtsvidRequest::default()).await.map(drop));

    for value in ["false", "TRUE", "true,true", "1", ""] {
        let mut request = Request::new(X509svidRequest {});
        request.metadata_mut().insert("workload.spiffe.io", value.parse().unwrap());
        check(client.fetch_x509svid(request).await.map(drop));
    }
    let mut twice = with_header(X509svidRequest {});
    twice.metadata_mut().append("workload.spiffe.io", AsciiMetadataValue::from_static("false"));
    check(client.fetch_x509svid(twice).await.map(drop));
}

#[tokio::test]
async fn spiffe_workload_endpoint_6_not_ready_is_unavailable() {
    let ca = Ca::new();
    let agent = Agent::joining(&ca, free_address().await, CART).start();
    agent.until("a failed attempt", |status| status.failures > 0).await;
    let mut client = bare(&agent).await;
    let refused = client.fetch_x509svid(with_header(X509svidRequest {})).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "a client keeps what it has: {refused}");
}

#[tokio::test]
async fn spiffe_workload_endpoint_6_refused_by_the_authority_is_permission_denied() {
    let ca = Ca::new();
    let authority = ca.start().await;
    let agent = Agent::new(&ca, authority.address).give_token("pjt_never-minted").start();
    agent.until("a refusal", |status| status.failures > 0).await;
    let mut client = bare(&agent).await;
    let refused = client.fetch_x509svid(with_header(X509svidRequest {})).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    assert!(refused.message().contains("no identity issued"));
}

/// An agent's Workload API that lets another user than ours ask.
async fn closed_to_us() -> (tempfile::TempDir, CancellationToken, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.sock");
    let stop = CancellationToken::new();
    let other = nix::unistd::Uid::effective().as_raw() + 1;
    let callers = AllowedCallers::exactly(vec![other]);
    let roots = agent::renewal::bundle_file::BundleFile::open(&Ca::new().bundle(), None).unwrap();
    let (_publisher, view) = served_state::channel(roots.taken().clone());
    let jwt = JwtSource::new(AuthorityAddress::Unix("/nowhere".into()), view.clone());
    let service =
        SpiffeWorkloadApiServer::new(WorkloadApi::new(view, jwt, callers.clone(), stop.clone()));
    let socket = ListeningSocket::bind(&path, 0o666).unwrap();
    tokio::spawn(socket.serve(tonic::service::Routes::new(service), callers, stop.clone()));
    (dir, stop, path)
}

#[tokio::test]
async fn s36_local_secrets_and_rights_a_uid_outside_the_list_is_refused() {
    let (_dir, _stop, path) = closed_to_us().await;
    let mut client = SpiffeWorkloadApiClient::new(fetch::connect(&path).await.unwrap());
    let refused = client.fetch_x509svid(with_header(X509svidRequest {})).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().contains("may not ask here"), "{refused}");
}

#[tokio::test]
async fn strangers_cannot_take_every_place() {
    let (_dir, _stop, path) = closed_to_us().await;
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(fetch::connect(&path).await.unwrap());
    }
    let fifth = tokio::net::UnixStream::connect(&path).await.unwrap();
    let mut byte = [0];
    let closed = within("the fifth to be closed", async {
        fifth.readable().await.unwrap();
        fifth.try_read(&mut byte)
    });
    assert!(matches!(closed.await, Ok(0) | Err(_)));
    drop(held);
}

#[tokio::test]
async fn s36_local_secrets_and_rights_of_the_sockets() {
    use std::os::unix::fs::PermissionsExt;
    let (_ca, _authority, agent) = ready().await;
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(agent.socket()), 0o666);
    assert_eq!(mode(&agent::serve::run::admin_path(agent.socket())), 0o600);
}

#[tokio::test]
async fn a_stopping_agent_ends_its_streams_and_removes_its_sockets() {
    let (_ca, _authority, agent) = ready().await;
    let mut client = bare(&agent).await;
    let mut stream =
        client.fetch_x509svid(with_header(X509svidRequest {})).await.unwrap().into_inner();
    within("the first message", stream.message()).await.unwrap().unwrap();
    let agent = tokio::time::timeout(Duration::from_secs(10), agent.stopped()).await.unwrap();
    let end = within("the end", stream.message()).await;
    assert_eq!(end.unwrap_err().code(), Code::Unavailable, "never a clean end");
    assert!(!agent.socket().exists());
}
