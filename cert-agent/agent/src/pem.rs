//! The PEM form of certificates and keys.
//!
//! Certificates are written by the crate `pem`. Keys are written here: that crate's buffers are left in memory as they
//! are, and a private key is wiped from every buffer that held it.

use pem::{EncodeConfig, LineEnding, Pem};
use zeroize::Zeroizing;

/// One block of a secret (RFC 7468 §2): lines of 64 characters, in a buffer that is wiped.
#[must_use]
pub fn secret_block(label: &str, der: &[u8]) -> Zeroizing<String> {
    use base64::Engine as _;
    let text = Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(der));
    // Never grown while it is filled: a grown buffer leaves its old self behind.
    let mut pem = Zeroizing::new(String::with_capacity(text.len() + text.len() / 32 + 96));
    for part in ["-----BEGIN ", label, "-----\n"] {
        pem.push_str(part);
    }
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    for part in ["-----END ", label, "-----\n"] {
        pem.push_str(part);
    }
    pem
}

/// Certificates, one block after the other.
pub fn certificates<'a>(ders: impl IntoIterator<Item = &'a [u8]>) -> String {
    let lines = EncodeConfig::new().set_line_ending(LineEnding::LF);
    ders.into_iter().map(|der| pem::encode_config(&Pem::new("CERTIFICATE", der), lines)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Readers of two blocks see no difference between the two writers.
    #[test]
    fn both_writers_write_the_same_form() {
        for length in [0, 1, 47, 48, 49, 96, 1000] {
            let der = vec![0xa5; length];
            let by_crate = certificates([&*der]);
            assert_eq!(*secret_block("CERTIFICATE", &der), by_crate, "{length}");
            assert_eq!(certificates([&*der, &*der]), by_crate.repeat(2), "{length}");
        }
    }
}
