//! Attestation by certificates of other CAs and by OIDC tokens, from the agent's files to the certificate, and many
//! callers at once.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use crate::support::{Agent, Ca};
use agent::renewal::evidence::{AttemptProof, LastingProof};
use agent::renewal::rotation::{AttemptFailure, ClockReading, Rotation, Validity};
use authority::attest::Caller;
use authority::attest::refusal::Refusal;
use authority::ca::rate::{IssueRates, PerMinute};
use authority::clock::{RequestTime, wall_clock};
use authority::serve::issue::Authority;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity::X509Svid;
use issuance_messages::issue_request::Evidence;
use issuance_messages::{IssueRequest, OidcEvidence};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PublicKeyData, SanType,
};
use serde_json::{Value, json};

const DB1: &str = "spiffe://cluster.local/vm/db1";

/// Another certificate authority, with a certificate and key of its own in files.
struct Machines {
    dir: tempfile::TempDir,
    ca: CertifiedIssuer<'static, KeyPair>,
}

impl Machines {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let machines = Self { dir: tempfile::tempdir().unwrap(), ca };
        std::fs::write(machines.ca_file(), machines.ca.as_ref().pem()).unwrap();
        machines
    }

    fn ca_file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// A certificate for these names, changed, in files.
    fn proof(&self, dns: &[&str], change: impl Fn(&mut CertificateParams)) -> AttemptProof {
        self.proof_of(&KeyPair::generate().unwrap(), dns, change)
    }

    fn proof_of(
        &self,
        key: &KeyPair,
        dns: &[&str],
        change: impl Fn(&mut CertificateParams),
    ) -> AttemptProof {
        let names: Vec<_> = dns.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let leaf = params.signed_by(key, &self.ca).unwrap();
        let path = |name: &str| self.dir.path().join(name);
        std::fs::write(path("leaf.pem"), leaf.pem()).unwrap();
        std::fs::write(path("key.pem"), key.serialize_pem()).unwrap();
        let certificate =
            LastingProof::Certificate { certificate: path("leaf.pem"), key: path("key.pem") };
        AttemptProof::Lasting(certificate)
    }
}

fn registry(ca: &mut Ca, text: &str) {
    let path = ca.dir.path().join("registry.yaml");
    std::fs::write(&path, text).unwrap();
    ca.settings.registry = Some(path);
}

