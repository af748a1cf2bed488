//! Roots over their life, at the level of the authority: the three steps of a roll-over, a signer
//! that may not sign, revocation lists, replicas, and the issuance log.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::{CART, Ca, id};
use authority::attest::Caller;
use authority::attest::join_token_store::JoinTokens;
use authority::attest::refusal::Refusal;
use authority::ca::crl;
use authority::ca::init;
use authority::ca::issuance_log_verify;
use authority::ca::rollover;
use authority::ca::rollover::KeyMaterialStore as _;
use authority::ca::rollover::in_directory::InDirectory;
use authority::ca::root_source::RootSource;
use authority::ca::signers;
use authority::clock::RequestTime;
use authority::clock::wall_clock;
use authority::serve::followed_files::FollowedFiles;
use authority::serve::issue::Authority;
use authority::serve::run::load;
use authority::serve::upkeep::Upkeep;
use authority::store::EntryKey;
use authority::store::Store;
use authority::store::directory::AuthorityDirectory;
use authority::store::directory_store::DirectoryStore;
use authority::store::pem;
use authority::store::record::FullRecord;
use authority::store::revocations;
use identity::TrustDomain;
use issuance_messages::issue_request::Evidence;
use issuance_messages::{IssueRequest, IssueResponse};
use rcgen::{CertificateParams, KeyPair};
use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::revocation_list::CertificateRevocationList;

const HOUR: u64 = 3600;
const YEAR: Duration = Duration::from_secs(365 * 86_400);

fn csr() -> Vec<u8> {
    let key = KeyPair::generate().unwrap();
    CertificateParams::default().serialize_request(&key).unwrap().der().to_vec()
}

async fn issue_at(
    authority: &Authority,
    evidence: Evidence,
    wall: u64,
) -> Result<IssueResponse, Refusal> {
    let request = IssueRequest { evidence: Some(evidence), csr_der: csr() };
    let caller = Caller::Remote("127.0.0.1:1".parse().unwrap());
    authority.issue(&request, &caller, RequestTime { wall, monotonic: Instant::now() }).await
}

async fn join(ca: &Ca, authority: &Authority) -> IssueResponse {
    join_at(ca, authority, wall_clock()).await
}

async fn join_at(ca: &Ca, authority: &Authority, wall: u64) -> IssueResponse {
    let tokens = JoinTokens::new(Arc::clone(&ca.settings.store));
    let token = tokens.mint(&id(CART), Duration::from_secs(600), wall).unwrap();
    issue_at(authority, Evidence::JoinToken(token.to_string()), wall).await.unwrap()
}

fn chain(answer: &IssueResponse) -> Vec<CertificateDer<'static>> {
    answer.certificate_chain.iter().map(|der| CertificateDer::from(der.clone())).collect()
}

/// Whether the leaf chains to one of the roots now published in the directory.
fn verifies(directory: &AuthorityDirectory, answer: &IssueResponse) -> bool {
    let roots = pem::certificates(&directory.bundle()).unwrap();
    let chain = chain(answer);
    let by_intermediate = signers::is_signed_by(&chain[0], &chain[1]).unwrap();
    by_intermediate && roots.iter().any(|root| signers::is_signed_by(&chain[1], root).unwrap())
}

fn serial(answer: &IssueResponse) -> String {
    let (_, leaf) = X509Certificate::from_der(&answer.certificate_chain[0]).unwrap();
    leaf.raw_serial_as_string().replace(':', "")
}

fn listed(authority: &Authority) -> Vec<Vec<String>> {
    let serials = |der: &[u8]| {
        let (_, list) = CertificateRevocationList::from_der(der).unwrap();
        list.iter_revoked_certificates()
            .map(|r| r.raw_serial_as_string().replace(':', ""))
            .collect()
    };
    authority.crls.crls().iter().map(|der| serials(der)).collect()
}

fn keys(ca: &Ca) -> InDirectory {
    InDirectory { directory: ca.settings.directory.clone(), source: passphrase(ca) }
}

fn passphrase(ca: &Ca) -> RootSource {
    RootSource::Passphrase(ca.settings.directory.passphrase())
}

