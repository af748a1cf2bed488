//! What the agent hears of bundles and gets of tokens, and what its clients see of it: the `spiffe`
//! crate, which knows nothing of us, a bare client, and a client of Envoy's secret discovery.

use crate::support::fake::{Fake, agent_of};
use crate::support::{Agent, CART, Ca, bare, with_header, within};
use agent::cli::fetch;
use agent::proto::sds::secret::Type;
use agent::proto::sds::secret_discovery_service_client::SecretDiscoveryServiceClient;
use agent::proto::sds::{
    DeltaDiscoveryRequest, DiscoveryRequest, DiscoveryResponse, RpcStatus, Secret,
    SpiffeCertValidatorConfig,
};
use agent::proto::workload::{
    JwtBundlesRequest, JwtsvidRequest, ValidateJwtsvidRequest, X509svidRequest,
};
use authority::clock::wall_clock;
use issuance_messages::TrustDomainBundle;
use prost::Message as _;
use spiffe::WorkloadApiClient;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Streaming};

async fn ready() -> (Ca, Fake, Agent) {
    let ca = Ca::new();
    let fake = Fake::serve(&ca);
    let agent = agent_of(&ca, &fake.socket, CART).started().await;
    agent.until("the bundles", |status| status.bundle_stream.updates > 0).await;
    (ca, fake, agent)
}

fn foreign(name: &str, roots: Vec<Vec<u8>>, sequence: u64) -> TrustDomainBundle {
    TrustDomainBundle {
        trust_domain: name.to_owned(),
        x509_authorities: roots,
        sequence,
        ..TrustDomainBundle::default()
    }
}

fn root_of(ca: &Ca) -> Vec<u8> {
    ca.load().ca.now().bundle().roots()[0].to_vec()
}

#[tokio::test]
async fn spiffe_workload_api_5_2_1_federated_bundles_come_with_the_svid_and_change_at_once() {
    let (_ca, fake, agent) = ready().await;
    let partner = Ca::of("partner.example");
    let mut stream = bare(&agent)
        .await
        .fetch_x509svid(with_header(X509svidRequest {}))
        .await
        .unwrap()
        .into_inner();
    let first = within("the first", stream.message()).await.unwrap().unwrap();
    assert!(first.federated_bundles.is_empty());

    fake.say(vec![fake.own(2), foreign("partner.example", vec![root_of(&partner)], 1)]);
    let second = within("the federated bundle", stream.message()).await.unwrap().unwrap();
    assert_eq!(second.federated_bundles["spiffe://partner.example"], root_of(&partner));
    assert_eq!(second.svids[0].x509_svid, first.svids[0].x509_svid);
    assert_eq!(second.svids[0].bundle, first.svids[0].bundle, "never merged");

    // §4.4: what is not there any more is cleared. Explicitly empty: nobody of it is believed.
    fake.say(vec![fake.own(3), foreign("partner.example", Vec::new(), 2)]);
    let third = within("the distrust", stream.message()).await.unwrap().unwrap();
    assert!(third.federated_bundles.is_empty());
}

#[tokio::test]
async fn f09_bundle_unreadable_or_empty_keeps_the_last_good_and_says_so() {
    let (_ca, fake, agent) = ready().await;
    let before = agent.status().await.unwrap();
    assert_eq!(before.bundles[0].sequence, 1);
    fake.say(vec![TrustDomainBundle { x509_authorities: Vec::new(), ..fake.own(2) }]);
    let after = agent.until("the refusal", |status| status.bundle_stream.refused == 1).await;
    assert_eq!(after.bundles, before.bundles, "an empty bundle of our own is refused");
    assert!(after.bundle_stream.last_error.unwrap().contains("is empty"));
    fake.say(vec![TrustDomainBundle { x509_authorities: vec![vec![1]], ..fake.own(3) }]);
    agent.until("the next refusal", |status| status.bundle_stream.refused == 2).await;
    assert!(agent.status().await.unwrap().ready);
    fake.say(vec![fake.own(4)]);
    let after = agent.until("a good one", |status| status.bundles[0].sequence == 4).await;
    assert_eq!(after.bundle_stream.last_error, None);
}

