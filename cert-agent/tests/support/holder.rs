//! A workload with its certificate, without an agent.

use agent::renewal::authority_client::issue;
use issuance_messages::IssueRequest;
use issuance_messages::issue_request::Evidence;
use rcgen::{CertificateParams, KeyPair};

use super::{Ca, Running, within};

pub(crate) struct Holder {
    pub(crate) key: KeyPair,
    pub(crate) chain: Vec<Vec<u8>>,
}

impl Holder {
    /// Joins with a token for this identity.
    pub(crate) async fn of(ca: &Ca, authority: &Running, identity: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let csr_der = CertificateParams::default().serialize_request(&key).unwrap().der().to_vec();
        let evidence = Some(Evidence::JoinToken(ca.token(identity)));
        let request = IssueRequest { evidence, csr_der };
        let (address, roots) = (authority.for_agents(), ca.roots());
        let answer = within("a certificate", issue(&address, &roots, request)).await.unwrap();
        Self { key, chain: answer.certificate_chain }
    }
}
