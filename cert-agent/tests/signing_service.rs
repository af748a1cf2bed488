//! The authority's service as any client sees it: codes, limits, one use, the rules of a leaf.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::{Agent, CART, Ca, Running, id, within};
use agent::renewal::authority_client::{AuthorityAddress, CallError, HostPort, issue};
use authority::attest::Caller;
use authority::attest::refusal::Refusal;
use authority::ca::init::renew_intermediate;
use authority::ca::rate::PerMinute;
use authority::ca::root_source::RootSource;
use authority::clock::{RequestTime, wall_clock};
use authority::serve::followed_files::FollowedFiles;
use authority::serve::issue::Authority;
use authority::serve::run::load;
use authority::store::directory::AuthorityDirectory;
use identity::{TrustBundle, TrustDomain, X509Svid};
use issuance_messages::issue_request::Evidence;
use issuance_messages::{IssueRequest, IssueResponse, UnixEvidence};
use rcgen::{CertificateParams, KeyPair};
use rustls_pki_types::CertificateDer;
use tonic::Code;

fn csr() -> Vec<u8> {
    let key = KeyPair::generate().unwrap();
    CertificateParams::default().serialize_request(&key).unwrap().der().to_vec()
}

fn with(evidence: Evidence) -> IssueRequest {
    IssueRequest { evidence: Some(evidence), csr_der: csr() }
}

fn token(token: String) -> IssueRequest {
    with(Evidence::JoinToken(token))
}

async fn ask(
    ca: &Ca,
    authority: &Running,
    request: IssueRequest,
) -> Result<IssueResponse, CallError> {
    let address = AuthorityAddress::Network {
        host_port: HostPort::parse(&authority.address.to_string()).unwrap(),
        identity: id("spiffe://cluster.local/postern/authority"),
    };
    let trusted = TrustBundle::from_pem(
        TrustDomain::parse("cluster.local").unwrap(),
        &std::fs::read(ca.bundle()).unwrap(),
    );
    within("an answer", issue(&address, &trusted.unwrap(), request)).await
}

fn code(outcome: Result<IssueResponse, CallError>) -> Code {
    match outcome {
        Err(CallError::Refused { code, .. }) => code,
        other => panic!("not a refusal: {other:?}"),
    }
}

#[tokio::test]
async fn every_refusal_has_its_code() {
    let ca = Ca::new();
    let authority = ca.start().await;
    let check = async |name: &str, request: IssueRequest, expect: Code| {
        assert_eq!(code(ask(&ca, &authority, request).await), expect, "{name}");
    };
    let nothing = IssueRequest { evidence: None, csr_der: csr() };
    check("no evidence", nothing, Code::InvalidArgument).await;
    let unix = Evidence::Unix(UnixEvidence {});
    check("unix over the network", with(unix), Code::InvalidArgument).await;
    check("unknown token", token("pjt_x".into()), Code::Unauthenticated).await;
    let unknown = Evidence::RenewalCredential(format!("prc_{}{}", "0".repeat(32), "A".repeat(43)));
    check("unknown credential", with(unknown), Code::Unauthenticated).await;
    let no_csr = IssueRequest { csr_der: vec![1, 2, 3], ..token(ca.token(CART)) };
    check("no CSR", no_csr, Code::InvalidArgument).await;
}

#[tokio::test]
async fn a_bad_request_leaves_the_join_token_good() {
    let ca = Ca::new();
    let authority = ca.start().await;
    let secret = ca.token(CART);
    let bad = IssueRequest { csr_der: vec![0; 10], ..token(secret.clone()) };
    assert_eq!(code(ask(&ca, &authority, bad).await), Code::InvalidArgument);
    assert!(ask(&ca, &authority, token(secret)).await.is_ok());
}

