//! Transformations: what a rule undoes before it looks, so that an encoding hides nothing.
//!
//! Each takes bytes and answers with new ones, or with `None` where there is nothing to change, which is the usual case
//! and costs no memory.

mod decode;
mod escapes;
mod shape;

pub(crate) use decode::path as decoded_path;

/// One transformation.
pub(crate) type Transform = fn(&[u8]) -> Option<Vec<u8>>;

/// The transformation of a name of SecLang (`t:urlDecodeUni`), in any case; `None` where there is no such one, or none
/// that is supported.
pub(crate) fn by_name(name: &str) -> Option<Transform> {
    Some(match name.to_ascii_lowercase().as_str() {
        "urldecode" => decode::url,
        "urldecodeuni" => decode::url_unicode,
        "htmlentitydecode" => escapes::html_entities,
        "jsdecode" => escapes::javascript,
        "cssdecode" => escapes::css,
        "escapeseqdecode" => escapes::c_sequences,
        "base64decode" | "base64decodeext" => decode::base64,
        "base64encode" => decode::base64_encode,
        "hexdecode" => decode::hex,
        "hexencode" => decode::hex_encode,
        "sqlhexdecode" => decode::sql_hex,
        "utf8tounicode" => decode::utf8_to_escapes,
        "lowercase" => shape::lowercase,
        "uppercase" => shape::uppercase,
        "removenulls" => shape::remove_nulls,
        "replacenulls" => shape::replace_nulls,
        "removewhitespace" => shape::remove_whitespace,
        "compresswhitespace" => shape::compress_whitespace,
        "trim" => shape::trim,
        "trimleft" => shape::trim_left,
        "trimright" => shape::trim_right,
        "replacecomments" => shape::replace_comments,
        "removecomments" => shape::remove_comments,
        "removecommentschar" => shape::remove_comment_marks,
        "cmdline" => shape::command_line,
        "normalizepath" | "normalisepath" => shape::path,
        "normalizepathwin" | "normalisepathwin" => shape::path_of_windows,
        "length" => shape::length,
        "sha1" => shape::sha1,
        "sha256" => shape::sha256,
        _ => return None,
    })
}

/// The bytes, or nothing where they are those that came in.
fn changed(from: &[u8], to: Vec<u8>) -> Option<Vec<u8>> {
    (from != to).then_some(to)
}

/// The value of two hexadecimal digits.
fn hex_byte(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

/// The value of hexadecimal digits; no more than eight.
fn hex_number(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    digits.iter().try_fold(0_u32, |value, byte| Some(value << 4 | (*byte as char).to_digit(16)?))
}

/// A character in one byte, as applications fold it: full-width forms (U+FF01 to U+FF5E) are their ASCII, anything else
/// above 255 its low byte.
fn narrowed(code: u32) -> u8 {
    let code = if (0xff01..=0xff5e).contains(&code) { code - 0xfee0 } else { code };
    u8::try_from(code & 0xff).unwrap_or(b'?')
}

#[cfg(test)]
mod tests;