#[tokio::test]
async fn f08_root_rotated_in_three_steps_and_leaves_of_both_roots_verify_in_between() {
    let ca = Ca::new();
    let (directory, store) = (ca.settings.directory.clone(), Arc::clone(&ca.settings.store));
    let authority = Arc::new(ca.load());
    let mut followed = FollowedFiles::new(directory.clone(), None);
    let mut upkeep = Upkeep::new(&ca.settings, Arc::clone(&authority));
    let now = wall_clock();
    let old = join(&ca, &authority).await;
    let old_root = authority.ca.now().root().id.clone();
    upkeep.look(now);

    let keys = keys(&ca);
    let new_root = rollover::prepare(&keys, store.as_ref(), YEAR, now).unwrap();
    let again = rollover::prepare(&keys, store.as_ref(), YEAR, now + 5).unwrap();
    assert_eq!(new_root, again, "a step may be repeated");
    followed.look(&authority);
    assert_eq!(authority.ca.now().bundle().roots().len(), 2, "published");
    assert_eq!(authority.ca.now().root().id, old_root, "not yet signing");
    let during = join(&ca, &authority).await;
    assert!(verifies(&directory, &old) && verifies(&directory, &during));

    let activate = |force, now| rollover::activate(&keys, store.as_ref(), YEAR, force, now);
    let error = activate(false, now + HOUR - 1).unwrap_err().to_string();
    assert!(error.contains("may not know it before"), "{error}");
    let activated = now + HOUR;
    assert_eq!(activate(false, activated).unwrap(), new_root);
    assert_eq!(activate(false, activated + 5).unwrap(), new_root, "a step may be repeated");
    followed.look(&authority);
    assert_eq!(authority.ca.now().root().id, new_root, "taken up without restart");
    let new = join_at(&ca, &authority, activated).await;
    for leaf in [&old, &during, &new] {
        assert!(verifies(&directory, leaf));
    }
    upkeep.look(activated);

    let retire = |force, now| rollover::retire(&keys, store.as_ref(), None, force, now);
    let error = retire(false, activated + 1).unwrap_err().to_string();
    assert!(error.contains(&old_root) && error.contains("may be in use until"), "{error}");
    // The old leaves are over one lifetime after their signature; the time since the activation
    // counts all the same.
    let error = retire(false, activated + HOUR + 59).unwrap_err().to_string();
    assert!(error.contains("in use until"), "{error}");
    assert!(verifies(&directory, &old), "a refusal changes nothing");
    assert_eq!(retire(false, activated + HOUR + 60).unwrap(), std::slice::from_ref(&old_root));
    assert!(retire(false, activated + HOUR + 60).unwrap().is_empty(), "a step may be repeated");
    followed.look(&authority);
    assert!(!verifies(&directory, &old) && verifies(&directory, &new));
    assert_eq!(authority.ca.now().bundle().roots().len(), 1);
}

#[tokio::test]
async fn f08_root_rotated_too_early_names_who_still_uses_it() {
    let ca = Ca::new();
    let store = Arc::clone(&ca.settings.store);
    let authority = Arc::new(ca.load());
    let now = wall_clock();
    join(&ca, &authority).await;
    // A second replica, which crashes before it records what it signed.
    let crashed = ca.load();
    join(&ca, &crashed).await;
    drop(crashed);
    Upkeep::new(&ca.settings, Arc::clone(&authority)).look(now);
    let keys = keys(&ca);
    let old_root = authority.ca.now().root().id.clone();
    rollover::prepare(&keys, store.as_ref(), YEAR, now).unwrap();
    rollover::activate(&keys, store.as_ref(), YEAR, true, now).unwrap();

    let status = rollover::status(&keys.material().unwrap(), store.as_ref(), now).unwrap();
    let states: Vec<_> = status.iter().map(|root| root.state).collect();
    assert_eq!(states, ["replaced", "active"]);
    assert!(status[0].users.contains_key(CART));

    let retire = |root, force, now| rollover::retire(&keys, store.as_ref(), root, force, now);
    let error = retire(None, false, now + 10).unwrap_err().to_string();
    assert!(error.contains(CART) && error.contains("--force"), "{error}");
    // The crashed replica's claim lies ahead of what it signed, and stands.
    let error = retire(None, false, now + HOUR + 300).unwrap_err().to_string();
    assert!(error.contains("nobody that the record names"), "{error}");
    let new_root = status[1].id.clone();
    let error = retire(Some(&new_root), true, now).unwrap_err().to_string();
    assert!(error.contains("the one that signs"), "{error}");
    let elsewhere = tempfile::tempdir().unwrap();
    let elsewhere = DirectoryStore::new(elsewhere.path());
    let error = rollover::retire(&keys, &elsewhere, None, false, now + YEAR.as_secs());
    assert!(error.unwrap_err().to_string().contains("is --state the one"));
    assert_eq!(retire(None, true, now + 10).unwrap(), [old_root]);
}