fn believing(machines: &Machines) -> Ca {
    let mut ca = Ca::new();
    let text = format!(
        "x509:
  - name: machines
    caFile: {}
    identities:
      - {{dnsName: db1.example, identity: {DB1}}}
      - {{dnsName: db2.example, identity: spiffe://cluster.local/vm/db2}}
      - {{uri: 'urn:example:host:7', identity: spiffe://cluster.local/vm/seven}}
      - {{subject: 'CN=build, O=Example', identity: spiffe://cluster.local/ci/build}}
",
        machines.ca_file().display()
    );
    registry(&mut ca, &text);
    ca
}

fn csr() -> Vec<u8> {
    let key = KeyPair::generate().unwrap();
    CertificateParams::default().serialize_request(&key).unwrap().der().to_vec()
}

async fn ask(
    authority: &Authority,
    evidence: Evidence,
    csr_der: Vec<u8>,
) -> Result<String, Refusal> {
    let request = IssueRequest { evidence: Some(evidence), csr_der };
    let caller = Caller::Remote("192.0.2.7:40000".parse().unwrap());
    let now = RequestTime { wall: wall_clock(), monotonic: Instant::now() };
    let answer = authority.issue(&request, &caller, now).await?;
    let chain = answer.certificate_chain.into_iter().map(Into::into).collect();
    Ok(X509Svid::parse(chain).unwrap().id().to_string())
}

fn expect(name: &str, seen: Result<String, Refusal>, expect: Result<&str, &str>) {
    match (seen.map_err(|refusal| refusal.to_string()), expect) {
        (Ok(identity), Ok(expect)) => assert_eq!(identity, expect, "{name}"),
        (Err(reason), Err(expect)) => assert!(reason.contains(expect), "{name}: {reason}"),
        (seen, expect) => panic!("{name}: {seen:?} instead of {expect:?}"),
    }
}

#[tokio::test]
async fn x509_whom_a_certificate_means() {
    let machines = Machines::new();
    let authority = believing(&machines).load();
    let check = async |name: &str, proof: AttemptProof, wanted: Result<&str, &str>| {
        let csr = csr();
        let evidence = proof.evidence(&csr).unwrap();
        expect(name, ask(&authority, evidence, csr).await, wanted);
    };
    let days = |params: &mut CertificateParams, from: i64, to: i64| {
        let now = time::OffsetDateTime::now_utc();
        params.not_before = now + time::Duration::days(from);
        params.not_after = now + time::Duration::days(to);
    };
    check("by its DNS name", machines.proof(&["db1.example"], |_| {}), Ok(DB1)).await;
    let p384 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    check("P-384", machines.proof_of(&p384, &["db1.example"], |_| {}), Ok(DB1)).await;
    let ed25519 = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    check("Ed25519", machines.proof_of(&ed25519, &["db1.example"], |_| {}), Ok(DB1)).await;
    let rsa = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
    check("RSA", machines.proof_of(&rsa, &["db1.example"], |_| {}), Ok(DB1)).await;
    let uri = |params: &mut CertificateParams| {
        params.subject_alt_names = vec![SanType::URI("urn:example:host:7".try_into().unwrap())];
    };
    check("by its URI", machines.proof(&[], uri), Ok("spiffe://cluster.local/vm/seven")).await;
    let subject = |params: &mut CertificateParams| {
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, "build");
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "Example");
    };
    check("by its subject", machines.proof(&[], subject), Ok("spiffe://cluster.local/ci/build"))
        .await;
    let nobody = Err("no x509 entry");
    check("nobody's name", machines.proof(&["db3.example"], |_| {}), nobody).await;
    check("a longer name", machines.proof(&["db1.example.evil"], |_| {}), nobody).await;
    check("a wildcard", machines.proof(&["*.example"], |_| {}), nobody).await;
    check(
        "two identities",
        machines.proof(&["db1.example", "db2.example"], |_| {}),
        Err("several identities"),
    )
    .await;
    let untrusted = Err("no CA of the registry vouches for it");
    check("expired", machines.proof(&["db1.example"], |p| days(p, -2, -1)), untrusted).await;
    check("of tomorrow", machines.proof(&["db1.example"], |p| days(p, 1, 2)), untrusted).await;
    let server = |params: &mut CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    };
    check("for servers only", machines.proof(&["db1.example"], server), untrusted).await;
    check("another CA", Machines::new().proof(&["db1.example"], |_| {}), untrusted).await;
}

#[tokio::test]
async fn s32_attestation_confusion_x509_evidence_is_bound_to_its_request() {
    let machines = Machines::new();
    let authority = believing(&machines).load();
    let proof = machines.proof(&["db1.example"], |_| {});
    let (csr_of_ours, csr_of_theirs) = (csr(), csr());
    let evidence = proof.evidence(&csr_of_ours).unwrap();
    let unproven = Err("not signed by the certificate's key");
    let repeated = ask(&authority, evidence.clone(), csr_of_theirs.clone()).await;
    expect("repeated for another key", repeated, unproven);

    // A certificate is public: without its key it proves nothing.
    let Evidence::X509(x509) = evidence else { panic!("not x509") };
    let other = Machines::new().proof(&["db1.example"], |_| {}).evidence(&csr_of_theirs).unwrap();
    let Evidence::X509(other) = other else { panic!("not x509") };
    let mut stolen = x509.clone();
    stolen.signature = other.signature.clone();
    expect(
        "signed by another key",
        ask(&authority, Evidence::X509(stolen), csr_of_theirs.clone()).await,
        unproven,
    );
    let mut confused = x509.clone();
    confused.certificate_chain.extend(other.certificate_chain.clone());
    confused.certificate_chain.reverse();
    let seen = ask(&authority, Evidence::X509(confused), csr_of_ours.clone()).await;
    expect("another leaf before ours", seen, Err("no CA of the registry vouches"));
    for (name, scheme, reason) in [
        ("SHA-1", 0x0201, "scheme"),
        ("PKCS#1", 0x0401, "scheme"),
        ("unknown", 0xffff_ffff, "scheme"),
        ("another algorithm", 0x0503, "not signed"),
    ] {
        let mut changed = x509.clone();
        changed.signature_scheme = scheme;
        expect(
            name,
            ask(&authority, Evidence::X509(changed), csr_of_ours.clone()).await,
            Err(reason),
        );
    }
    for chain in
        [vec![], vec![vec![]], vec![vec![0x30; 200]], vec![vec![0; 20_000]], vec![vec![0x30]; 9]]
    {
        let mut broken = x509.clone();
        broken.certificate_chain = chain;
        expect(
            "no chain",
            ask(&authority, Evidence::X509(broken), csr_of_ours.clone()).await,
            Err("proves nothing"),
        );
    }
    expect("as it is meant", ask(&authority, Evidence::X509(x509), csr_of_ours).await, Ok(DB1));
}

#[tokio::test]
async fn x509_only_signing_certificates_vouch() {
    let machines = Machines::new();
    let authority = believing(&machines).load();
    let check = async |name: &str, change: &dyn Fn(&mut CertificateParams), wanted| {
        // A CA of the machines' CA signs one of them.
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, "a department");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        change(&mut params);
        let between =
            CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), &machines.ca).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut leaf = CertificateParams::new(["db1.example".to_owned()]).unwrap();
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let leaf = leaf.signed_by(&key, &between).unwrap();
        let path = |name: &str| machines.dir.path().join(name);
        std::fs::write(path("leaf.pem"), leaf.pem() + &between.as_ref().pem()).unwrap();
        std::fs::write(path("key.pem"), key.serialize_pem()).unwrap();
        let proof =
            LastingProof::Certificate { certificate: path("leaf.pem"), key: path("key.pem") };
        let csr = csr();
        let evidence = AttemptProof::Lasting(proof).evidence(&csr).unwrap();
        expect(name, ask(&authority, evidence, csr).await, wanted);
    };
    let refused = Err("no CA of the registry vouches for it");
    check("keyCertSign", &|p| p.key_usages = vec![KeyUsagePurpose::KeyCertSign], Ok(DB1)).await;
    // RFC 5280 §6.1.4 (n); what SPIFFE adds is not asked of others.
    check("no key usage", &|_| (), Ok(DB1)).await;
    check("cRLSign alone", &|p| p.key_usages = vec![KeyUsagePurpose::CrlSign], refused).await;
    check("digitalSignature", &|p| p.key_usages = vec![KeyUsagePurpose::DigitalSignature], refused)
        .await;
}

