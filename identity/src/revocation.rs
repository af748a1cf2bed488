//! Certificate revocation lists (RFC 5280 §5): parsed and checked when they are set, so that a
//! handshake only looks up serial numbers.
//!
//! A list speaks for the issuer whose name it bears *and* whose key has signed it; what it says of
//! others counts for nothing. It can therefore be handed to the bundles of several trust domains at
//! once without one of them speaking for another.

use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, TrustAnchor, UnixTime};
use webpki::{
    BorrowedCertRevocationList, CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage,
    OwnedCertRevocationList, RevocationCheckDepth, RevocationOptionsBuilder, UnknownStatusPolicy,
    VerifiedPath,
};
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

/// The largest list that is read, in bytes: some 25,000 entries. Leaves live for an hour, so a list
/// of a mesh has a handful.
const MAX_LIST: usize = 1024 * 1024;
/// The most lists that are held: each issuing certificate of each trust domain has one.
const MAX_LISTS: usize = 64;

/// Why a set of revocation lists is not taken over; the caller keeps the one it has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CrlError {
    /// The text holds a damaged PEM block.
    #[error("damaged PEM in the revocation list file: {0}")]
    Pem(String),
    /// A list cannot be read.
    #[error("revocation list {index} cannot be read: {reason}")]
    Unreadable {
        /// Its place in the set, from 0.
        index: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A list has more than 1 MiB.
    #[error("revocation list {0} has more than 1 MiB; short lifetimes keep lists short")]
    TooLarge(usize),
    /// There are more than 64 lists.
    #[error("more than 64 revocation lists")]
    TooMany,
    /// The text holds no list.
    #[error("no revocation list found: expected `-----BEGIN X509 CRL-----` blocks")]
    Empty,
}

/// A set of revocation lists, all of them readable. Cheap to clone.
#[derive(Clone, Default)]
pub struct RevocationLists(Arc<[RevocationList]>);

struct RevocationList {
    der: Box<[u8]>,
    read: CertRevocationList<'static>,
    /// Unix seconds of `nextUpdate`; `None` where the list names none.
    next_update: Option<u64>,
}

impl RevocationLists {
    /// Takes lists in DER. No list at all is an empty set: nothing is revoked.
    ///
    /// # Errors
    /// [`CrlError`] when one of them is unreadable or too large, or there are too many: then none
    /// is taken.
    pub fn from_der<L: AsRef<[u8]>>(lists: &[L]) -> Result<Self, CrlError> {
        if lists.len() > MAX_LISTS {
            return Err(CrlError::TooMany);
        }
        let read = lists
            .iter()
            .enumerate()
            .map(|(index, list)| RevocationList::read(index, list.as_ref()));
        Ok(Self(read.collect::<Result<_, _>>()?))
    }

    /// Takes the `X509 CRL` blocks of a PEM text; blocks of other kinds are passed over.
    ///
    /// # Errors
    /// [`CrlError`]; a text without any is an error, because it is more likely a file cut short than
    /// the decision to revoke nothing (which is a list without entries).
    pub fn from_pem(pem: &[u8]) -> Result<Self, CrlError> {
        let lists = CertificateRevocationListDer::pem_slice_iter(pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| CrlError::Pem(crate::pem::damage(&e)))?;
        if lists.is_empty() {
            return Err(CrlError::Empty);
        }
        Self::from_der(&lists)
    }

    /// How many lists there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no list.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many lists are past their `nextUpdate` at this Unix second. They are still used: what was
    /// revoked stays revoked. It is worth an alarm, because newer entries may be missing.
    #[must_use]
    pub fn overdue(&self, now: u64) -> usize {
        self.0.iter().filter(|list| list.next_update.is_some_and(|next| now > next)).count()
    }

