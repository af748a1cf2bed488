//! What the agent proves itself with.
//!
//! A proof that lasts (a token that somebody else keeps fresh, a certificate, our uid) is given at each attempt,
//! read anew from its file. A join token is given once, and the renewal credential of the last answer after that.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use rustls::SignatureScheme;
use rustls::sign::SigningKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use issuance_messages::issue_request::Evidence;
use issuance_messages::{OidcEvidence, ServiceAccountEvidence, UnixEvidence, X509Evidence};

use crate::renewal::state_directory::RenewalCredential;

/// Tokens are below 8 KiB.
const MAX_TOKEN: u64 = 16 * 1024;
/// A chain of 8 certificates or a key, PEM.
const MAX_PEM: u64 = 256 * 1024;
/// What the certificate's key signs begins with it (`authority.proto`).
const X509_LABEL: &[u8] = b"postern x509 evidence v1";
/// The signature schemes the authority takes, best first (RFC 8446 §4.2.3).
const SCHEMES: [SignatureScheme; 6] = [
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ED25519,
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PSS_SHA512,
];

/// A proof that is good at any time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LastingProof {
    /// Our uid, as the kernel tells it to an authority on this machine.
    Unix,
    /// A Kubernetes service-account token, projected for the authority's audience; the kubelet keeps it fresh.
    ServiceAccountToken(PathBuf),
    /// A token of an OpenID Connect issuer.
    OidcToken(PathBuf),
    /// A certificate of a CA that the authority names, with its chain, and its key; both PEM.
    Certificate {
        /// Leaf first.
        certificate: PathBuf,
        /// PKCS#8, SEC 1 or PKCS#1.
        key: PathBuf,
    },
}

/// Where the agent's evidence comes from.
#[derive(Debug, Clone, Default)]
pub struct EvidenceSource {
    /// Given at each attempt, when there is one.
    pub lasting: Option<LastingProof>,
    /// The file with the join token.
    pub join_token: Option<PathBuf>,
}

/// Which proof an attempt uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptProof {
    /// Good at any time.
    Lasting(LastingProof),
    /// The credential of the last answer.
    Credential(Zeroizing<String>),
    /// Good once; may be for whomever the operator meant.
    JoinToken(PathBuf),
}

impl EvidenceSource {
    /// Whether a renewal credential is ever handed out, and so has to be kept.
    #[must_use]
    pub fn needs_state(&self) -> bool {
        self.lasting.is_none()
    }

    /// The best proof there is.
    ///
    /// # Errors
    /// When there is none, what to give.
    pub fn best(&self, credential: Option<&RenewalCredential>) -> Result<AttemptProof, String> {
        let nothing = || {
            "nothing to prove ourselves with: give --join-token-file, --service-account-token-file, \
             --oidc-token-file, --x509-certificate or --authority-unix"
                .to_owned()
        };
        let lasting = self.lasting.clone().map(AttemptProof::Lasting);
        let credential =
            || credential.map(|credential| AttemptProof::Credential(credential.secret.clone()));
        lasting.or_else(credential).or_else(|| self.join_token()).ok_or_else(nothing)
    }

    /// The join token, for when the authority no longer knows our credential.
    #[must_use]
    pub fn join_token(&self) -> Option<AttemptProof> {
        self.join_token.clone().map(AttemptProof::JoinToken)
    }
}

impl AttemptProof {
    /// What the authority gets, with this certificate request.
    ///
    /// # Errors
    /// A file that cannot be read, by its name.
    pub fn evidence(&self, csr_der: &[u8]) -> Result<Evidence, String> {
        match self {
            Self::Credential(secret) => Ok(Evidence::RenewalCredential(secret.to_string())),
            Self::JoinToken(path) => {
                Ok(Evidence::JoinToken(token("the join token", path)?.to_string()))
            }
            Self::Lasting(LastingProof::Unix) => Ok(Evidence::Unix(UnixEvidence {})),
            Self::Lasting(LastingProof::ServiceAccountToken(path)) => {
                let token = token("the service-account token", path)?.to_string();
                Ok(Evidence::ServiceAccount(ServiceAccountEvidence { token }))
            }
            Self::Lasting(LastingProof::OidcToken(path)) => {
                let token = token("the OIDC token", path)?.to_string();
                Ok(Evidence::Oidc(OidcEvidence { token }))
            }
            Self::Lasting(LastingProof::Certificate { certificate, key }) => {
                possession(certificate, key, csr_der).map(Evidence::X509)
            }
        }
    }
}

/// One line; what stands around it is no part of it (F-38: editors and `echo` add line ends).
fn token(what: &str, path: &Path) -> Result<Zeroizing<String>, String> {
    let failed = |error| format!("cannot read {what} {}: {error}", path.display());
    let content = read(path, MAX_TOKEN).map_err(failed)?;
    let text = std::str::from_utf8(&content)
        .map_err(|_| format!("{what} {} is no text", path.display()))?;
    Ok(Zeroizing::new(text.trim_start_matches('\u{feff}').trim().to_owned()))
}

