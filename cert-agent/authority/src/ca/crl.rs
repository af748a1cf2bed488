//! Revocation lists (RFC 5280 §5): each replica signs one for every intermediate that may have live
//! leaves, and serves them with the bundle.
//!
//! A revoked serial number is on every list: serial numbers are 127 random bits, and the record may
//! not know the issuer. A list that cannot be made leaves the last good ones in place.

use std::fs;
use std::io;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use data_encoding::HEXLOWER_PERMISSIVE;
use parking_lot::Mutex;
use rcgen::{
    CertificateRevocationListParams, Issuer, KeyIdMethod, KeyPair, RevocationReason,
    RevokedCertParams, SerialNumber,
};
use rustls_pki_types::CertificateRevocationListDer;

use crate::ca::signers::{self, SigningCa};
use crate::store::directory::AuthorityDirectory;
use crate::store::live_value::LiveValue;
use crate::store::revocations::{self, RevokedCertificate};
use crate::store::{Store, files, pem};

/// A list is good for this long, seconds: longer than any outage of the authority that a mesh
/// survives.
const GOOD_FOR: u64 = 7 * 86_400;
/// A list is signed anew this often, seconds, when nothing changes.
const REFRESHED: u64 = 3600;
/// The revocations are read whole at least this often, seconds.
const READ_ANYWAY: u64 = 60;
/// A former intermediate's key is kept as long as a leaf of it can live, and an hour more.
const FORMER: Duration = Duration::from_secs(25 * 3600);

/// The lists of this replica.
#[derive(Debug, Default)]
pub struct RevocationListSigner {
    served: LiveValue<ServedLists>,
    seen: Mutex<SignedInputs>,
}

#[derive(Debug, Default)]
struct ServedLists {
    number: u64,
    lists: Vec<CertificateRevocationListDer<'static>>,
}

#[derive(Debug, Default)]
struct SignedInputs {
    generation: Option<u64>,
    read: u64,
    signed: u64,
    revoked: Vec<RevokedCertificate>,
    signer: Vec<u8>,
}

impl RevocationListSigner {
    /// The lists to publish, DER, one an intermediate.
    #[must_use]
    pub fn crls(&self) -> Vec<CertificateRevocationListDer<'static>> {
        self.served.now().lists.clone()
    }

    /// Their number (RFC 5280 §5.2.3); 0 before the first.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.served.now().number
    }

    /// Looks whether something changed, and signs the lists anew if so, or if they are an hour old.
    /// `complete` may add revocations; see [`revocations::complete`].
    ///
    /// # Errors
    /// The store's, an entry that cannot be read, or the signature; what is served stays.
    pub fn refresh(
        &self,
        ca: &SigningCa,
        directory: &AuthorityDirectory,
        store: &dyn Store,
        now: u64,
        complete: impl Fn(&[RevokedCertificate]) -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let mut seen = self.seen.lock();
        let generation = revocations::generation(store)?;
        let read_at = seen.read..seen.read.saturating_add(READ_ANYWAY);
        if seen.generation != Some(generation) || !read_at.contains(&now) {
            let mut revoked = revocations::list(store, now)?;
            if complete(&revoked)? {
                revoked = revocations::list(store, now)?;
            }
            seen.read = now;
            if revoked != seen.revoked {
                (seen.revoked, seen.signed) = (revoked, 0);
            }
            seen.generation = Some(generation);
        }
        let fresh = (seen.signed..seen.signed.saturating_add(REFRESHED)).contains(&now);
        if fresh && seen.signer == ca.certificate().as_ref() {
            return Ok(());
        }
        let number = now.max(self.number().saturating_add(1));
        let lists = sign_all(ca, directory, &seen.revoked, number, now)?;
        (seen.signed, seen.signer) = (now, ca.certificate().to_vec());
        tracing::info!(
            number,
            revoked = seen.revoked.len(),
            lists = lists.len(),
            "signed revocation lists"
        );
        self.served.set(ServedLists { number, lists });
        Ok(())
    }
}

