//! Copies of requests (`RequestMirror`).

use std::fmt;

use super::Backend;

/// Where copies go, and how many.
///
/// A copy goes to the Service as it is: no route of that Service is asked, and it is never copied again, so that mirrors
/// that name each other make no loop. Its answer is thrown away.
#[derive(Debug, Clone, PartialEq)]
pub struct Mirror {
    /// Where the copy goes; nowhere, when [`Backend::invalid`].
    pub backend: Backend,
    /// The part of requests that is copied. Default: all.
    pub fraction: Fraction,
}

/// A part of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fraction {
    numerator: u32,
    /// Never 0.
    denominator: u32,
}

impl Fraction {
    /// All of them.
    pub const ALL: Self = Self { numerator: 1, denominator: 1 };

    /// `numerator` of `denominator`; `None` for a part of nothing and for more than all.
    pub fn new(numerator: u32, denominator: u32) -> Option<Self> {
        let is_part = denominator > 0 && numerator <= denominator;
        is_part.then_some(Self { numerator, denominator })
    }

    /// Whether one request belongs to the part. `random` is uniform over all of `u64`.
    pub fn takes(self, random: u64) -> bool {
        let product = u128::from(random) * u128::from(self.denominator);
        (product >> 64) < u128::from(self.numerator)
    }
}

impl fmt::Display for Fraction {
    /// `5/100`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.numerator, self.denominator)
    }
}

impl Mirror {
    /// Whether a copy of one request is sent. `random` is uniform over all of `u64`, and another one for each mirror.
    pub fn takes(&self, random: u64) -> bool {
        self.backend.invalid.is_none() && self.fraction.takes(random)
    }
}
