//! Patterns in the spelling that policies write, for answers to "why".

use std::fmt::{self, Display};

use super::{
    AccountPattern, AddressPattern, FieldPatterns, HostPattern, IdPattern, TextPattern,
    TokenPattern,
};

/// The most values of a field that an answer lists.
const MOST_VALUES: usize = 4;

impl Display for TextPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Present => f.write_str("*"),
            Self::Exact(text) => f.write_str(text),
            Self::Prefix(text) => write!(f, "{text}*"),
            Self::Suffix(text) => write!(f, "*{text}"),
        }
    }
}

impl Display for IdPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Exact(id) => f.write_str(id.without_scheme()),
            Self::Prefix { trust_domain, path } => write!(f, "{trust_domain}{path}*"),
            Self::Suffix(suffix) => write!(f, "*{suffix}"),
        }
    }
}

impl Display for AccountPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl Display for AddressPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.block().fmt(f)
    }
}

impl Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)?;
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

impl Display for TokenPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |part: &Option<TextPattern>| match part {
            Some(text) => text.to_string(),
            None => "*".to_owned(),
        };
        write!(f, "{}/{}", part(&self.issuer), part(&self.subject))
    }
}

/// `GET or POST`, `anything but /admin`: what a field wants.
impl<T: Display> Display for FieldPatterns<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&*self.any_of, &*self.none_of) {
            ([], []) => f.write_str("anything"),
            (any, []) => list(f, any),
            ([], none) => {
                f.write_str("anything but ")?;
                list(f, none)
            }
            (any, none) => {
                list(f, any)?;
                f.write_str(", but not ")?;
                list(f, none)
            }
        }
    }
}

fn list<T: Display>(f: &mut fmt::Formatter<'_>, values: &[T]) -> fmt::Result {
    for (at, value) in values.iter().take(MOST_VALUES).enumerate() {
        if at > 0 {
            f.write_str(" or ")?;
        }
        value.fmt(f)?;
    }
    match values.len().checked_sub(MOST_VALUES) {
        None | Some(0) => Ok(()),
        Some(more) => write!(f, " or {more} more"),
    }
}
