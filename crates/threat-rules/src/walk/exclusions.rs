//! What a policy says that rules do not look at.

use zentinel_modsec::parser::VariableName;

use crate::request::RuleExclusion;

/// The exclusions that are for one request's path.
#[derive(Default)]
pub(super) struct Exclusions<'r>(Vec<&'r RuleExclusion>);

impl<'r> Exclusions<'r> {
    pub(super) fn of(all: &'r [RuleExclusion], target: &str) -> Self {
        let path = target.split('?').next().unwrap_or_default();
        Self(all.iter().filter(|one| one.paths.is_empty() || is_for(one, path)).collect())
    }

    /// Whether the whole rule is left out.
    pub(super) fn of_rule(&self, rule: u32) -> bool {
        self.0.iter().any(|one| one.rule == rule && one.arguments.is_empty())
    }

    /// Whether a rule does not look at a value of this name.
    pub(super) fn of_value(&self, rule: u32, variable: VariableName, key: &[u8]) -> bool {
        !self.0.is_empty() && is_named_by_client(variable) && {
            let short = key.strip_prefix(b"json.").unwrap_or(key);
            let mut names =
                self.0.iter().filter(|one| one.rule == rule).flat_map(|one| &one.arguments);
            names.any(|name| name.as_bytes() == key || name.as_bytes() == short)
        }
    }
}

/// Whether an exclusion is for a path. A path that is written so that it may lead elsewhere has no exclusions.
fn is_for(one: &RuleExclusion, path: &str) -> bool {
    let odd =
        ["//", "/./", "/../", "\\", ";", "%2f", "%2F", "%5c", "%5C", "%2e", "%2E", "%25", "%00"];
    let plain = !odd.iter().any(|odd| path.contains(odd))
        && !path.ends_with("/..")
        && !path.ends_with("/.");
    plain && one.paths.iter().any(|pattern| fits(pattern.as_bytes(), path.as_bytes()))
}

/// Exact, or a beginning and `*`.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.strip_suffix(b"*") {
        Some(beginning) => text.starts_with(beginning),
        None => pattern == text,
    }
}

fn is_named_by_client(variable: VariableName) -> bool {
    use VariableName as V;
    matches!(
        variable,
        V::ArgsGet
            | V::ArgsPost
            | V::ArgsGetNames
            | V::ArgsPostNames
            | V::RequestCookies
            | V::RequestCookiesNames
            | V::Files
            | V::FilesNames
            | V::MultipartPartHeaders
    )
}