#[tokio::test]
async fn s32_attestation_confusion_one_hundred_parallel_calls_with_one_token() {
    let ca = Arc::new(Ca::new());
    let authority = Arc::new(ca.start().await);
    let secret = ca.token(CART);
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let (ca, authority, secret) = (Arc::clone(&ca), Arc::clone(&authority), secret.clone());
            tokio::spawn(async move { ask(&ca, &authority, token(secret)).await.is_ok() })
        })
        .collect();
    let mut good = 0;
    for call in calls {
        good += usize::from(call.await.unwrap());
    }
    assert_eq!(good, 1);
    assert_eq!(authority.authority.records.credentials.list().unwrap().len(), 1);
}

#[tokio::test]
async fn s33_ca_dos_an_instance_has_its_rate_and_others_are_not_concerned() {
    let mut ca = Ca::new();
    ca.settings.issue_rate = PerMinute(3);
    let authority = ca.start().await;
    let mut answer = ask(&ca, &authority, token(ca.token(CART))).await.unwrap();
    for _ in 0..3 {
        let credential = Evidence::RenewalCredential(answer.renewal_credential.unwrap());
        answer = ask(&ca, &authority, with(credential)).await.unwrap();
    }
    let held = answer.renewal_credential.unwrap();
    let again = with(Evidence::RenewalCredential(held.clone()));
    assert_eq!(code(ask(&ca, &authority, again).await), Code::ResourceExhausted);
    assert!(ask(&ca, &authority, token(ca.token(CART))).await.is_ok(), "another instance");
    let holder = authority.authority.records.credentials.holder(&held, wall_clock());
    assert!(holder.is_ok(), "a refusal by rate costs no credential");
}

#[tokio::test]
async fn s33_ca_dos_the_global_cap_answers_unavailable_and_costs_no_token() {
    let mut ca = Ca::new();
    ca.settings.global_issue_rate = PerMinute(1);
    let authority = ca.start().await;
    let (first, second) = (ca.token(CART), ca.token(CART));
    assert!(ask(&ca, &authority, token(first)).await.is_ok());
    assert_eq!(code(ask(&ca, &authority, token(second.clone())).await), Code::Unavailable);
    assert!(authority.authority.records.tokens.redeem(&second, wall_clock()).is_ok());
}

#[tokio::test]
async fn s33_ca_dos_guesses_use_up_nobody_elses_rate() {
    let mut ca = Ca::new();
    ca.settings.global_issue_rate = PerMinute(2);
    let authority = ca.start().await;
    for _ in 0..10 {
        let guess = token("pjt_guess".into());
        assert_eq!(code(ask(&ca, &authority, guess).await), Code::Unauthenticated);
    }
    assert!(ask(&ca, &authority, token(ca.token(CART))).await.is_ok());
}

#[tokio::test]
async fn s33_ca_dos_large_and_slow_callers() {
    use tokio::io::AsyncReadExt;
    let ca = Ca::new();
    let authority = ca.start().await;
    for size in [1024 * 1024, 64 * 1024 * 1024] {
        let large = IssueRequest { csr_der: vec![0; size], ..token(ca.token(CART)) };
        assert_eq!(code(ask(&ca, &authority, large).await), Code::OutOfRange, "{size} bytes");
    }

    // Two hundred callers that connect and say nothing.
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(tokio::net::TcpStream::connect(authority.address).await.unwrap());
    }
    let start = Instant::now();
    assert!(ask(&ca, &authority, token(ca.token(CART))).await.is_ok());
    assert!(start.elapsed() < Duration::from_secs(5), "others do not wait for them");
    let mut byte = [0];
    let end = within("a silent caller's end", silent[0].read(&mut byte)).await;
    assert!(matches!(end, Ok(0) | Err(_)), "ended by the handshake's deadline");
}

