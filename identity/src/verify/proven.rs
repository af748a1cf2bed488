//! The chains that were proved good in the current second.

use std::sync::Mutex;

use rustls_pki_types::{CertificateDer, UnixTime};

use super::{HandshakeSide, VerifyError, verify_peer};
use crate::{SpiffeId, TrustBundles};

/// Chains that are remembered at once; of further ones nothing is.
const MOST: usize = 64;

/// What a verifier has proved in the current second, by the bytes of the certificates. Its bundles, and the revocation
/// lists in them, never change, and nothing about a certificate's time changes within a second: the same chain would
/// be judged the same. A refusal is not remembered.
#[derive(Debug, Default)]
pub(super) struct ProvenChains(Mutex<ProvenNow>);

#[derive(Debug, Default)]
struct ProvenNow {
    /// Unix seconds.
    second: u64,
    chains: Vec<ProvenChain>,
}

#[derive(Debug)]
struct ProvenChain {
    /// Leaf first, DER.
    certificates: Vec<CertificateDer<'static>>,
    id: SpiffeId,
}

impl ProvenChains {
    /// As [`verify_peer`], always with the same bundles and side.
    ///
    /// # Errors
    /// Those of [`verify_peer`].
    pub(super) fn verify(
        &self,
        bundles: &TrustBundles,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        side: HandshakeSide,
    ) -> Result<SpiffeId, VerifyError> {
        if let Some(id) = self.find(leaf, intermediates, now.as_secs()) {
            return Ok(id);
        }
        let id = verify_peer(bundles, leaf, intermediates, now, side)?;
        self.keep(leaf, intermediates, now.as_secs(), &id);
        Ok(id)
    }

    fn find(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        second: u64,
    ) -> Option<SpiffeId> {
        // A thread that panicked while it held the lock leaves nothing to be trusted.
        let proven = self.0.lock().ok()?;
        if proven.second != second {
            return None;
        }
        proven
            .chains
            .iter()
            .find(|chain| chain.is(leaf, intermediates))
            .map(|chain| chain.id.clone())
    }

    fn keep(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        second: u64,
        id: &SpiffeId,
    ) {
        let Ok(mut proven) = self.0.lock() else { return };
        if proven.second != second {
            *proven = ProvenNow { second, chains: Vec::new() };
        }
        if proven.chains.len() < MOST {
            let all = std::iter::once(leaf).chain(intermediates);
            let certificates = all.map(|der| der.clone().into_owned()).collect();
            proven.chains.push(ProvenChain { certificates, id: id.clone() });
        }
    }
}

impl ProvenChain {
    fn is(&self, leaf: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>]) -> bool {
        let shown = std::iter::once(leaf).chain(intermediates);
        self.certificates.len() == intermediates.len() + 1
            && self
                .certificates
                .iter()
                .zip(shown)
                .all(|(known, der)| known.as_ref() == der.as_ref())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_remembered_for_its_second() {
        let id = SpiffeId::parse("spiffe://cluster.local/ns/shop/sa/cart").unwrap();
        let der = |byte: u8| CertificateDer::from(vec![byte; 4]);
        let (leaf, chain) = (der(0), [der(1), der(2)]);
        let proven = ProvenChains::default();
        assert_eq!(proven.find(&leaf, &chain, 0), None);
        proven.keep(&leaf, &chain, 7, &id);
        assert_eq!(proven.find(&leaf, &chain, 7), Some(id.clone()));
        for (name, leaf, chain, second) in [
            ("the second after", &leaf, &chain[..], 8),
            ("the second before", &leaf, &chain[..], 6),
            ("another leaf", &der(3), &chain[..], 7),
            ("fewer", &leaf, &chain[..1], 7),
            ("none", &leaf, &[], 7),
            ("another order", &leaf, &[der(2), der(1)], 7),
            ("more", &leaf, &[der(1), der(2), der(2)], 7),
        ] {
            assert_eq!(proven.find(leaf, chain, second), None, "{name}");
        }
        (0..200).for_each(|byte| proven.keep(&der(byte), &[], 8, &id));
        assert_eq!(proven.find(&leaf, &chain, 7), None, "another second has begun");
        let kept = (0..200).filter(|byte| proven.find(&der(*byte), &[], 8).is_some()).count();
        assert_eq!(kept, MOST);
    }
}