/// The chain, and the request signed by its leaf's key. Both files are read anew; when one is replaced between the
/// two readings they do not fit, and the next attempt finds the new pair.
fn possession(certificate: &Path, key: &Path, csr_der: &[u8]) -> Result<X509Evidence, String> {
    let at = |path: &Path, reason: String| format!("{}: {reason}", path.display());
    let pem = read(certificate, MAX_PEM).map_err(|error| at(certificate, error.to_string()))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.map_err(|error| at(certificate, identity::pem::damage(&error)))?;
    if chain.is_empty() {
        return Err(at(certificate, "no PEM certificate in it".to_owned()));
    }
    let signing = signing_key(key).map_err(|reason| at(key, reason))?;
    let signer = signing
        .choose_scheme(&SCHEMES)
        .ok_or_else(|| at(key, "a key of a kind the authority does not take".to_owned()))?;
    let message = [X509_LABEL, &[0], digest(&SHA256, csr_der).as_ref()].concat();
    let signature = signer.sign(&message).map_err(|error| at(key, error.to_string()))?;
    Ok(X509Evidence {
        certificate_chain: chain.iter().map(|certificate| certificate.to_vec()).collect(),
        signature,
        signature_scheme: u32::from(u16::from(signer.scheme())),
    })
}

fn signing_key(path: &Path) -> Result<Arc<dyn SigningKey>, String> {
    let pem = read(path, MAX_PEM).map_err(|error| error.to_string())?;
    let key = PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|_| "no PEM private key in it (PKCS#8, SEC 1 or PKCS#1)".to_owned())?;
    rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).map_err(|error| error.to_string())
}

fn read(path: &Path, limit: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut content = Zeroizing::new(Vec::new());
    File::open(path)?.take(limit + 1).read_to_end(&mut content)?;
    if u64::try_from(content.len()).unwrap_or(u64::MAX) > limit {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("larger than {limit} bytes"),
        ));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use identity::SpiffeId;

    use super::*;

    fn credential() -> RenewalCredential {
        RenewalCredential {
            identity: SpiffeId::parse("spiffe://cluster.local/ns/shop/sa/cart").unwrap(),
            secret: Zeroizing::new("prc_x".to_owned()),
        }
    }

    #[test]
    fn the_best_proof_is_used() {
        let check = |name: &str,
                     source: &EvidenceSource,
                     held: Option<RenewalCredential>,
                     expect: Option<AttemptProof>| {
            assert_eq!(source.best(held.as_ref()).ok(), expect, "{name}");
        };
        let token =
            EvidenceSource { join_token: Some("token".into()), ..EvidenceSource::default() };
        let unix = EvidenceSource { lasting: Some(LastingProof::Unix), ..token.clone() };
        check("nothing", &EvidenceSource::default(), None, None);
        check("joining", &token, None, Some(AttemptProof::JoinToken("token".into())));
        let secret = credential().secret;
        check("renewing", &token, Some(credential()), Some(AttemptProof::Credential(secret)));
        check(
            "lasting",
            &unix,
            Some(credential()),
            Some(AttemptProof::Lasting(LastingProof::Unix)),
        );
    }

    #[test]
    fn f38_join_token_with_a_line_end_and_a_byte_order_mark() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let proof = AttemptProof::JoinToken(path.clone());
        for text in ["pjt_x", "pjt_x\n", "\u{feff}pjt_x\r\n", " pjt_x \n\n"] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(
                proof.evidence(&[]).unwrap(),
                Evidence::JoinToken("pjt_x".to_owned()),
                "{text:?}"
            );
        }
        std::fs::write(&path, "x".repeat(20_000)).unwrap();
        assert!(proof.evidence(&[]).unwrap_err().contains("larger than"));
        std::fs::remove_file(&path).unwrap();
        assert!(proof.evidence(&[]).unwrap_err().contains("cannot read the join token"));
    }

    #[test]
    fn tokens_are_read_anew_and_files_that_do_not_fit_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let proof = AttemptProof::Lasting(LastingProof::ServiceAccountToken(path.clone()));
        for token in ["a.b.c", "d.e.f"] {
            std::fs::write(&path, token).unwrap();
            let expect = ServiceAccountEvidence { token: token.to_owned() };
            assert_eq!(proof.evidence(&[]).unwrap(), Evidence::ServiceAccount(expect));
        }
        let certificate =
            LastingProof::Certificate { certificate: path.clone(), key: path.clone() };
        let error = AttemptProof::Lasting(certificate).evidence(&[]).unwrap_err();
        assert!(error.contains("no PEM certificate in it"), "{error}");
    }
}
