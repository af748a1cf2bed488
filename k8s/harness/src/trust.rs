//! The trust domain `cluster.local`, whose root the test holds.

use std::sync::Arc;

use identity::{SvidKey, TrustBundle, TrustBundles, TrustDomain, X509Svid};
use k8s::controller::credentials::OwnCredentials;
use k8s::workload_api::X509Context;
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType,
};
use rustls_pki_types::CertificateDer;

/// The controller's identity.
pub const CONTROLLER: &str = "spiffe://cluster.local/ns/postern-system/sa/postern-controller";

/// The root of `cluster.local`, held by the test.
pub struct TestTrust {
    /// The root, with its key.
    pub root: CertifiedIssuer<'static, KeyPair>,
}

fn root_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named("root");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let uri = Ia5String::try_from("spiffe://cluster.local".to_owned()).unwrap();
    params.subject_alt_names = vec![SanType::URI(uri)];
    params
}

impl TestTrust {
    /// Makes a root.
    ///
    /// # Panics
    /// Never: its parameters are constants.
    #[must_use]
    pub fn generate() -> Self {
        let key = KeyPair::generate().unwrap();
        Self { root: CertifiedIssuer::self_signed(root_params(), key).unwrap() }
    }

    /// The roots of the trust domain.
    ///
    /// # Panics
    /// Never: the name is a constant.
    #[must_use]
    pub fn bundles(&self) -> TrustBundles {
        let domain = TrustDomain::parse("cluster.local").unwrap();
        let root = self.root.as_ref().der().clone();
        TrustBundles::new([TrustBundle::from_der(domain, vec![root]).unwrap()])
    }

    /// An SVID of this id, with its key.
    #[must_use]
    pub fn svid(&self, id: &str) -> (X509Svid, SvidKey) {
        self.svid_for(id, None)
    }

    /// An SVID that also names a host.
    ///
    /// # Panics
    /// The id or the name has characters that no certificate holds.
    #[must_use]
    pub fn svid_for(&self, id: &str, dns_name: Option<&str>) -> (X509Svid, SvidKey) {
        let mut params = CertificateParams::default();
        params.distinguished_name = named("leaf");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let uri = Ia5String::try_from(id.to_owned()).unwrap();
        params.subject_alt_names = vec![SanType::URI(uri)];
        let dns_names = dns_name.map(|name| SanType::DnsName(name.try_into().unwrap()));
        params.subject_alt_names.extend(dns_names);
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &self.root).unwrap();
        let chain = vec![CertificateDer::from(leaf.der().to_vec())];
        let key = SvidKey::from_pkcs8_der(key.serialize_der()).unwrap();
        (X509Svid::parse(chain).unwrap(), key)
    }

    /// The credentials of the controller.
    ///
    /// # Panics
    /// Never: the certificate fits its key.
    #[must_use]
    pub fn credentials(&self) -> Arc<OwnCredentials> {
        let (svid, key) = self.svid(CONTROLLER);
        let context = X509Context { svid, key, bundles: self.bundles() };
        Arc::new(OwnCredentials::new(&context).unwrap())
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}