#[tokio::test]
async fn f08_root_rotated_a_removed_root_makes_the_agent_renew_at_once() {
    let (ca, fake, agent) = ready().await;
    let before = agent.status().await.unwrap();
    let next = Ca::new();
    // Only a root that our certificate does not lead to: the fake still signs by the old one, so
    // the renewal fails, and says why.
    fake.say(vec![TrustDomainBundle { x509_authorities: vec![root_of(&next)], ..fake.own(2) }]);
    let status = agent.until("a renewal at once", |status| status.failures > 0).await;
    assert_eq!(status.renewals, before.renewals);
    assert!(status.last_error.unwrap().contains("does not lead to the roots we trust"));
    fake.say(vec![TrustDomainBundle {
        x509_authorities: vec![root_of(&next), root_of(&ca)],
        ..fake.own(3)
    }]);
    let status = agent.until("a good renewal", |status| status.renewals == 2).await;
    assert_eq!(status.bundles[0].roots.len(), 2, "the stream knows better than the answer");
}

#[tokio::test]
async fn a_roll_over_missed_while_away_is_caught_up_from_the_trust_bundle_file() {
    let (old, new) = (Ca::new(), Ca::new());
    let authority = new.start().await;
    // A file of another time, then the right one, as a mounted ConfigMap changes.
    let mut agent = Agent::joining(&new, authority.address, CART);
    let file = agent.dir.path().join("bundle.pem");
    std::fs::copy(old.bundle(), &file).unwrap();
    agent.settings.trust_bundle.clone_from(&file);
    let agent = agent.start();
    agent.until("a failure", |status| status.failures > 0).await;
    std::fs::write(&file, "garbage").unwrap();
    let failures = agent.status().await.unwrap().failures;
    agent.until("another failure", |status| status.failures > failures + 1).await;
    std::fs::copy(new.bundle(), &file).unwrap();
    agent.until_ready().await;
}

#[tokio::test]
async fn spiffe_workload_api_6_2_1_fetch_jwt_svid() {
    let (_ca, fake, agent) = ready().await;
    let client = WorkloadApiClient::connect_to(agent.endpoint()).await.unwrap();
    let svid = client.fetch_jwt_svid(["bank", "shop"], None).await.unwrap();
    assert_eq!(svid.spiffe_id().to_string(), CART);
    let again = client.fetch_jwt_svid(["shop", "bank"], None).await.unwrap();
    assert_eq!(svid.token(), again.token(), "given again until half of its life");
    assert_eq!(*fake.jwts.lock().unwrap(), 1);
    client.fetch_jwt_svid(["shop"], None).await.unwrap();
    assert_eq!(*fake.jwts.lock().unwrap(), 2, "another audience, another token");
}

#[tokio::test]
async fn spiffe_workload_api_6_2_1_error_codes() {
    let (_ca, fake, agent) = ready().await;
    let mut client = bare(&agent).await;
    let mut check = async |name: &str, audience: &[&str], spiffe_id: &str, expect: Code| {
        let audience = audience.iter().map(|name| (*name).to_owned()).collect();
        let request = JwtsvidRequest { audience, spiffe_id: spiffe_id.to_owned() };
        let seen = client.fetch_jwtsvid(with_header(request)).await;
        let seen = seen.map_or_else(|status| status.code(), |_| Code::Ok);
        assert_eq!(seen, expect, "{name}");
    };
    let long = "a".repeat(513);
    check("ours by name", &["bank"], CART, Code::Ok).await;
    check("no audience", &[], "", Code::InvalidArgument).await;
    check("an empty audience", &[""], "", Code::InvalidArgument).await;
    check("a long audience", &[&long], "", Code::InvalidArgument).await;
    check("many audiences", &["a"; 17], "", Code::InvalidArgument).await;
    check("no SPIFFE id", &["bank"], "cart", Code::InvalidArgument).await;
    let other = "spiffe://cluster.local/ns/shop/sa/other";
    check("somebody else's", &["bank"], other, Code::PermissionDenied).await;
    *fake.jwt_lifetime.lock().unwrap() = -1;
    check("the authority is away: what was issued is given", &["bank"], "", Code::Ok).await;
    check("the authority is away", &["new"], "", Code::Unavailable).await;
    *fake.jwt_lifetime.lock().unwrap() = 300;
    fake.say(vec![TrustDomainBundle { jwt_authorities: Vec::new(), ..fake.own(9) }]);
    agent.until("no key", |status| status.bundles[0].sequence == 9).await;
    check("signed by a key that is not published", &["newer"], "", Code::Unavailable).await;
}

