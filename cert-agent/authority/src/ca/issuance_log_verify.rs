//! `postern-authority log verify`: whether an issuance log is whole, and the first line that is not.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm};
use serde::Serialize;
use serde_json::Value;

use crate::ca::issuance_log::{BEGINNING, SEALED, next};
use crate::ca::signers;

/// A longer line is not ours, bytes.
const MAX_LINE: u64 = 256 * 1024;
/// What an intermediate's key may sign with.
const ALGORITHMS: [&dyn SignatureVerificationAlgorithm; 4] = [
    webpki::aws_lc_rs::ECDSA_P256_SHA256,
    webpki::aws_lc_rs::ECDSA_P384_SHA384,
    webpki::aws_lc_rs::ED25519,
    webpki::aws_lc_rs::RSA_PKCS1_2048_8192_SHA256,
];

/// A log that is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifiedLog {
    /// Certificates in it.
    pub issued: u64,
    /// Lines that the replica could not write, by its own word.
    pub lost: u64,
    /// Lines after the last seal: what a running replica has not sealed yet, or a killed one never
    /// did. Only the chain holds them.
    pub unsealed: u64,
    /// The chain value that the first line follows: the last one of the file before.
    pub previous: String,
    /// The last chain value.
    pub last: String,
}

/// Reads a file to its end. `roots` are those that the seals' signers must chain to.
///
/// # Errors
/// The number of the first line that is not right, and why.
pub fn verify(path: &Path, roots: &[CertificateDer<'static>]) -> anyhow::Result<VerifiedLog> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let mut reader = BufReader::new(file);
    let mut state = VerifierState {
        chain: String::new(),
        signer: None,
        verified: VerifiedLog {
            issued: 0,
            lost: 0,
            unsealed: 0,
            previous: BEGINNING.to_owned(),
            last: String::new(),
        },
    };
    for number in 1.. {
        let mut line = String::new();
        let read = reader.by_ref().take(MAX_LINE).read_line(&mut line);
        let at = || format!("{}: line {number} is broken", path.display());
        if read.with_context(at)? == 0 {
            break;
        }
        state.line(&line, roots).with_context(at)?;
    }
    state.verified.last = state.chain;
    Ok(state.verified)
}

struct VerifierState {
    chain: String,
    signer: Option<CertificateDer<'static>>,
    verified: VerifiedLog,
}

impl VerifierState {
    fn line(&mut self, line: &str, roots: &[CertificateDer<'static>]) -> anyhow::Result<()> {
        let line = line.strip_suffix('\n').context("it does not end; was it cut off?")?;
        let (chain, entry) = split(line).context("it is no line of an issuance log")?;
        let value: Value = serde_json::from_str(entry).context("its entry is no JSON")?;
        if self.chain.is_empty() {
            let previous = value["begin"]["previous"].as_str();
            previous.context("the file's beginning is missing")?.clone_into(&mut self.chain);
            self.verified.previous.clone_from(&self.chain);
        }
        if next(&self.chain, entry) != chain {
            bail!(
                "it does not follow the line before: one of them was changed, or lines between are missing"
            );
        }
        self.entry(&value, roots)?;
        chain.clone_into(&mut self.chain);
        Ok(())
    }

    fn entry(&mut self, value: &Value, roots: &[CertificateDer<'static>]) -> anyhow::Result<()> {
        if value.get("issued").is_some() {
            self.verified.issued += 1;
            self.verified.unsealed += 1;
        } else if let Some(lost) = value.get("lost") {
            self.verified.lost += lost["lines"].as_u64().context("`lost` without a number")?;
        } else if let Some(signer) = value.get("signer") {
            self.signer = Some(signer_of(&signer["certificates"], roots)?);
        } else if let Some(seal) = value.get("seal") {
            self.check_seal(seal["signature"].as_str().context("`seal` without a signature")?)?;
            self.verified.unsealed = 0;
        } else if value.get("begin").is_none() {
            bail!("its entry is of no kind that we write");
        }
        Ok(())
    }

    fn check_seal(&self, signature: &str) -> anyhow::Result<()> {
        let signer = self.signer.as_ref().context("a seal before its signer")?;
        let signature = STANDARD.decode(signature).context("the seal is no base64")?;
        let message = [SEALED, self.chain.as_bytes()].concat();
        let certificate = webpki::EndEntityCert::try_from(signer).context("the seal's signer")?;
        let good = ALGORITHMS
            .iter()
            .any(|with| certificate.verify_signature(*with, &message, &signature).is_ok());
        if !good {
            bail!("the seal is not by the signer's key");
        }
        Ok(())
    }
}

/// The chain value and the entry's text.
fn split(line: &str) -> Option<(&str, &str)> {
    let rest = line.strip_prefix("{\"chain\":\"")?;
    let (chain, rest) = rest.split_at_checked(64)?;
    Some((chain, rest.strip_prefix("\",\"entry\":")?.strip_suffix('}')?))
}

/// The signer's certificate, when it (or the last of those above it) is signed by a root.
fn signer_of(
    certificates: &Value,
    roots: &[CertificateDer<'static>],
) -> anyhow::Result<CertificateDer<'static>> {
    let mut chain = Vec::new();
    for certificate in certificates.as_array().context("`signer` without certificates")? {
        let der = STANDARD.decode(certificate.as_str().unwrap_or_default());
        chain.push(CertificateDer::from(der.context("the signer's certificate is no base64")?));
    }
    for pair in chain.windows(2) {
        if !signers::is_signed_by(&pair[0], &pair[1])? {
            bail!("the signer's certificates do not follow each other");
        }
    }
    let last = chain.last().context("`signer` without certificates")?;
    for root in roots {
        if signers::is_signed_by(last, root)? {
            return Ok(chain.swap_remove(0));
        }
    }
    bail!("the signer chains to none of the roots given; a retired root is given with --root FILE")
}