#[test]
fn x509_roots_of_the_registry_are_signing_certificates() {
    let machines = Machines::new();
    let check = |name: &str, pem: String, words: Option<&str>| {
        std::fs::write(machines.ca_file(), pem).unwrap();
        let loaded = authority::serve::run::load(&believing(&machines).settings).map(drop);
        match words {
            None => assert!(loaded.is_ok(), "{name}: {loaded:?}"),
            Some(words) => {
                let said = format!("{:#}", loaded.unwrap_err());
                assert!(said.contains("ca.pem: certificate 1 "), "{name}: {said}");
                assert!(said.contains(words), "{name}: {said}");
            }
        }
    };
    let (ca, key) = (machines.ca.as_ref().pem(), KeyPair::generate().unwrap());
    let signed = |change: &dyn Fn(&mut CertificateParams)| {
        let mut params = CertificateParams::new(["db1.example".to_owned()]).unwrap();
        change(&mut params);
        format!("{ca}{}", params.signed_by(&key, &machines.ca).unwrap().pem())
    };
    let is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    check("twice", format!("{ca}{ca}"), None);
    check("a machine's own", signed(&|_| ()), Some("not a CA certificate"));
    let unsigning = |p: &mut CertificateParams| {
        (p.is_ca, p.key_usages) = (is_ca, vec![KeyUsagePurpose::CrlSign]);
    };
    check("no keyCertSign", signed(&unsigning), Some("keyCertSign"));
}