#[tokio::test]
async fn spiffe_workload_api_6_2_2_fetch_jwt_bundles() {
    let (_ca, fake, agent) = ready().await;
    let client = WorkloadApiClient::connect_to(agent.endpoint()).await.unwrap();
    let bundles = client.fetch_jwt_bundles().await.unwrap();
    assert!(bundles.get(&spiffe::TrustDomain::new("cluster.local").unwrap()).is_some());

    let mut stream = bare(&agent)
        .await
        .fetch_jwt_bundles(with_header(JwtBundlesRequest {}))
        .await
        .unwrap()
        .into_inner();
    let first = within("the first", stream.message()).await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&first.bundles["spiffe://cluster.local"]).contains("\"k1\""));
    // A renewal is no news here; another domain is.
    agent.renew().await.unwrap();
    let foreign_keys = TrustDomainBundle {
        jwt_authorities: fake.own(1).jwt_authorities,
        ..foreign("p", vec![], 1)
    };
    fake.say(vec![fake.own(2), foreign_keys]);
    let second = within("the second", stream.message()).await.unwrap().unwrap();
    assert_eq!(second.bundles.len(), 2);
}

#[tokio::test]
async fn spiffe_workload_api_6_2_3_validate_jwt_svid() {
    let (_ca, fake, agent) = ready().await;
    let client = WorkloadApiClient::connect_to(agent.endpoint()).await.unwrap();
    let token = client.fetch_jwt_token(["bank"], None).await.unwrap();
    let valid = client.validate_jwt_token("bank", token.as_ref()).await.unwrap();
    assert_eq!(valid.spiffe_id().to_string(), CART);

    let mut bare = bare(&agent).await;
    let now = i64::try_from(wall_clock()).unwrap();
    let claims = |sub: &str, exp: i64| {
        serde_json::json!({
            "sub": sub, "aud": ["bank"], "exp": exp, "iat": now, "list": [1, {"deep": true}], "none": null,
        })
    };
    let request = |audience: &str, svid: &str| ValidateJwtsvidRequest {
        audience: audience.to_owned(),
        svid: svid.to_owned(),
    };
    let good = fake.sign(&claims(CART, now + 60));
    let answer =
        bare.validate_jwtsvid(with_header(request("bank", &good))).await.unwrap().into_inner();
    assert_eq!(answer.spiffe_id, CART);
    let fields = answer.claims.unwrap().fields;
    assert_eq!(fields.len(), 6, "all claims: {fields:?}");

    let foreign = fake.sign(&claims("spiffe://partner.example/a", now + 60));
    let expired = fake.sign(&claims(CART, now - 3600));
    let mut check = async |name: &str, audience: &str, svid: &str, expect: &str| {
        let refused =
            bare.validate_jwtsvid(with_header(request(audience, svid))).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{name}");
        assert!(refused.message().contains(expect), "{name}: {refused}");
        assert!(svid.is_empty() || !refused.message().contains(svid), "{name} shows the token");
    };
    check("no audience", "", &good, "name the audience").await;
    check("no token", "bank", "", "name the audience").await;
    check("another audience", "shop", &good, "not for the audience").await;
    check("expired", "bank", &expired, "expired").await;
    check("a domain without a bundle (§6.3)", "bank", &foreign, "partner.example").await;
    check("no token at all", "bank", "a.b", "compact").await;
}

/// A conversation with the secret discovery service.
struct Discovery {
    requests: mpsc::Sender<DiscoveryRequest>,
    responses: Streaming<DiscoveryResponse>,
}