#[tokio::test]
async fn f36_ca_key_or_issuer_expired_or_not_matching_refuses_and_says_the_date() {
    let ca = Ca::new();
    let authority = ca.load();
    let now = wall_clock();
    let token = ca.token(CART);
    let late = now + 2 * 86_400;
    let error = issue_at(&authority, Evidence::JoinToken(token.clone()), late).await.unwrap_err();
    assert!(error.to_string().contains(&signers::readable(now + 86_400)[..10]), "{error}");
    issue_at(&authority, Evidence::JoinToken(token), now).await.expect("the token stayed good");

    let directory = &ca.settings.directory;
    let refused = |what: &str| {
        let error = format!("{:#}", load(&ca.settings).unwrap_err());
        assert!(error.contains(what) && error.contains("expires 20"), "{error}");
    };
    let key = fs::read(directory.intermediate_key()).unwrap();
    let other = KeyPair::generate().unwrap().serialize_pem();
    fs::write(directory.intermediate_key(), other).unwrap();
    refused("the intermediate key is not the key of the intermediate certificate");
    fs::write(directory.intermediate_key(), key).unwrap();

    let domain = TrustDomain::parse("cluster.local").unwrap();
    let root = signers::new_root(&domain, now, 86_400).unwrap();
    let bundle = fs::read(directory.bundle()).unwrap();
    fs::write(directory.bundle(), root.certificate.pem()).unwrap();
    refused("is signed by none of the roots");
    // A running authority keeps what is good.
    FollowedFiles::new(directory.clone(), None).look(&authority);
    authority.ca.now().ready(now).unwrap();
    fs::write(directory.bundle(), bundle).unwrap();

    // An intermediate that ends before its root.
    init::renew_intermediate(directory, &passphrase(&ca), Duration::from_secs(HOUR), now).unwrap();
    let short = load(&ca.settings).unwrap();
    let error = short.ca.now().ready(now + HOUR + 1).unwrap_err().to_string();
    let date = signers::readable(now + HOUR);
    assert!(error.contains(&format!("the intermediate expired at {date}")), "{error}");
    assert!(error.contains("renew-intermediate"), "{error}");
}