fn sign_all(
    ca: &SigningCa,
    directory: &AuthorityDirectory,
    revoked: &[RevokedCertificate],
    number: u64,
    now: u64,
) -> anyhow::Result<Vec<CertificateRevocationListDer<'static>>> {
    let params = params(revoked, number, now)?;
    let mut lists = Vec::new();
    match params.signed_by(ca.issuer()) {
        Ok(list) => lists.push(list.into()),
        Err(rcgen::Error::IssuerNotCrlSigner) => {
            tracing::warn!(
                "the intermediate may not sign revocation lists (no cRLSign); `revoke` has no effect"
            );
        }
        Err(error) => return Err(error).context("cannot sign the revocation list"),
    }
    for issuer in former(directory)? {
        match params.signed_by(&issuer) {
            Ok(list) => lists.push(list.into()),
            Err(error) => tracing::warn!(%error, "no revocation list of a former intermediate"),
        }
    }
    Ok(lists)
}

fn params(
    revoked: &[RevokedCertificate],
    number: u64,
    now: u64,
) -> anyhow::Result<CertificateRevocationListParams> {
    let revoked_certs = revoked.iter().map(revoked_params).collect::<anyhow::Result<_>>()?;
    Ok(CertificateRevocationListParams {
        this_update: signers::date(now.saturating_sub(signers::BACK_DATED))?,
        next_update: signers::date(now.saturating_add(GOOD_FOR))?,
        crl_number: SerialNumber::from(number),
        issuing_distribution_point: None,
        revoked_certs,
        key_identifier_method: KeyIdMethod::Sha256,
    })
}

fn revoked_params(revoked: &RevokedCertificate) -> anyhow::Result<RevokedCertParams> {
    let bytes = HEXLOWER_PERMISSIVE
        .decode(revoked.serial.as_bytes())
        .with_context(|| format!("the revoked serial number {}", revoked.serial))?;
    Ok(RevokedCertParams {
        serial_number: SerialNumber::from_slice(&bytes),
        revocation_time: signers::date(revoked.revoked)?,
        reason_code: Some(RevocationReason::KeyCompromise),
        invalidity_date: None,
    })
}

/// The intermediates that were replaced and whose leaves may live. One that cannot be read is
/// reported and passed over: the current one's list matters more.
fn former(directory: &AuthorityDirectory) -> anyhow::Result<Vec<Issuer<'static, KeyPair>>> {
    let entries = match fs::read_dir(directory.former()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).context("the former intermediates"),
    };
    let mut issuers = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(id) = name.strip_suffix(".pem").filter(|id| !id.contains('.')) else { continue };
        let key = directory.former().join(format!("{id}.key.pem"));
        let issuer = pem::private_key(&key).and_then(|key| {
            let certificate = signers::read_certificate(&path)?;
            signers::SignerFacts::read(&certificate)?.check_key("former intermediate", &key)?;
            Ok(Issuer::from_ca_cert_der(&certificate, key)?)
        });
        match issuer {
            Ok(issuer) => issuers.push(issuer),
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "a former intermediate is unusable");
            }
        }
    }
    Ok(issuers)
}

/// Keeps a copy of the intermediate that is about to be replaced. The key first: a certificate
/// without key is never found.
///
/// # Errors
/// The disk.
pub fn keep_former(directory: &AuthorityDirectory) -> anyhow::Result<()> {
    let Ok(certificate) = signers::read_certificate(&directory.intermediate_certificate()) else {
        return Ok(());
    };
    files::private_directory(&directory.former())?;
    let id = signers::root_id(&certificate);
    let key = zeroize::Zeroizing::new(files::read(&directory.intermediate_key())?);
    let at = |name: String| directory.former().join(name);
    files::replace(&at(format!("{id}.key.pem")), &key, files::OWNER_ONLY)?;
    let certificate = files::read(&directory.intermediate_certificate())?;
    files::replace(&at(format!("{id}.pem")), &certificate, files::READABLE)?;
    Ok(())
}

/// Removes the former intermediates of which no leaf can live any more.
///
/// # Errors
/// The disk.
pub fn remove_former(directory: &AuthorityDirectory, now: SystemTime) -> io::Result<()> {
    let entries = match fs::read_dir(directory.former()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let kept = now.duration_since(entry.metadata()?.modified()?).unwrap_or_default();
        if kept > FORMER {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