impl Discovery {
    async fn of(agent: &Agent, names: &[&str]) -> Self {
        let channel = fetch::connect(agent.socket()).await.unwrap();
        let (requests, sent) = mpsc::channel(8);
        requests.send(asking(names, "", "")).await.unwrap();
        let responses = SecretDiscoveryServiceClient::new(channel)
            .stream_secrets(ReceiverStream::new(sent))
            .await
            .unwrap()
            .into_inner();
        Self { requests, responses }
    }

    async fn next(&mut self) -> DiscoveryResponse {
        within("a response", self.responses.message()).await.unwrap().unwrap()
    }
}

fn asking(names: &[&str], version: &str, nonce: &str) -> DiscoveryRequest {
    DiscoveryRequest {
        version_info: version.to_owned(),
        resource_names: names.iter().map(|name| (*name).to_owned()).collect(),
        response_nonce: nonce.to_owned(),
        ..DiscoveryRequest::default()
    }
}

fn secrets(response: &DiscoveryResponse) -> Vec<Secret> {
    response.resources.iter().map(|r| Secret::decode(r.value.as_slice()).unwrap()).collect()
}

/// The trust domains of a validation context.
fn domains(secret: &Secret) -> Vec<String> {
    let Some(Type::ValidationContext(context)) = &secret.r#type else { panic!("{secret:?}") };
    let config = context.custom_validator_config.as_ref().unwrap();
    assert_eq!(config.name, "envoy.tls.cert_validator.spiffe");
    let value = &config.typed_config.as_ref().unwrap().value;
    let config = SpiffeCertValidatorConfig::decode(value.as_slice()).unwrap();
    config.trust_domains.into_iter().map(|domain| domain.name).collect()
}

#[tokio::test]
async fn sds_pushes_each_rotation_under_a_new_version_and_takes_ack_and_nack() {
    let (_ca, _fake, agent) = ready().await;
    let mut discovery = Discovery::of(&agent, &["default"]).await;
    let first = discovery.next().await;
    let secret = secrets(&first).remove(0);
    assert_eq!(secret.name, "default");
    let Some(Type::TlsCertificate(certificate)) = secret.r#type else { panic!("{secret:?}") };
    let key = certificate.private_key.unwrap().inline_bytes;
    assert!(key.starts_with(b"-----BEGIN PRIVATE KEY-----"));
    discovery.requests.send(asking(&["default"], &first.version_info, &first.nonce)).await.unwrap();

    agent.renew().await.unwrap();
    let second = discovery.next().await;
    assert_ne!((&second.version_info, &second.nonce), (&first.version_info, &first.nonce));
    let nack = DiscoveryRequest {
        error_detail: Some(RpcStatus { code: 3, message: "no".to_owned() }),
        ..asking(&["default"], &first.version_info, &second.nonce)
    };
    discovery.requests.send(nack).await.unwrap();
    // An answer to the first response comes late and changes nothing; other names do.
    discovery.requests.send(asking(&["ALL"], "", &first.nonce)).await.unwrap();
    discovery.requests.send(asking(&[CART, "ROOTCA"], "", &second.nonce)).await.unwrap();
    let third = discovery.next().await;
    let mut names: Vec<_> = secrets(&third).into_iter().map(|secret| secret.name).collect();
    names.sort();
    assert_eq!(names, ["ROOTCA", CART]);
    assert!(!format!("{first:?}").contains("PRIVATE"));
}

#[tokio::test]
async fn s24_trust_domain_confusion_sds_never_merges_roots() {
    let (_ca, fake, agent) = ready().await;
    let partner = Ca::of("partner.example");
    let federated = || foreign("partner.example", vec![root_of(&partner)], 1);
    fake.say(vec![fake.own(2), federated()]);
    agent.until("the partner", |status| status.bundles.len() == 2).await;
    let check = async |name: &str, expect: &[&str]| {
        let response = Discovery::of(&agent, &[name]).await.next().await;
        assert_eq!(domains(&secrets(&response)[0]), expect, "{name}");
    };
    check("ROOTCA", &["cluster.local"]).await;
    check("spiffe://cluster.local", &["cluster.local"]).await;
    check("spiffe://partner.example", &["partner.example"]).await;
    check("ALL", &["cluster.local", "partner.example"]).await;
    check("spiffe://stranger.example", &["NOBODY"]).await;
    // Distrusted while somebody listens: what Envoy has is replaced, not left.
    let mut listening = Discovery::of(&agent, &["spiffe://partner.example"]).await;
    listening.next().await;
    fake.say(vec![fake.own(3), foreign("partner.example", Vec::new(), 2)]);
    assert_eq!(domains(&secrets(&listening.next().await)[0]), ["NOBODY"]);
}

