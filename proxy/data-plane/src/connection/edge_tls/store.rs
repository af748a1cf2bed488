//! The certificates that listeners may show, by name: what is refused leaves the last good one in force.

use std::collections::HashMap;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use zeroize::Zeroizing;

use super::certificate::{CertificateError, ListenerCertificate};

/// Certificate and key of one name, as a source has them.
pub struct OfferedCertificate {
    /// `NAMESPACE/NAME` of the Secret, or of what stands for one.
    pub name: Arc<str>,
    /// The chain and the key.
    pub content: CertificateContent,
}

/// A chain and its key, PEM; or why they cannot be read.
pub type CertificateContent = Result<(Vec<u8>, Zeroizing<Vec<u8>>), String>;

/// The certificates by name, and what is refused. Immutable, and cheap to clone; a change makes another one, which is
/// swapped whole.
#[derive(Debug, Clone, Default)]
pub struct CertificateStore(Arc<StoreContent>);

#[derive(Debug, Default)]
struct StoreContent {
    certificates: HashMap<Arc<str>, StoredCertificate>,
    refused: HashMap<Arc<str>, RefusedOffer>,
}

#[derive(Debug, Clone)]
struct StoredCertificate {
    certificate: Arc<ListenerCertificate>,
    /// Of the texts that it was read from.
    digest: [u8; 32],
}

#[derive(Debug)]
struct RefusedOffer {
    error: CertificateError,
    digest: [u8; 32],
}

/// What a change of the sources has made.
pub struct RenewedCertificates {
    /// The certificates from now on.
    pub store: CertificateStore,
    /// What is refused now and was not before, each by its name. Where the name had a certificate, it is still in `store`.
    pub refused: Vec<CertificateError>,
    /// How many certificates have come or changed.
    pub taken: usize,
    /// Whether a certificate came, went or changed.
    pub changed: bool,
}

impl CertificateStore {
    /// The certificate of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<ListenerCertificate>> {
        self.0.certificates.get(name).map(|stored| &stored.certificate)
    }

    /// Every certificate, in the order of the names.
    #[must_use]
    pub fn all(&self) -> Vec<&Arc<ListenerCertificate>> {
        let stored = self.0.certificates.values();
        let mut all: Vec<_> = stored.map(|stored| &stored.certificate).collect();
        all.sort_by(|one, other| one.name().cmp(other.name()));
        all
    }

    /// What is refused, in the order of the names.
    #[must_use]
    pub fn refused(&self) -> Vec<(&Arc<str>, &CertificateError)> {
        let refused = self.0.refused.iter();
        let mut all: Vec<_> = refused.map(|(name, refused)| (name, &refused.error)).collect();
        all.sort_by_key(|(name, _)| Arc::clone(name));
        all
    }

    /// The store after a change, at the Unix second `now`. A name that is offered no more is gone: that is a decision,
    /// and no accident. What cannot be read, does not fit its key, or has ended while the one in force has not, leaves
    /// the one in force. One that has not changed stays the same `Arc`. Of two with one name the later one counts.
    #[must_use]
    pub fn renewed(
        &self,
        offered: impl IntoIterator<Item = OfferedCertificate>,
        now: u64,
    ) -> RenewedCertificates {
        let mut content = StoreContent::default();
        for (name, offer) in offered.into_iter().map(|offer| (offer.name.clone(), offer)) {
            let held = self.0.certificates.get(&name);
            let digest = digest_of(&offer.content);
            content.certificates.remove(&name);
            content.refused.remove(&name);
            let certificate = match take(offer, digest, held, now) {
                Ok(taken) => Some(taken),
                Err(error) => {
                    content.refused.insert(name.clone(), RefusedOffer { error, digest });
                    held.cloned()
                }
            };
            certificate.map(|certificate| content.certificates.insert(name, certificate));
        }
        self.compared(content)
    }

    fn compared(&self, content: StoreContent) -> RenewedCertificates {
        let is_new = |(name, stored): &(&Arc<str>, &StoredCertificate)| {
            self.get(name).is_none_or(|held| !Arc::ptr_eq(held, &stored.certificate))
        };
        let taken = content.certificates.iter().filter(is_new).count();
        let told = |(name, refused): &(&Arc<str>, &RefusedOffer)| {
            self.0.refused.get(*name).is_some_and(|before| before.digest == refused.digest)
        };
        let refused = content.refused.iter().filter(|refused| !told(refused));
        RenewedCertificates {
            refused: refused.map(|(_, refused)| refused.error.clone()).collect(),
            taken,
            changed: taken > 0 || content.certificates.len() != self.0.certificates.len(),
            store: Self(Arc::new(content)),
        }
    }
}

fn take(
    offer: OfferedCertificate,
    digest: [u8; 32],
    held: Option<&StoredCertificate>,
    now: u64,
) -> Result<StoredCertificate, CertificateError> {
    if let Some(held) = held.filter(|held| held.digest == digest) {
        return Ok(held.clone());
    }
    let name = offer.name;
    let unreadable = |reason| CertificateError::Unreadable { name: name.clone(), reason };
    let (chain, key) = offer.content.map_err(unreadable)?;
    let certificate = ListenerCertificate::parse(&name, &chain, &key)?;
    let ended = !certificate.is_valid(now);
    if ended && held.is_some_and(|held| held.certificate.is_valid(now)) {
        let reason = "not valid now by this machine's clock; the one in force is, and stays";
        return Err(CertificateError::Unreadable { name, reason: reason.into() });
    }
    Ok(StoredCertificate { certificate: Arc::new(certificate), digest })
}

/// Tells changes apart; it stands for a key and is shown nowhere.
fn digest_of(content: &CertificateContent) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    // Lengths first, so that what moves from one text to the other is another digest.
    match content {
        Ok((chain, key)) => {
            context.update(&chain.len().to_be_bytes());
            context.update(chain);
            context.update(key);
        }
        Err(reason) => context.update(reason.as_bytes()),
    }
    let mut bytes = [0; 32];
    bytes.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    bytes
}

#[cfg(test)]
mod tests;