#[tokio::test]
async fn s28_revocation_lists_are_written_and_served_and_garbage_keeps_the_last_good_ones() {
    let ca = Ca::new();
    let store = Arc::clone(&ca.settings.store);
    let authority = Arc::new(ca.load());
    let mut upkeep = Upkeep::new(&ca.settings, Arc::clone(&authority));
    let now = wall_clock();
    let (one, two) = (join(&ca, &authority).await, join(&ca, &authority).await);
    upkeep.look(now);
    assert_eq!(listed(&authority), [Vec::<String>::new()], "a list of nothing");
    let number = authority.crls.number();

    revocations::revoke_serial(store.as_ref(), &serial(&one), now).unwrap();
    upkeep.look(now + 2);
    assert_eq!(listed(&authority), [vec![serial(&one)]]);
    assert!(authority.crls.number() > number);
    let lists = authority.crls.crls();
    let (_, list) = CertificateRevocationList::from_der(&lists[0]).unwrap();
    let chain = chain(&two);
    let (_, issuer) = X509Certificate::from_der(&chain[1]).unwrap();
    list.verify_signature(issuer.public_key()).unwrap();
    assert!(u64::try_from(list.next_update().unwrap().timestamp()).unwrap() > now + 6 * 86_400);

    // A replaced intermediate's list goes on, by its own key.
    init::renew_intermediate(&ca.settings.directory, &passphrase(&ca), YEAR, now).unwrap();
    authority.ca.set(signers::SigningCa::load(&ca.settings.directory).unwrap());
    upkeep.look(now + 4);
    assert_eq!(listed(&authority), [vec![serial(&one)], vec![serial(&one)]]);

    let garbage = EntryKey::new("revocations", "garbage").unwrap();
    store.create(&garbage, b"{{{").unwrap();
    upkeep.look(now + 100);
    assert_eq!(listed(&authority).len(), 2, "the last good ones stay");
    let entry = store.get(&garbage).unwrap().unwrap();
    store.remove(&garbage, &entry.version).unwrap();

    let revoked = revocations::revoke_identity(store.as_ref(), CART, None, now).unwrap();
    assert_eq!(revoked.len(), 2);
    upkeep.look(now + 102);
    let mut expect = vec![serial(&one), serial(&two)];
    expect.sort();
    assert_eq!(listed(&authority)[0], expect);
    upkeep.look(now + HOUR + 200);
    assert!(listed(&authority)[0].is_empty(), "forgotten when the certificates are over");
    let later = std::time::SystemTime::now() + Duration::from_secs(26 * HOUR);
    crl::remove_former(&ca.settings.directory, later).unwrap();
    upkeep.look(now + 2 * HOUR + 200);
    assert_eq!(listed(&authority).len(), 1, "the old key is gone with its last leaf");
}

#[tokio::test]
async fn s32_attestation_confusion_two_replicas_on_one_state() {
    let ca = Ca::new();
    let replicas = [ca.load(), ca.load()];
    let now = wall_clock();
    let secret = ca.token(CART);
    let first = issue_at(&replicas[0], Evidence::JoinToken(secret.clone()), now).await.unwrap();
    assert!(issue_at(&replicas[1], Evidence::JoinToken(secret), now).await.is_err());
    // A credential of one replica renews at the other, and the one before it ends there too.
    let one = first.renewal_credential.unwrap();
    let two = issue_at(&replicas[1], Evidence::RenewalCredential(one.clone()), now).await.unwrap();
    let two = two.renewal_credential.unwrap();
    issue_at(&replicas[0], Evidence::RenewalCredential(two), now).await.unwrap();
    for replica in &replicas {
        let again = Evidence::RenewalCredential(one.clone());
        assert!(issue_at(replica, again, now).await.is_err());
    }
    let all = FullRecord::read(ca.settings.store.as_ref(), now).unwrap();
    assert_eq!(all.claims.len(), 2);
    assert!(all.in_use_until(&replicas[0].ca.now().root().id).unwrap() >= now + HOUR);
}

#[tokio::test]
async fn the_issuance_log_is_chained_and_signed_and_the_first_broken_line_is_named() {
    let mut ca = Ca::new();
    let logs = ca.dir.path().join("log");
    ca.settings.issuance_log = Some(logs.clone());
    let authority = ca.load();
    let answer = join(&ca, &authority).await;
    for _ in 0..4 {
        join(&ca, &authority).await;
    }
    drop(authority);
    let path = fs::read_dir(&logs).unwrap().next().unwrap().unwrap().path();
    let roots = pem::certificates(&ca.settings.directory.bundle()).unwrap();
    let verified = issuance_log_verify::verify(&path, &roots).unwrap();
    assert_eq!((verified.issued, verified.unsealed, verified.lost), (5, 0, 0));
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.replace(':', "").contains(&serial(&answer)) && text.contains(CART));

    let check = |name: &str, changed: String, expect: &str| {
        fs::write(&path, changed).unwrap();
        let error = issuance_log_verify::verify(&path, &roots);
        let error = format!("{:#}", error.expect_err(name));
        assert!(error.contains(expect), "{name}: {error}");
    };
    let lines: Vec<_> = text.lines().collect();
    let without = |n: usize| {
        let kept = lines.iter().enumerate().filter(|(at, _)| *at != n).map(|(_, line)| *line);
        kept.collect::<Vec<_>>().join("\n") + "\n"
    };
    check("a changed line", text.replacen("/sa/cart", "/sa/bank", 1), "line 3 is broken");
    check("a line taken out", without(3), "line 4 is broken");
    check("the signer taken out", without(1), "line 2 is broken");
    check("cut off", text.trim_end().to_owned(), "it does not end");
    check("garbage", format!("{text}garbage\n"), "is no line of an issuance log");
    let other = signers::new_root(&TrustDomain::parse("x").unwrap(), wall_clock(), 100).unwrap();
    fs::write(&path, &text).unwrap();
    let error = issuance_log_verify::verify(&path, &[other.certificate.der().clone()]);
    assert!(format!("{:#}", error.unwrap_err()).contains("none of the roots given"));
}