    /// The lists in DER, in the order given.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(|list| &*list.der)
    }

    /// Whether one of the lists names a certificate of this path, which has been verified without
    /// them. The leaf and every intermediate are looked up; the status of a certificate whose issuer
    /// has no list is not held against it.
    pub(crate) fn revoke(
        &self,
        path: &VerifiedPath<'_>,
        now: UnixTime,
        usage: KeyUsage,
    ) -> Result<bool, webpki::Error> {
        if self.is_empty() {
            return Ok(false);
        }
        let path = CertificationPath {
            leaf: path.end_entity(),
            intermediates: path.intermediate_certificates().map(|one| one.der()).collect(),
            anchor: path.anchor(),
        };
        // One at a time: webpki asks only the first list that bears an issuer's name, and two
        // generations of an issuer may share their name.
        for list in self.0.iter().filter(|list| path.has_issuer(list.read.issuer())) {
            if list.revokes(&path, now, usage)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl std::fmt::Debug for RevocationLists {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RevocationLists({})", self.len())
    }
}

impl PartialEq for RevocationLists {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for RevocationLists {}

/// The one path that was found. It is verified again as if there were no other certificate: what else the peer sent,
/// and other roots of that name, cannot hide a list's entry behind an error of their own.
struct CertificationPath<'a> {
    leaf: &'a EndEntityCert<'a>,
    intermediates: Vec<CertificateDer<'a>>,
    anchor: &'a TrustAnchor<'a>,
}

impl CertificationPath<'_> {
    /// Whether the path names this issuer (the inside of its `Name`, DER).
    fn has_issuer(&self, name: &[u8]) -> bool {
        let of_intermediate = |der: &CertificateDer<'_>| {
            EndEntityCert::try_from(der).is_ok_and(|read| read.issuer() == name)
        };
        self.leaf.issuer() == name || self.intermediates.iter().any(of_intermediate)
    }
}

impl RevocationList {
    fn read(index: usize, der: &[u8]) -> Result<Self, CrlError> {
        if der.len() > MAX_LIST {
            return Err(CrlError::TooLarge(index));
        }
        let unreadable = |reason: String| CrlError::Unreadable { index, reason };
        let read = BorrowedCertRevocationList::from_der(der)
            .and_then(|list| list.to_owned())
            .map_err(|e| unreadable(e.to_string()))?;
        Ok(Self {
            read: OwnedCertRevocationList::into(read),
            next_update: next_update(der).map_err(unreadable)?,
            der: der.into(),
        })
    }

    fn revokes(
        &self,
        path: &CertificationPath<'_>,
        now: UnixTime,
        usage: KeyUsage,
    ) -> Result<bool, webpki::Error> {
        let only = [&self.read];
        let Ok(options) = RevocationOptionsBuilder::new(&only) else { return Ok(false) };
        let options = options
            .with_depth(RevocationCheckDepth::Chain)
            .with_status_policy(UnknownStatusPolicy::Allow)
            .with_expiration_policy(ExpirationPolicy::Ignore)
            .build();
        let algorithms = webpki::ALL_VERIFICATION_ALGS;
        let verified = path.leaf.verify_for_usage(
            algorithms,
            std::slice::from_ref(path.anchor),
            &path.intermediates,
            now,
            usage,
            Some(options),
            None,
        );
        match verified {
            Ok(_) => Ok(false),
            Err(webpki::Error::CertRevoked) => Ok(true),
            // Signed by another key of that name, or by one that may not sign lists: it does not
            // speak for this issuer.
            Err(error) if is_not_this_issuers(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn is_not_this_issuers(error: &webpki::Error) -> bool {
    matches!(
        error,
        webpki::Error::InvalidCrlSignatureForPublicKey
            | webpki::Error::UnsupportedCrlSignatureAlgorithmContext(_)
            | webpki::Error::UnsupportedCrlSignatureAlgorithmForPublicKeyContext(_)
            | webpki::Error::IssuerNotCrlSigner
    )
}

fn next_update(der: &[u8]) -> Result<Option<u64>, String> {
    let (rest, list) = CertificateRevocationList::from_der(der).map_err(|e| e.to_string())?;
    if !rest.is_empty() {
        return Err("bytes after its end".into());
    }
    Ok(list.next_update().map(|time| u64::try_from(time.timestamp()).unwrap_or(0)))
}