#[tokio::test]
async fn sds_delta_and_fetch() {
    let (_ca, _fake, agent) = ready().await;
    let mut client =
        SecretDiscoveryServiceClient::new(fetch::connect(agent.socket()).await.unwrap());
    let all = client.fetch_secrets(asking(&[], "", "")).await.unwrap().into_inner();
    let names: Vec<_> = secrets(&all).into_iter().map(|secret| secret.name).collect();
    assert_eq!(names, [CART, "spiffe://cluster.local"]);
    let refused = client.fetch_secrets(asking(&["nobody"], "", "")).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    let wrong = DiscoveryRequest { type_url: "another".to_owned(), ..asking(&[], "", "") };
    assert_eq!(client.fetch_secrets(wrong).await.unwrap_err().code(), Code::InvalidArgument);

    let (requests, sent) = mpsc::channel(8);
    let subscribe = DeltaDiscoveryRequest {
        resource_names_subscribe: vec!["default".to_owned(), "ROOTCA".to_owned()],
        ..DeltaDiscoveryRequest::default()
    };
    requests.send(subscribe).await.unwrap();
    let mut responses = client.delta_secrets(ReceiverStream::new(sent)).await.unwrap().into_inner();
    let first = within("the first", responses.message()).await.unwrap().unwrap();
    assert_eq!(first.resources.len(), 2);
    agent.renew().await.unwrap();
    let second = within("the rotation", responses.message()).await.unwrap().unwrap();
    let names: Vec<_> = second.resources.iter().map(|resource| resource.name.as_str()).collect();
    assert_eq!(names, ["default"], "the roots did not change");
}

#[tokio::test]
async fn sds_delta_of_everything_goes_on_with_many_trust_domains() {
    const OTHERS: usize = 100;
    let (_ca, fake, agent) = ready().await;
    let roots = vec![root_of(&Ca::of("partner.example"))];
    let others = (0..OTHERS).map(|i| foreign(&format!("d{i}.example"), roots.clone(), 1));
    fake.say(std::iter::once(fake.own(2)).chain(others).collect());
    agent.until("the others", |status| status.bundles.len() == OTHERS + 1).await;

    let mut client =
        SecretDiscoveryServiceClient::new(fetch::connect(agent.socket()).await.unwrap());
    let (requests, sent) = mpsc::channel(8);
    requests.send(DeltaDiscoveryRequest::default()).await.unwrap();
    let mut responses = client.delta_secrets(ReceiverStream::new(sent)).await.unwrap().into_inner();
    let first = within("everything", responses.message()).await.unwrap().unwrap();
    assert_eq!(first.resources.len(), OTHERS + 2, "our certificate, our roots and theirs");
    let taken = DeltaDiscoveryRequest {
        response_nonce: first.nonce,
        resource_names_subscribe: vec!["default".to_owned()],
        ..DeltaDiscoveryRequest::default()
    };
    requests.send(taken).await.unwrap();
    let second = within("one more name", responses.message()).await.unwrap().unwrap();
    let names: Vec<_> = second.resources.iter().map(|resource| resource.name.as_str()).collect();
    assert_eq!(names, ["default"]);
    // There is an end to it all the same: one request names 64, a stream 320.
    for round in 0..5 {
        let subscribe = (0..64).map(|i| format!("spiffe://r{round}-{i}.example")).collect();
        let more = DeltaDiscoveryRequest {
            resource_names_subscribe: subscribe,
            ..DeltaDiscoveryRequest::default()
        };
        requests.send(more).await.unwrap();
    }
    let refused = within("the refusal", async {
        loop {
            if let Err(refused) = responses.message().await {
                return refused;
            }
        }
    });
    assert_eq!(refused.await.code(), Code::InvalidArgument);
}
