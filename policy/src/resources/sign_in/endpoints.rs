//! The paths of a gateway's own, and where browsers may go after a logout.

use super::jwt_rule;
use crate::sign_in::SignInPaths;
use crate::yaml::{DiagnosticCode, YamlMapping, YamlReader, YamlValue};
use crate::{CanonicalPath, PathNormalization};

const DEFAULT_REDIRECT: &str = "/.postern/callback";
const DEFAULT_LOGOUT: &str = "/.postern/logout";
/// The longest path, in bytes.
const MAX_PATH: usize = 256;
/// The most addresses after a logout.
const MAX_REDIRECT_URIS: usize = 16;

pub(super) fn read(reader: &mut YamlReader, map: &mut YamlMapping<'_>) -> Option<SignInPaths> {
    let written = ["redirectPath", "logoutPath", "backChannelLogoutPath"].map(|key| map.take(key));
    let [redirect, logout, back_channel] = written.map(|value| {
        value.map(|value| reader.parsed(value, "a path of the gateway's own", own_path))
    });
    let paths = SignInPaths {
        redirect: redirect.unwrap_or_else(|| Some(DEFAULT_REDIRECT.into()))?,
        logout: logout.unwrap_or_else(|| Some(DEFAULT_LOGOUT.into()))?,
        back_channel_logout: back_channel.map_or(Some(None), |path| path.map(Some))?,
    };
    refuse_shared(reader, &paths, written.into_iter().flatten().next_back());
    Some(paths)
}

/// What is asked at a path must not depend on which of two is looked at first.
fn refuse_shared(reader: &mut YamlReader, paths: &SignInPaths, written: Option<YamlValue<'_>>) {
    let SignInPaths { redirect, logout, back_channel_logout } = paths;
    let back_channel = back_channel_logout.as_ref();
    let shared = redirect == logout || [redirect, logout].map(Some).contains(&back_channel);
    if let Some(value) = written.filter(|_| shared) {
        let code = DiagnosticCode::Repeated;
        let expected = "another path for each of redirectPath, logoutPath, backChannelLogoutPath";
        reader.report_value_with_code(code, value, expected, None);
    }
}

/// A path that has one spelling: the canonical one, without escapes.
fn own_path(text: &str) -> Result<Box<str>, &'static str> {
    const FORM: &str = "letters, digits, '-', '.', '_', '~' and '/', at most 256, beginning with '/', such as /.postern/callback";
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/".contains(&b);
    if text.len() > MAX_PATH || !text.bytes().all(plain) {
        return Err(FORM);
    }
    let path = CanonicalPath::parse(text, PathNormalization::MergeSlashes).map_err(|_| FORM)?;
    match path.is_rewritten() || text.ends_with('/') {
        true => Err("write it without '.', '..' and empty segments, and without '/' at the end"),
        false => Ok(text.into()),
    }
}

pub(super) fn read_redirect_uris(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
) -> Option<Vec<Box<str>>> {
    if value.is_empty_list() {
        return Some(Vec::new());
    }
    let read = |text: &str| jwt_rule::https(text).map(|()| Box::from(text));
    let uris = super::patterns(reader, value, MAX_REDIRECT_URIS, "an https address", read)?;
    super::refuse_twice(reader, value, &uris);
    Some(uris)
}
