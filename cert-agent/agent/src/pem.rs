//! The PEM form of certificates and keys.

use zeroize::Zeroizing;

/// One block (RFC 7468 §2): lines of 64 characters. It may hold a key, so its buffer is wiped.
#[must_use]
pub fn block(label: &str, der: &[u8]) -> Zeroizing<String> {
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
    ders.into_iter().map(|der| block("CERTIFICATE", der).to_string()).collect()
}
