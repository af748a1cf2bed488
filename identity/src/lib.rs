//! **Who.** SPIFFE ids, X.509-SVIDs, trust bundles and the rustls verifiers of Postern.
//!
//! This crate opens no socket, starts no task and reads no clock: bytes and times are handed in,
//! and what comes out is a type that proves its check was done. A [`SpiffeId`] has been parsed by
//! the letter of the standard, an [`X509Svid`] has passed the leaf rules, and the only way from a
//! peer's certificate chain to its id is [`verify::verify_peer`].
//!
//! * [`SpiffeId`], [`TrustDomain`]: SPIFFE-ID §2
//! * [`X509Svid`], [`Leaf`]: X509-SVID §2 to §5
//! * [`SigningCertificate`]: roots and intermediates, X509-SVID §3.2 and §4
//! * [`TrustBundle`], [`TrustBundles`]: roots, kept per trust domain and never merged
//! * [`authorities`], [`web_roots`]: the authorities of other PKIs, from PEM files
//! * [`pem`]: what is wrong with a PEM text
//! * [`jwk`]: the SPIFFE bundle document (Trust Domain and Bundle §4) and bundle map (§5)
//! * [`jws`]: signed tokens taken apart, and the keys that verify them
//! * [`jwt`]: JWT-SVIDs and the keys that verify them, per trust domain
//! * [`RevocationLists`]: what has been revoked, read before it is set
//! * [`rsa`]: RSA keys whose private part can be computed
//! * [`SvidKey`]: a private key that is wiped when dropped and never printed
//! * [`verify`]: chain and leaf checks; rustls verifiers for both sides
//! * [`WebCertificate`]: what a certificate of another PKI says
//! * [`tls`]: rustls configurations for the mesh (TLS 1.3 only, mutual, no resumption)

mod authorities;
mod bundle;
mod id;
pub mod json;
pub mod jwk;
pub mod jws;
pub mod jwt;
mod key;
pub mod pem;
mod revocation;
pub mod rsa;
mod signer;
mod svid;
pub mod tls;
pub mod verify;
mod web_certificate;

pub use authorities::{AuthoritiesError, authorities, web_roots};
pub use bundle::{BundleError, TrustBundle, TrustBundles};
pub use id::{IdError, SpiffeId, TrustDomain};
pub use key::{KeyError, SvidKey};
pub use revocation::{CrlError, RevocationLists};
pub use signer::{Pki, SignerError, SigningCertificate, check_intermediates};
pub use svid::{Leaf, SvidError, X509Svid, certificates};
pub use web_certificate::{WebCertificate, WebCertificateError, check_web_intermediate};
