//! Two authorities of two trust domains federate, by each profile and by files; nothing is merged,
//! and what is bad changes nothing.

mod https_web;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::support::{Ca, DEADLINE, id};
use authority::ca::init::renew_intermediate;
use authority::ca::root_source::RootSource;
use authority::clock::wall_clock;
use authority::publish::federation::Federation;
use authority::publish::federation::fetch::{EndpointTrust, fetch};

use authority::serve::bundle_endpoint::{BundleEndpoint, ServerProfile};
use authority::serve::issue::Authority;
use authority::serve::publishing::publish;
use authority::store::directory::AuthorityDirectory;
use identity::jwk::BundleDocument;
use identity::verify::{HandshakeSide, VerifyError, verify_peer};
use identity::{TrustBundle, TrustBundles, TrustDomain};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls_pki_types::{CertificateDer, UnixTime};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use web_fetch::WebUrl;

fn domain(name: &str) -> TrustDomain {
    TrustDomain::parse(name).unwrap()
}

/// An authority with its bundle endpoint.
struct Partner {
    ca: Ca,
    authority: Arc<Authority>,
    endpoint: SocketAddr,
    _stop: DropGuard,
}

impl Partner {
    async fn of(name: &str) -> Self {
        Self::with(name, &ServerProfile::Spiffe).await
    }

    async fn with(name: &str, profile: &ServerProfile) -> Self {
        let ca = Ca::of(name);
        let authority = Arc::new(ca.load());
        let endpoint = BundleEndpoint::new(profile, Arc::clone(&authority)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(endpoint.serve(listener, stop.clone()));
        Self { ca, authority, endpoint: address, _stop: stop.drop_guard() }
    }

    fn document(&self) -> String {
        self.authority.publisher.now().own.to_json().unwrap()
    }

    /// The entry of somebody who federates with it by https_spiffe.
    fn entry(&self, name: &str, url: &str) -> String {
        format!(
            "  - trustDomain: {name}\n    endpoint:\n      url: {url}\n      profile: https_spiffe\n      \
             spiffeId: spiffe://{name}/postern/authority\n      bootstrap: {name}.json\n"
        )
    }

    fn url(&self) -> String {
        format!("https://{}/bundle.json", self.endpoint)
    }
}

/// An authority that federates.
struct Consumer {
    ca: Ca,
    authority: Arc<Authority>,
    dir: TempDir,
    running: Option<DropGuard>,
}

impl Consumer {
    fn new() -> Self {
        let ca = Ca::of("a.test");
        let authority = Arc::new(ca.load());
        Self { ca, authority, dir: tempfile::tempdir().unwrap(), running: None }
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let (path, new) = (self.dir.path().join(name), self.dir.path().join("new"));
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, path).unwrap();
    }

    /// Writes the file.
    fn configure(&self, entries: &str) {
        let text = if entries.is_empty() {
            "federation: []".into()
        } else {
            format!("federation:\n{entries}")
        };
        self.write("federation.yaml", text);
    }

    /// Starts, or starts again with what it held.
    fn start(&mut self) {
        self.running = None;
        self.authority = Arc::new(self.ca.load());
        let directory: &AuthorityDirectory = &self.ca.settings.directory;
        let file = self.dir.path().join("federation.yaml");
        let federation = {
            let (ca, publisher) = (&self.authority.ca, &self.authority.publisher);
            Federation::open(&file, directory.federation(), Arc::clone(ca), Arc::clone(publisher))
                .unwrap()
        };
        let stop = CancellationToken::new();
        tokio::spawn(federation.run(stop.clone()));
        self.running = Some(stop.drop_guard());
    }

    fn held(&self, name: &str) -> Option<BundleDocument> {
        self.authority.publisher.federated().get(&domain(name)).cloned()
    }

    fn roots(&self, name: &str) -> Option<usize> {
        self.held(name).map(|held| held.x509.roots().len())
    }