#[tokio::test]
async fn s33_ca_dos_one_thousand_parallel_requests_and_a_healthy_agent_still_renews() {
    let ca = Ca::new();
    let authority = ca.start().await;
    let agent = Agent::joining(&ca, authority.address, CART).started().await;
    let request = token("pjt_guess".into());
    let flood: Vec<_> = (0..10)
        .map(|_| {
            let (request, address) = (request.clone(), authority.address);
            let trusted = std::fs::read(ca.bundle()).unwrap();
            tokio::spawn(async move {
                let trusted =
                    TrustBundle::from_pem(TrustDomain::parse("cluster.local").unwrap(), &trusted);
                let address = AuthorityAddress::Network {
                    host_port: HostPort::parse(&address.to_string()).unwrap(),
                    identity: id("spiffe://cluster.local/postern/authority"),
                };
                let trusted = trusted.unwrap();
                let calls = (0..100).map(|_| issue(&address, &trusted, request.clone()));
                futures_util::future::join_all(calls).await.iter().filter(|a| a.is_ok()).count()
            })
        })
        .collect();
    assert!(agent.renew().await.unwrap().ready, "while a thousand guesses are made");
    for guesses in flood {
        assert_eq!(guesses.await.unwrap(), 0);
    }
}

#[tokio::test]
async fn plaintext_and_tls_1_2_are_refused() {
    let ca = Ca::new();
    let authority = ca.start().await;
    let plain = tonic::transport::Endpoint::from_shared(format!("http://{}", authority.address));
    let channel = plain.unwrap().connect_lazy();
    let mut client = issuance_messages::signing_client::SigningClient::new(channel);
    assert!(within("plaintext", client.issue(token(ca.token(CART)))).await.is_err());

    let address = authority.address.to_string();
    let client = |version: &'static str, address: String| async move {
        let output = tokio::process::Command::new("openssl")
            .args(["s_client", version, "-alpn", "h2", "-connect", &address])
            .stdin(std::process::Stdio::null())
            .output();
        String::from_utf8_lossy(&within("openssl", output).await.unwrap().stdout).into_owned()
    };
    let modern = client("-tls1_3", address.clone()).await;
    assert!(modern.contains("TLSv1.3") && modern.contains("ALPN protocol: h2"), "{modern}");
    assert!(!modern.contains("New Session Ticket"), "S-27: nothing to resume");
    let old = client("-tls1_2", address).await;
    assert!(old.contains("Cipher is (NONE)"), "{old}");
}

#[tokio::test]
async fn the_answer_is_a_whole_identity() {
    let ca = Ca::new();
    let authority = ca.start().await;
    let before = wall_clock();
    let answer = ask(&ca, &authority, token(ca.token(CART))).await.unwrap();
    let chain = answer.certificate_chain.iter().map(|der| CertificateDer::from(der.clone()));
    let svid = X509Svid::parse(chain.collect()).unwrap();
    assert_eq!(svid.id().as_str(), CART);
    assert_eq!(i64::try_from(svid.not_after()).unwrap(), answer.not_after);
    assert!(answer.server_time >= i64::try_from(before).unwrap());
    assert_eq!(svid.not_before(), u64::try_from(answer.server_time).unwrap() - 60);
    assert_eq!(svid.not_after(), u64::try_from(answer.server_time).unwrap() + 3600);
    assert_eq!(answer.trust_bundle.len(), 1);
    assert!(answer.renewal_credential.unwrap().starts_with("prc_"));
}

/// The same without sockets, at any time of day.
async fn issue_at(
    authority: &Authority,
    request: &IssueRequest,
    wall: u64,
) -> Result<IssueResponse, Refusal> {
    let caller = Caller::Remote("127.0.0.1:1".parse().unwrap());
    authority.issue(request, &caller, RequestTime { wall, monotonic: Instant::now() }).await
}

#[tokio::test]
async fn a_leaf_never_outlives_the_intermediate() {
    let ca = Ca::new();
    let authority = ca.load();
    let end = authority.ca.now().not_after();
    let secret = ca.token(CART);
    let credential =
        issue_at(&authority, &token(secret), wall_clock()).await.unwrap().renewal_credential;
    let renewal = with(Evidence::RenewalCredential(credential.unwrap()));
    let answer = issue_at(&authority, &renewal, end - 10).await.unwrap();
    assert_eq!(answer.not_after, i64::try_from(end).unwrap());
}

