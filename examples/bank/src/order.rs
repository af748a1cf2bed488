//! Money that is to go from one account to another, and when two people are needed for it.

use serde::Deserialize;

/// The largest amount of one order, in cents: ten million.
pub const MOST_CENTS: i64 = 1_000_000_000;
/// More cents than this need a second person.
pub const ALONE_CENTS: i64 = 100_000;
/// The longest text of an order, in bytes.
const MOST_TEXT: usize = 140;

/// Money from one account to another.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// The account that pays.
    pub from: i64,
    /// The account that is paid.
    pub to: i64,
    /// How much, in cents.
    pub cents: i64,
    /// What for.
    pub text: String,
}

impl Order {
    /// What is wrong with it, in words; none when nothing is.
    #[must_use]
    pub fn mistake(&self) -> Option<&'static str> {
        if !(1..=MOST_CENTS).contains(&self.cents) {
            return Some("an amount is 1 to 1000000000 cents");
        }
        if self.from == self.to {
            return Some("these are one account");
        }
        (self.text.len() > MOST_TEXT).then_some("a text has at most 140 bytes")
    }

    /// Whether one person alone may have it carried out.
    #[must_use]
    pub fn needs_second_person(&self) -> bool {
        self.cents > ALONE_CENTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders() {
        for (cents, to, fine, second) in [
            (1, 2, true, false),
            (ALONE_CENTS, 2, true, false),
            (ALONE_CENTS + 1, 2, true, true),
            (MOST_CENTS, 2, true, true),
            (MOST_CENTS + 1, 2, false, true),
            (0, 2, false, false),
            (-5, 2, false, false),
            (5, 1, false, false),
        ] {
            let order = Order { from: 1, to, cents, text: String::new() };
            assert_eq!(order.mistake().is_none(), fine, "{cents} to {to}");
            assert_eq!(order.needs_second_person(), second, "{cents}");
        }
        let text = "x".repeat(141);
        assert!(Order { from: 1, to: 2, cents: 1, text }.mistake().is_some());
    }
}
