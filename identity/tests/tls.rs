//! What versions of TLS the mesh speaks, also where the library knows others.

use std::sync::Arc;

use identity::{SpiffeId, SvidKey, TrustBundle, TrustBundles, TrustDomain, X509Svid, tls};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ServerConfig, SupportedProtocolVersion};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use crate::ca::{CART, Ca, ca_params, leaf_params};

/// A certificate authority and one workload of it, both valid whenever the test runs.
struct Party {
    root: CertificateDer<'static>,
    leaf: CertificateDer<'static>,
    key: KeyPair,
}

impl Party {
    fn new() -> Self {
        let forever = |mut params: CertificateParams| {
            (params.not_before, params.not_after) =
                (date_time_ymd(2020, 1, 1), date_time_ymd(2100, 1, 1));
            params
        };
        let ca_key = KeyPair::generate().unwrap();
        let params = forever(ca_params("root"));
        let root = params.self_signed(&ca_key).unwrap().der().clone();
        let ca = Ca { issuer: rcgen::Issuer::new(params, ca_key), der: root.clone() };
        let key = KeyPair::generate().unwrap();
        let leaf = forever(leaf_params(&[CART])).signed_by(&key, &ca.issuer).unwrap().der().clone();
        Self { root, leaf, key }
    }

    fn svid(&self) -> (X509Svid, SvidKey, Arc<TrustBundles>) {
        let domain = TrustDomain::parse("cluster.local").unwrap();
        let bundle = TrustBundle::from_der(domain, vec![self.root.clone()]).unwrap();
        let key = SvidKey::from_pkcs8_der(self.key.serialize_der()).unwrap();
        let svid = X509Svid::parse(vec![self.leaf.clone()]).unwrap();
        (svid, key, Arc::new(TrustBundles::new([bundle])))
    }

    fn key(&self) -> PrivatePkcs8KeyDer<'static> {
        self.key.serialize_der().into()
    }

    /// A client of others, with the same certificate.
    fn client(&self, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(identity::verify::ServerVerifier::new(
                self.svid().2,
                Arc::new([SpiffeId::parse(CART).unwrap()]),
            )))
            .with_client_auth_cert(vec![self.leaf.clone()], self.key().into())
            .unwrap()
    }

    /// A server of others, with the same certificate.
    fn server(&self, versions: &[&'static SupportedProtocolVersion]) -> ServerConfig {
        ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.leaf.clone()], self.key().into())
            .unwrap()
    }
}

/// Moves the bytes between both until they have agreed, or one refuses.
fn handshake(client: ClientConfig, server: ServerConfig) -> Result<(), rustls::Error> {
    let name = "cart.shop".try_into().unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = rustls::ServerConnection::new(Arc::new(server)).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        server.read_tls(&mut bytes.as_slice()).unwrap();
        server.process_new_packets()?;
        bytes.clear();
        server.write_tls(&mut bytes).unwrap();
        client.read_tls(&mut bytes.as_slice()).unwrap();
        client.process_new_packets()?;
    }
    Ok(())
}

#[test]
fn the_mesh_refuses_tls_1_2_on_both_sides() {
    let party = Party::new();
    let (svid, key, bundles) = party.svid();
    let cart: Arc<[SpiffeId]> = Arc::new([SpiffeId::parse(CART).unwrap()]);
    let ours = || tls::client_config(&svid, &key, bundles.clone(), cart.clone(), &[]).unwrap();
    let our_server = || tls::server_config(&svid, &key, bundles.clone(), &[]).unwrap();
    let check = |row: &str, versions: &[&'static SupportedProtocolVersion], fine: bool| {
        let with_server = handshake(party.client(versions), our_server());
        assert_eq!(with_server.is_ok(), fine, "our server, a client of {row}: {with_server:?}");
        let with_client = handshake(ours(), party.server(versions));
        assert_eq!(with_client.is_ok(), fine, "our client, a server of {row}: {with_client:?}");
    };
    check("1.3", &[&TLS13], true);
    check("both", &[&TLS12, &TLS13], true);
    check("1.2", &[&TLS12], false);
}
