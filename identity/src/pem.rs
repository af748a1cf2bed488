//! What is wrong with a PEM text (RFC 7468), in words: the parser shows lines as lists of numbers.

use rustls_pki_types::pem::Error;

/// Why a PEM text cannot be read, for a log. Nothing of what stands between the lines of a block is shown.
#[must_use]
pub fn damage(error: &Error) -> String {
    match error {
        Error::MissingSectionEnd { end_marker } => {
            let end = String::from_utf8_lossy(end_marker);
            format!("a block has no `{}` line: the text is cut short", end.trim().escape_debug())
        }
        Error::IllegalSectionStart { .. } => {
            "a line begins with `-----BEGIN` and does not end with `-----`".to_owned()
        }
        Error::Base64Decode(_) => {
            "a block holds something else than base64: it is damaged".to_owned()
        }
        Error::NoItemsFound => "it holds no block of that kind".to_owned(),
        Error::SectionTooLarge => "a block is too large".to_owned(),
        Error::Io(error) => error.to_string(),
        _ => "it cannot be read".to_owned(),
    }
}