#[tokio::test]
async fn an_agent_proves_itself_by_a_certificate_and_reads_it_anew() {
    let machines = Machines::new();
    let ca = believing(&machines);
    let authority = ca.start().await;
    let AttemptProof::Lasting(proof) = machines.proof(&["db1.example"], |_| {}) else {
        panic!("lasting")
    };
    let mut agent = Agent::new(&ca, authority.address);
    agent.settings.lasting_proof = Some(proof);
    let agent = agent.started().await;
    let first = agent.status().await.unwrap();
    assert_eq!(first.identity.as_deref(), Some(DB1));
    assert!(!agent.settings.state_dir.exists(), "nothing is kept on the disk");
    machines.proof(&["db1.example"], |_| {});
    assert_ne!(
        agent.renew().await.unwrap().serial,
        first.serial,
        "with the machine's new certificate"
    );
    machines.proof(&["db2.example"], |_| {});
    let error = agent.renew().await.unwrap_err().to_string();
    assert!(error.contains("but this agent is"), "it does not become another: {error}");
}

/// A token issuer with one key.
struct Issuer {
    key: KeyPair,
}

impl Issuer {
    fn new() -> Self {
        Self { key: KeyPair::generate().unwrap() }
    }

    fn keys(&self, id: &str) -> Value {
        let point = self.key.der_bytes();
        json!({"kty": "EC", "crv": "P-256", "use": "sig", "kid": id,
            "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..])})
    }

    fn token(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let rng = aws_lc_rs::rand::SystemRandom::new();
        let key = aws_lc_rs::signature::EcdsaKeyPair::from_pkcs8(
            &aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING,
            &self.key.serialize_der(),
        );
        let signature = key.unwrap().sign(&rng, signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn claims() -> Value {
    json!({"iss": "https://ci.example", "aud": ["postern-authority"], "sub": "repo:shop/cart",
        "exp": wall_clock() + 300, "iat": wall_clock(), "repository": "shop/cart"})
}

fn trusting(keys: &Path) -> Ca {
    let mut ca = Ca::new();
    let text = format!(
        "oidc:
  - issuer: https://ci.example
    audience: postern-authority
    jwksFile: {}
    identities:
      - {{claims: {{repository: shop/cart}}, identity: spiffe://cluster.local/ns/ci/sa/cart}}
",
        keys.display()
    );
    registry(&mut ca, &text);
    ca
}

#[tokio::test]
async fn s37_jws_algorithm_and_key_of_workload_tokens() {
    let issuer = Issuer::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.json");
    std::fs::write(
        &path,
        json!({"keys": [issuer.keys("one"), issuer.keys("two"), issuer.keys("two")]}).to_string(),
    )
    .unwrap();
    let authority = trusting(&path).load();
    let check = async |name: &str, token: String, wanted: Result<&str, &str>| {
        let evidence = Evidence::Oidc(OidcEvidence { token });
        expect(name, ask(&authority, evidence, csr()).await, wanted);
    };
    let good = json!({"alg": "ES256", "kid": "one"});
    let with = |header: Value| issuer.token(&header, &claims());
    let cart = Ok("spiffe://cluster.local/ns/ci/sa/cart");
    check("good", with(good.clone()), cart).await;
    check("no key id", with(json!({"alg": "ES256"})), cart).await;
    let unsigned = Err("none of its issuer's keys signed it");
    check("id that stands there twice", with(json!({"alg": "ES256", "kid": "two"})), unsigned)
        .await;
    check("unknown id", with(json!({"alg": "ES256", "kid": "x"})), unsigned).await;
    check("another algorithm", with(json!({"alg": "RS256", "kid": "one"})), unsigned).await;
    check("none", with(json!({"alg": "none", "kid": "one"})), Err("algorithm")).await;
    check("HS256", with(json!({"alg": "HS256", "kid": "one"})), Err("algorithm")).await;
    check(
        "crit",
        with(json!({"alg": "ES256", "kid": "one", "crit": ["x"], "x": 1})),
        Err("must be understood"),
    )
    .await;
    check("another key", Issuer::new().token(&good, &claims()), unsigned).await;
    let embedded = json!({"alg": "ES256", "jwk": Issuer::new().keys("one")});
    check("a key it brings along", Issuer::new().token(&embedded, &claims()), unsigned).await;
    let mut other = claims();
    other["iss"] = json!("https://other.example");
    check("another issuer", issuer.token(&good, &other), Err("issuer is not in the registry"))
        .await;
    let mut late = claims();
    late["exp"] = json!(wall_clock() - 61);
    check("expired", issuer.token(&good, &late), Err("it expired")).await;
    let token = with(good);
    let (signed, signature) = token.rsplit_once('.').unwrap();
    check("blank signature", format!("{signed}."), Err("no signed JSON Web Token")).await;
    check("null signature", format!("{signed}.{}", URL_SAFE_NO_PAD.encode([0; 64])), unsigned)
        .await;
    let (header, payload) = signed.split_once('.').unwrap();
    let changed = payload.replacen('e', "f", 1);
    check("changed claims", format!("{header}.{changed}.{signature}"), Err("")).await;
    check("large", "a".repeat(20_000), Err("larger than")).await;
}

#[tokio::test]
async fn an_issuer_without_keys_at_hand_is_neither_yes_nor_no() {
    let issuer = Issuer::new();
    let authority = trusting(Path::new("/nowhere/keys.json")).load();
    let token = issuer.token(&json!({"alg": "ES256", "kid": "one"}), &claims());
    let evidence = Evidence::Oidc(OidcEvidence { token });
    expect("no keys", ask(&authority, evidence, csr()).await, Err("keys are not at hand"));
}

#[test]
fn registry_mistakes_have_their_place_and_nothing_unknown_passes() {
    let machines = Machines::new();
    let at = machines.ca_file();
    let parse = |text: &str| {
        let trust_domain = identity::TrustDomain::parse("cluster.local").unwrap();
        let text = text.replace("CA", &at.display().to_string());
        authority::attest::registry::Registry::parse(&text, &trust_domain)
            .map(drop)
            .map_err(|error| error.to_string())
    };
    let check = |name: &str, text: &str, expect: &[&str]| {
        let error = parse(text).expect_err(name);
        for part in expect {
            assert!(error.contains(part), "{name}: {part} in {error}");
        }
    };
    check(
        "unknown key",
        "x509:\n  - {name: a, caFile: CA, identities: [], crl: x}\n",
        &["crl", "2"],
    );
    check("unknown section", "saml: []\n", &["saml"]);
    check(
        "several mistakes",
        "x509:
  - name: a
    caFile: /nowhere.pem
    identities:
      - {identity: spiffe://elsewhere/x, dnsName: a.example}
      - {identity: spiffe://cluster.local/x}
      - {identity: spiffe://cluster.local/x, dnsName: a.example, uri: 'urn:x'}
      - {identity: spiffe://cluster.local/x, dnsName: '*.example'}
oidc:
  - issuer: https://ci.example
    audience: a
    jwksUri: http://ci.example/keys
    caFile: CA
    identities:
      - {claims: {}, identity: spiffe://cluster.local/x}
      - {claims: {sub: a}, identity: 'spiffe://cluster.local/{sub}'}
",
        &[
            "line 2 column 5: x509 `a`: /nowhere.pem",
            "line 5 column 9: x509 identity: identity `spiffe://elsewhere/x`",
            "line 6 column 9: x509 identity: say exactly one",
            "line 7 column 9: x509 identity: say exactly one",
            "line 8 column 9: x509 identity: `*.example`",
            "line 10 column 5: oidc `https://ci.example`: jwksUri",
            "line 15 column 9: oidc identity: `claims` is empty",
            "line 16 column 9: oidc identity: identity `spiffe://cluster.local/{sub}`: the first segment",
        ],
    );
    let jwks = |keys: &str| {
        format!("oidc:\n  - {{issuer: 'https://a', audience: a, identities: [], {keys}}}\n")
    };
    check("no keys", &jwks(""), &["either jwksFile, or jwksUri with caFile"]);
    check("both", &jwks("jwksFile: /a, jwksUri: 'https://a/k', caFile: CA"), &["either"]);
    check("web without authority", &jwks("jwksUri: 'https://a/k'"), &["needs caFile"]);
    check("with a user", &jwks("jwksUri: 'https://u@a/k', caFile: CA"), &["no https address"]);
    check("no port", &jwks("jwksUri: 'https://a:65536/k', caFile: CA"), &["no https address"]);
    assert_eq!(parse(&jwks("jwksFile: /a")), Ok(()));
}

/// F-30 without sockets: 500 agents whose certificates were issued at one moment, an authority that signs 100 a minute,
/// and time by hand. `down`: the part of the lifetime in which nobody answers.
fn herd(name: &str, lifetime: u64, per_minute: u32, down: std::ops::Range<f64>) {
    const AGENTS: usize = 500;
    let (start, begin) =
        (Instant::now(), SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
    let at = |after: Duration| ClockReading {
        wall: begin + after,
        monotonic: start + after,
        boot: None,
    };
    let life = Duration::from_secs(lifetime);
    let validity =
        |moment: ClockReading| Validity { not_before: moment.wall, not_after: moment.wall + life };
    let mut chance = 0.37_f64;
    let mut jitter = move || {
        chance = (chance * 997.0 + 0.123).fract();
        2.0 * chance - 1.0
    };
    let mut rates = IssueRates::new(PerMinute(10), PerMinute(per_minute));
    let mut agents: Vec<_> = (0..AGENTS)
        .map(|_| {
            let mut rotation = Rotation::new(at(Duration::ZERO));
            rotation.issued(at(Duration::ZERO), validity(at(Duration::ZERO)), jitter());
            (rotation, begin + life, 0_u32)
        })
        .collect();
    let (mut busiest, mut refused) = (0, 0);
    let mut now = Duration::ZERO;
    while now < life * 3 {
        now += Duration::from_millis(500);
        let moment = at(now);
        let reachable = !(life.mul_f64(down.start)..life.mul_f64(down.end)).contains(&now);
        let mut signed = 0;
        for (number, (rotation, held_until, renewals)) in agents.iter_mut().enumerate() {
            assert!(*held_until > moment.wall, "{name}: agent {number} expired after {now:?}");
            if !rotation.is_due(moment) {
                continue;
            }
            if !reachable {
                rotation.failed(moment, AttemptFailure::Unreachable, jitter());
                continue;
            }
            let taken = rates.take(&number.to_string(), moment.monotonic);
            match taken {
                Ok(()) => {
                    rotation.issued(moment, validity(moment), jitter());
                    (*held_until, *renewals, signed) =
                        (moment.wall + life, *renewals + 1, signed + 1);
                }
                Err(_) => {
                    rotation.failed(moment, AttemptFailure::Refused, jitter());
                    refused += 1;
                }
            }
        }
        busiest = busiest.max(signed);
    }
    assert!(agents.iter().all(|(_, _, renewals)| *renewals >= 3), "{name}: everybody renewed");
    assert!(refused > 0 || per_minute > 1000, "{name}: the cap was reached");
    assert!(busiest < AGENTS, "{name}: they do not stay together");
}

#[test]
fn f30_herd_of_500_agents_and_nobody_expires() {
    herd("plenty of room", 3600, 6000, 0.0..0.0);
    herd("a cap of less than they need at once", 3600, 30, 0.0..0.0);
    herd("an outage of half a lifetime, then all at once", 3600, 100, 0.3..0.8);
    herd("short lifetimes", 300, 240, 0.0..0.0);
}
