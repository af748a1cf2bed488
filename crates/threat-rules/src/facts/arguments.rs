//! Arguments of a query and of a form.

use std::borrow::Cow;

use super::{MOST_VALUES, split_once};

/// Hands over name and value of each argument, decoded, duplicates and all. An argument without `=` is a name without
/// a value. What lies beyond [`MOST_VALUES`] is one argument without a name, so that it is looked at, too; `false` then.
pub(super) fn of_form<'a>(
    text: &'a [u8],
    mut found: impl FnMut(Cow<'a, [u8]>, Cow<'a, [u8]>),
) -> bool {
    let (mut rest, mut many) = (text, 0);
    while many < MOST_VALUES {
        let (pair, after) = split_once(rest, b'&');
        if !pair.is_empty() {
            many += 1;
            let (name, value) = split_once(pair, b'=');
            found(percent_decoded(name), percent_decoded(value.unwrap_or_default()));
        }
        let Some(after) = after else { return true };
        rest = after;
    }
    if rest.iter().all(|byte| *byte == b'&') {
        return true;
    }
    found(Cow::Borrowed(b""), percent_decoded(rest));
    false
}

/// Percent-encoding and `+` undone, as an application does it.
fn percent_decoded(text: &[u8]) -> Cow<'_, [u8]> {
    let decode = crate::transform::by_name("urldecode");
    decode.and_then(|decode| decode(text)).map_or(Cow::Borrowed(text), Cow::Owned)
}