#[tokio::test]
async fn f36_ca_expired_refuses_to_sign_and_says_the_date() {
    let ca = Ca::new();
    let authority = ca.load();
    let end = authority.ca.now().not_after();
    let secret = ca.token(CART);
    let refusal =
        issue_at(&authority, &token(secret.clone()), end + 1).await.unwrap_err().to_string();
    let date = authority::ca::signers::readable(end);
    assert!(refusal.contains(&format!("the root expired at {date}")), "both end then: {refusal}");
    let begin = issue_at(&authority, &token(secret.clone()), end - 86_400 - 120).await.unwrap_err();
    assert!(begin.to_string().contains("not valid before"), "{begin}");
    assert!(
        issue_at(&authority, &token(secret), wall_clock()).await.is_ok(),
        "the token was not used up"
    );
}

#[test]
fn f36_ca_key_of_another_certificate_refuses_to_start() {
    let (ca, other) = (Ca::new(), Ca::new());
    let key = ca.settings.directory.intermediate_key();
    std::fs::copy(other.settings.directory.intermediate_key(), &key).unwrap();
    let error = load(&ca.settings).unwrap_err().to_string();
    assert!(error.contains("the intermediate key is not the key"), "{error}");
    assert!(error.contains("expires 20"), "{error}");
}

#[test]
fn f36_ca_issuer_not_matching_the_root_refuses_to_start() {
    let (ca, other) = (Ca::new(), Ca::new());
    std::fs::copy(other.bundle(), ca.bundle()).unwrap();
    let error = load(&ca.settings).unwrap_err().to_string();
    assert!(error.contains("signed by none of the roots"), "{error}");
}

#[tokio::test]
async fn a_new_intermediate_is_taken_up_by_a_running_authority() {
    let ca = Ca::new();
    let authority = ca.load();
    let directory: AuthorityDirectory = ca.settings.directory.clone();
    let mut files = FollowedFiles::new(directory.clone(), None);
    let before = authority.ca.now();
    let source = RootSource::Passphrase(directory.passphrase());
    renew_intermediate(&directory, &source, Duration::from_secs(3600), wall_clock()).unwrap();
    files.look(&authority);
    let after = authority.ca.now();
    assert_ne!(after.certificate(), before.certificate());
    let answer = issue_at(&authority, &token(ca.token(CART)), wall_clock()).await.unwrap();
    assert_eq!(answer.certificate_chain[1], after.certificate().to_vec());

    // Half of a pair: reported, and the last good one stays.
    std::fs::write(directory.intermediate_key(), "garbage").unwrap();
    files.look(&authority);
    assert_eq!(authority.ca.now().certificate(), after.certificate());
    assert!(issue_at(&authority, &token(ca.token(CART)), wall_clock()).await.is_ok());
}

#[tokio::test]
async fn f10_config_torn_registry_keeps_the_last_good() {
    let mut ca = Ca::new();
    let registry = ca.dir.path().join("registry.yaml");
    let entry = |name: &str| format!("entries:\n  - {{identity: '{CART}', dnsNames: [{name}]}}\n");
    std::fs::write(&registry, entry("one.example")).unwrap();
    ca.settings.registry = Some(registry.clone());
    let authority = ca.load();
    let mut files = FollowedFiles::new(ca.settings.directory.clone(), Some(registry.clone()));
    let names = || authority.records.registry.now().dns_names(&id(CART));

    std::fs::write(&registry, entry("two.example")).unwrap();
    files.look(&authority);
    assert_eq!(names(), ["two.example"]);
    for torn in ["", "entries: [", "entries: 7"] {
        std::fs::write(&registry, torn).unwrap();
        files.look(&authority);
        assert_eq!(names(), ["two.example"], "{torn:?}");
    }
    std::fs::remove_file(&registry).unwrap();
    files.look(&authority);
    assert_eq!(names(), ["two.example"]);

    let answer = issue_at(&authority, &token(ca.token(CART)), wall_clock()).await.unwrap();
    let leaf = String::from_utf8_lossy(&answer.certificate_chain[0]).into_owned();
    assert!(leaf.contains("two.example"), "DNS names come from the registry");
}