#[tokio::test]
async fn a_secret_as_cert_manager_writes_it_is_used_and_its_swap_is_followed() {
    let now = wall_clock();
    // The Secret's root names no trust domain, as other people's roots do.
    let mut params = CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    params.distinguished_name.push(rcgen::DnType::CommonName, "somebody's root");
    let root_key = KeyPair::generate().unwrap();
    let root = params.self_signed(&root_key).unwrap();
    let domain = TrustDomain::parse("cluster.local").unwrap();
    let mounted = tempfile::tempdir().unwrap();
    let write = |version: &str| {
        let key = KeyPair::try_from(root_key.serialize_der()).unwrap();
        let made = signers::new_intermediate(&domain, root.der(), key, now, 86_400).unwrap();
        let dir = mounted.path().join(version);
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("tls.crt"), made.certificate.pem() + &root.pem()).unwrap();
        fs::write(dir.join("tls.key"), made.key.serialize_pem()).unwrap();
        fs::write(dir.join("ca.crt"), root.pem()).unwrap();
        let _ = fs::remove_file(mounted.path().join("..new"));
        std::os::unix::fs::symlink(version, mounted.path().join("..new")).unwrap();
        fs::rename(mounted.path().join("..new"), mounted.path().join("..data")).unwrap();
    };
    write("v1");
    for name in ["tls.crt", "tls.key", "ca.crt"] {
        std::os::unix::fs::symlink(format!("..data/{name}"), mounted.path().join(name)).unwrap();
    }
    let mut ca = Ca::new();
    ca.settings.directory = AuthorityDirectory::new(mounted.path());
    let authority = ca.load();
    let mut followed = FollowedFiles::new(ca.settings.directory.clone(), None);
    let first = join(&ca, &authority).await;
    assert_eq!(first.certificate_chain.len(), 2, "without the root");
    assert!(verifies(&ca.settings.directory, &first));
    assert_eq!(authority.ca.now().trust_domain(), &domain, "the intermediate names it");
    write("v2");
    followed.look(&authority);
    let second = join(&ca, &authority).await;
    assert!(verifies(&ca.settings.directory, &second));
    assert_ne!(first.certificate_chain[1], second.certificate_chain[1]);
    let store: &dyn Store = ca.settings.store.as_ref();
    let error = rollover::prepare(&keys(&ca), store, YEAR, now);
    assert!(error.unwrap_err().to_string().contains("is a mounted Secret"));
}

#[tokio::test]
async fn the_intermediate_is_renewed_at_half_of_its_life_when_the_root_key_may_be_used() {
    let mut ca = Ca::new();
    ca.settings.root_key = Some(passphrase(&ca));
    init::renew_intermediate(
        &ca.settings.directory,
        &passphrase(&ca),
        Duration::from_secs(2 * HOUR),
        wall_clock(),
    )
    .unwrap();
    let authority = Arc::new(ca.load());
    let mut upkeep = Upkeep::new(&ca.settings, Arc::clone(&authority));
    let (now, before) = (wall_clock(), authority.ca.now());
    upkeep.look(now + HOUR - 120);
    assert_eq!(authority.ca.now().certificate(), before.certificate());
    upkeep.look(now + HOUR + 10);
    let after = authority.ca.now();
    assert_ne!(after.certificate(), before.certificate());
    assert!(after.not_after() >= before.not_after() + HOUR);
    let leaf = join_at(&ca, &authority, now + HOUR + 10).await;
    assert!(verifies(&ca.settings.directory, &leaf));
    assert_eq!(leaf.certificate_chain[1], after.certificate().to_vec());
}