    async fn until(&self, what: &str, met: impl Fn(&Self) -> bool) {
        let waited = tokio::time::timeout(DEADLINE, async {
            while !met(self) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        waited.await.unwrap_or_else(|_| panic!("never: {what}"));
    }
}

/// A second root beside the first, as a roll-over prepares it.
fn add_root(ca: &Ca) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    let root = params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem();
    let old = std::fs::read_to_string(ca.bundle()).unwrap();
    std::fs::write(ca.bundle(), format!("{old}{root}")).unwrap();
}

fn take_up(partner: &Partner) {
    let ca = authority::ca::signers::SigningCa::load(&partner.ca.settings.directory).unwrap();
    partner.authority.ca.set(ca);
    publish(&partner.authority, wall_clock()).unwrap();
}

#[tokio::test]
async fn spiffe_federation_5_2_2_https_spiffe_bootstrap_first_then_the_newest_stored_bundle() {
    let b = Partner::of("b.test").await;
    let mut a = Consumer::new();
    a.write("b.test.json", b.document());
    a.configure(&b.entry("b.test", &b.url()));
    a.start();
    a.until("the bootstrap", |a| a.roots("b.test") == Some(1)).await;
    // A root more is published; the consumer, started again, has it after its first fetch.
    add_root(&b.ca);
    take_up(&b);
    a.start();
    a.until("the second root", |a| a.roots("b.test") == Some(2)).await;
    assert_eq!(a.held("b.test").unwrap().sequence, b.authority.publisher.now().own.sequence);
    // Started again while the endpoint is away, it has what it stored, not the bootstrap.
    let url = b.url();
    drop(b);
    a.start();
    assert_eq!(a.roots("b.test"), Some(2));
    // An operator who puts another bootstrap there has the last word.
    let other = Partner::of("b.test").await;
    a.write("b.test.json", other.document());
    a.until("the new bootstrap", |a| {
        a.held("b.test")
            .is_some_and(|h| h.x509.roots() == other.authority.ca.now().bundle().roots())
    })
    .await;
    assert!(!url.is_empty());
}

/// Bundles from files have nothing to fetch and take no fetch's place.
#[tokio::test]
async fn an_endpoint_is_asked_beside_any_number_of_files() {
    let z = Partner::of("z.test").await;
    let mut a = Consumer::new();
    a.write("z.test.json", z.document());
    add_root(&z.ca);
    take_up(&z);
    let files = (0..40).map(|i| {
        a.write(&format!("f{i}.test.json"), r#"{"keys": []}"#);
        format!("  - {{trustDomain: f{i}.test, file: f{i}.test.json}}\n")
    });
    a.configure(&(files.collect::<String>() + &z.entry("z.test", &z.url())));
    a.start();
    a.until("what the endpoint says", |a| a.roots("z.test") == Some(2)).await;
}

#[tokio::test]
async fn spiffe_federation_5_2_2_the_endpoint_must_prove_the_configured_id() {
    let (b, imposter) = (Partner::of("b.test").await, Partner::of("b.test").await);
    let c = Partner::of("c.test").await;
    let bundle = b.authority.ca.now().bundle().clone();
    let try_at = async |url: &str, id_text: &str| {
        let trusted = EndpointTrust::spiffe(id(id_text), bundle.clone()).unwrap();
        fetch(&WebUrl::parse(url).unwrap(), &trusted).await
    };
    let server = "spiffe://b.test/postern/authority";
    assert!(try_at(&b.url(), server).await.is_ok());
    for (name, url, id_text) in [
        ("another id of the domain", b.url(), "spiffe://b.test/ns/shop/sa/cart"),
        ("another CA of the name", imposter.url(), server),
        ("another trust domain", c.url(), server),
        ("an id of another domain", b.url(), "spiffe://c.test/postern/authority"),
    ] {
        let error = format!("{:#}", try_at(&url, id_text).await.unwrap_err());
        assert!(error.contains("did not prove itself"), "{name}: {error}");
    }
}

#[tokio::test]
async fn f09_bundle_unreadable_keeps_and_explicitly_empty_distrusts() {
    let b = Partner::of("b.test").await;
    let mut a = Consumer::new();
    a.write("b.pem", std::fs::read(b.ca.bundle()).unwrap());
    a.configure("  - {trustDomain: b.test, file: b.pem}\n");
    a.start();
    assert_eq!(a.roots("b.test"), Some(1));
    // Unreadable, then one that can be read: when that one is seen, the first has been seen too.
    for bad in ["", "garbage", "{\"keys\": 1}"] {
        a.write("b.pem", bad);
        a.start();
        assert_eq!(a.roots("b.test"), Some(1), "{bad:?}");
    }
    std::fs::remove_file(a.dir.path().join("b.pem")).unwrap();
    a.start();
    assert_eq!(a.roots("b.test"), Some(1), "no file at all");
    a.write("b.pem", r#"{"keys": []}"#);
    a.until("the empty one", |a| a.roots("b.test") == Some(0)).await;
    let held = a.held("b.test").unwrap();
    assert!(held.is_empty());
    a.write("b.pem", b.document());
    a.until("the good one", |a| a.roots("b.test") == Some(1)).await;
    assert_eq!(a.held("b.test").unwrap().jwt.keys().len(), 1);
}

#[tokio::test]
async fn f09_a_bad_federation_file_keeps_everybody_and_a_removed_entry_ends_the_relationship() {
    let (b, c) = (Partner::of("b.test").await, Partner::of("c.test").await);
    let mut a = Consumer::new();
    a.write("b.test.json", b.document());
    a.write("c.json", c.document());
    let both =
        format!("{}  - {{trustDomain: c.test, file: c.json}}\n", b.entry("b.test", &b.url()));
    a.configure(&both);
    a.start();
    a.until("both", |a| a.roots("b.test") == Some(1) && a.roots("c.test") == Some(1)).await;
    let stored = a.ca.settings.directory.federation();
    let count = || std::fs::read_dir(&stored).unwrap().count();
    assert_eq!(count(), 2);
    for bad in ["", "federation: 1", "federation:\n  - {trustDomain: a.test, file: x}", "nothing"] {
        a.write("federation.yaml", bad);
    }
    // A bad file is no removal: look long enough to have seen it.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!((a.roots("b.test"), a.roots("c.test")), (Some(1), Some(1)));
    a.configure("  - {trustDomain: c.test, file: c.json}\n");
    a.until("b to be gone", |a| a.roots("b.test").is_none()).await;
    assert_eq!(a.roots("c.test"), Some(1), "c is not concerned");
    assert_eq!(count(), 1, "nothing of b is kept");
    a.configure("");
    a.until("c to be gone", |a| a.roots("c.test").is_none()).await;
}

#[tokio::test]
async fn s24_trust_domain_confusion_bundles_of_others_vouch_for_their_own_names_only() {
    let b = Partner::of("b.test").await;
    let mut a = Consumer::new();
    // The partner's document, under the partner's name and, by a mistake of ours, under another.
    a.write("b.test.json", b.document());
    a.configure(
        "  - {trustDomain: b.test, file: b.test.json}\n  - {trustDomain: c.test, file: c.json}\n",
    );
    a.write("c.json", std::fs::read(Ca::of("c.test").bundle()).unwrap());
    a.start();
    let federated = a.authority.publisher.federated();
    let own = a.authority.ca.now();
    let bundles = || federated.values().map(|d| d.x509.clone()).chain([own.bundle().clone()]);
    let held = TrustBundles::new(bundles());
    // What b signs is believed for b, and for nobody else.
    let sign = |name: &str| -> Vec<CertificateDer<'static>> {
        let directory = &b.ca.settings.directory;
        let pem = |path: &Path| std::fs::read_to_string(path).unwrap();
        let key = KeyPair::from_pem(&pem(&directory.intermediate_key())).unwrap();
        let certificate = pem(&directory.intermediate_certificate());
        let issuer = Issuer::from_ca_cert_pem(&certificate, key).unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![rcgen::SanType::URI(name.try_into().unwrap())];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
        params.distinguished_name.push(rcgen::DnType::CommonName, "leaf");
        let leaf = params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
        let own = b.authority.ca.now();
        vec![leaf.der().clone(), own.certificate().clone()]
    };
    let verify = |bundles: &TrustBundles, name: &str| {
        let chain = sign(name);
        verify_peer(bundles, &chain[0], &chain[1..], UnixTime::now(), HandshakeSide::Client)
    };
    assert_eq!(verify(&held, "spiffe://b.test/x").unwrap().as_str(), "spiffe://b.test/x");
    for name in ["spiffe://a.test/x", "spiffe://c.test/x"] {
        assert!(matches!(verify(&held, name), Err(VerifyError::Chain { .. })), "{name}");
    }
    let nobody = verify(&held, "spiffe://d.test/x");
    assert!(matches!(nobody, Err(VerifyError::UnknownTrustDomain(_))));
    // Without b, b is nobody; a is not affected.
    let without = TrustBundles::new(bundles().filter(|b| b.trust_domain() != &domain("b.test")));
    let gone = verify(&without, "spiffe://b.test/x");
    assert!(matches!(gone, Err(VerifyError::UnknownTrustDomain(_))));
    assert!(without.get(&domain("a.test")).is_some());
    // One message for each, none merged.
    let own: &TrustBundle = own.bundle();
    for document in federated.values() {
        assert!(document.x509.roots().iter().all(|root| !own.roots().contains(root)));
    }
}

#[tokio::test]
async fn spiffe_federation_5_2_2_2_an_endpoint_of_a_third_domain_is_verified_with_that_one_s_bundle()
 {
    let c = Partner::of("c.test").await;
    let mut a = Consumer::new();
    a.write("c.test.json", c.document());
    // c serves what we take for d's bundle: any document will do, as documents carry no name.
    let entries = format!(
        "{}  - trustDomain: d.test\n    endpoint:\n      url: {}\n      profile: https_spiffe\n      \
         spiffeId: spiffe://c.test/postern/authority\n",
        c.entry("c.test", &c.url()),
        c.url()
    );
    a.configure(&entries);
    a.start();
    a.until("d by way of c", |a| a.roots("d.test") == Some(1)).await;
    assert_eq!(a.held("d.test").unwrap().trust_domain(), &domain("d.test"));
    let lone = format!(
        "  - trustDomain: d.test\n    endpoint:\n      url: {}\n      profile: https_spiffe\n      \
         spiffeId: spiffe://c.test/postern/authority\n",
        c.url()
    );
    let mut other = Consumer::new();
    other.configure(&lone);
    other.start();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(other.roots("d.test"), None, "nobody to verify c with");
}

#[tokio::test]
async fn the_endpoint_s_own_certificate_follows_a_renewed_intermediate() {
    let b = Partner::of("b.test").await;
    let bundle = b.authority.ca.now().bundle().clone();
    let directory = &b.ca.settings.directory;
    let source = RootSource::Passphrase(directory.passphrase());
    renew_intermediate(directory, &source, Duration::from_secs(3600), wall_clock()).unwrap();
    take_up(&b);
    let trusted = EndpointTrust::spiffe(id("spiffe://b.test/postern/authority"), bundle).unwrap();
    assert!(fetch(&WebUrl::parse(&b.url()).unwrap(), &trusted).await.is_ok());
}
