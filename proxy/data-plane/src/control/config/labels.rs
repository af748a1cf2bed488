//! A pod's labels as the downward API writes them into a file: `key="value"` lines, sorted, the
//! value quoted as Go does
//! (<https://kubernetes.io/docs/concepts/workloads/pods/downward-api/>). A label's value holds
//! letters, digits, `-`, `_` and `.` alone, so there is never anything to unescape.

use std::collections::BTreeMap;

/// Reads the file.
///
/// # Errors
/// The number of the first line in another format.
pub(crate) fn parse(bytes: &[u8]) -> Result<BTreeMap<String, String>, u32> {
    let mut labels = BTreeMap::new();
    for (number, line) in (1u32..).zip(bytes.split(|b| *b == b'\n')) {
        if line.is_empty() {
            continue;
        }
        let (key, value) = std::str::from_utf8(line).ok().and_then(label).ok_or(number)?;
        labels.insert(key.to_owned(), value.to_owned());
    }
    Ok(labels)
}

fn label(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once('=')?;
    let value = value.strip_prefix('"')?.strip_suffix('"')?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let of_key = |b: u8| plain(b) || b == b'/';
    let good = !key.is_empty() && key.bytes().all(of_key) && value.bytes().all(plain);
    good.then_some((key, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_the_downward_api() {
        let check = |text: &str, expect: Result<&[(&str, &str)], u32>| {
            let expect = expect.map(|pairs| {
                pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
            });
            assert_eq!(parse(text.as_bytes()), expect, "{text:?}");
        };
        check("", Ok(&[]));
        check("app=\"cart\"", Ok(&[("app", "cart")]));
        check(
            "app=\"cart\"\nexample.test/tier=\"\"\n",
            Ok(&[("app", "cart"), ("example.test/tier", "")]),
        );
        check("app=\"cart\"\napp", Err(2));
        check("app=cart", Err(1));
        check("app=\"a\\\"b\"", Err(1));
        check("=\"a\"", Err(1));
    }
}
