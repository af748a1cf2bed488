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
    /// The chain and the key, PEM; or why they cannot be read.
    pub content: Result<(Vec<u8>, Zeroizing<Vec<u8>>), String>,
}

/// The certificates by name. Immutable, and cheap to clone; a change makes another one, which is swapped whole.
#[derive(Debug, Clone, Default)]
pub struct CertificateStore(Arc<HashMap<Arc<str>, StoredCertificate>>);

#[derive(Debug, Clone)]
struct StoredCertificate {
    certificate: Arc<ListenerCertificate>,
    /// Of the texts that it was read from.
    digest: [u8; 32],
}

/// What a change of the sources has made.
pub struct RenewedCertificates {
    /// The certificates from now on.
    pub store: CertificateStore,
    /// What was refused, each by its name. Where the name had a certificate, it is still in `store`.
    pub refused: Vec<CertificateError>,
    /// Whether a certificate came, went or changed.
    pub changed: bool,
}

impl CertificateStore {
    /// The certificate of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<ListenerCertificate>> {
        self.0.get(name).map(|stored| &stored.certificate)
    }

    /// Every certificate, in the order of the names.
    #[must_use]
    pub fn all(&self) -> Vec<&Arc<ListenerCertificate>> {
        let mut all: Vec<_> = self.0.values().map(|stored| &stored.certificate).collect();
        all.sort_by(|one, other| one.name().cmp(other.name()));
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
        let (mut stored, mut refused) = (HashMap::new(), Vec::new());
        for offer in offered {
            let held = self.0.get(&offer.name);
            let name = offer.name.clone();
            let taken = take(offer, held, now).unwrap_or_else(|error| {
                refused.push(error);
                held.cloned()
            });
            match taken {
                Some(taken) => drop(stored.insert(name, taken)),
                None => drop(stored.remove(&name)),
            }
        }
        let changed = stored.len() != self.0.len()
            || stored.iter().any(|(name, stored)| !self.has(name, stored));
        RenewedCertificates { store: Self(Arc::new(stored)), refused, changed }
    }

    fn has(&self, name: &str, stored: &StoredCertificate) -> bool {
        self.get(name).is_some_and(|held| Arc::ptr_eq(held, &stored.certificate))
    }
}

fn take(
    offer: OfferedCertificate,
    held: Option<&StoredCertificate>,
    now: u64,
) -> Result<Option<StoredCertificate>, CertificateError> {
    let name = offer.name;
    let unreadable = |reason| CertificateError::Unreadable { name: name.clone(), reason };
    let (chain, key) = offer.content.map_err(unreadable)?;
    let digest = digest_of(&chain, &key);
    if let Some(held) = held.filter(|held| held.digest == digest) {
        return Ok(Some(held.clone()));
    }
    let certificate = ListenerCertificate::parse(&name, &chain, &key)?;
    let ended = !certificate.is_valid(now);
    if ended && held.is_some_and(|held| held.certificate.is_valid(now)) {
        let reason = "not valid now by this machine's clock; the one in force is, and stays";
        return Err(CertificateError::Unreadable { name, reason: reason.into() });
    }
    Ok(Some(StoredCertificate { certificate: Arc::new(certificate), digest }))
}

/// Tells changes apart; it stands for a key and is shown nowhere.
fn digest_of(chain: &[u8], key: &[u8]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    // Lengths first, so that what moves from one text to the other is another digest.
    context.update(&chain.len().to_be_bytes());
    context.update(chain);
    context.update(key);
    let mut bytes = [0; 32];
    bytes.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    bytes
}

#[cfg(test)]
mod tests;
