//! The promises, each a function that measures and says in one line what it found: those about certificates, and those
//! about traffic and limits.
//!
//! `make prove-certs`, `make prove-traffic` and `make prove-limits` run them in full with release programs; the quick forms are stories.

mod bulk;
mod command;
mod endings;
mod event_throughput;
mod five_thousand_routes;
mod herd;
mod issuance;
mod limits;
mod memory;
mod outage;
mod progress;
mod rollouts;
mod roots;
mod rotations;
mod stage;
mod upgrades;
mod vanished;

pub use command::run;
pub use progress::Progress;

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Some seconds: the same steps, fewer of them.
    Quick,
    /// What the promise says.
    Full,
}

/// What was measured.
#[derive(Clone, Debug)]
pub struct Finding {
    /// One line, with the figures.
    pub line: String,
    /// Whether the promise holds.
    pub good: bool,
}

/// One promise and how it is proved.
#[derive(Clone, Copy, Debug)]
pub struct Promise {
    /// Its row in the catalogue, or what it is about: what `--only` takes.
    pub name: &'static str,
    /// The promise in words.
    pub words: &'static str,
    /// Measures; panics when a step cannot be done.
    pub prove: fn(Size, &Progress) -> Finding,
}

/// Those about certificates, in the order they are proved.
pub const PROMISES: &[Promise] = &[
    Promise {
        name: "P-01",
        words: "no request fails while certificates rotate under load",
        prove: rotations::prove,
    },
    Promise {
        name: "P-02",
        words: "no request fails while the root is replaced in three steps",
        prove: roots::prove,
    },
    Promise {
        name: "P-06",
        words: "an outage of the authority for half a lifetime costs nothing; total expiry heals by itself",
        prove: outage::prove,
    },
    Promise {
        name: "issuance",
        words: "an authority signs 2,000 answers a second on two cores",
        prove: issuance::prove,
    },
    Promise { name: "memory", words: "an agent needs 8 MB", prove: memory::prove },
    Promise {
        name: "F-30",
        words: "agents that renew all together do not expire",
        prove: herd::prove,
    },
];

/// Those about traffic, in the order they are proved.
pub const TRAFFIC_PROMISES: &[Promise] = &[
    Promise {
        name: "upgrade",
        words: "no request fails and no connection is reset while the proxies of both ends are upgraded in place, again and again",
        prove: upgrades::prove,
    },
    Promise {
        name: "routes",
        words: "five thousand routes cost little, and a changed one acts within a moment",
        prove: five_thousand_routes::prove,
    },
    Promise {
        name: "events",
        words: "messages that are judged one by one keep 95 % of the throughput of opaque ones",
        prove: event_throughput::prove,
    },
    Promise {
        name: "P-04",
        words: "no request is lost while app and proxy are rolled, again and again",
        prove: rollouts::prove,
    },
    Promise {
        name: "P-05",
        words: "what is under way at SIGTERM and ends within the grace completes; the proxy ends with the grace",
        prove: endings::prove,
    },
    Promise {
        name: "F-28",
        words: "a gigabyte arrives as it was sent, and costs no memory",
        prove: bulk::prove,
    },
    Promise {
        name: "F-15",
        words: "a side that is gone without a word is noticed within 30 s",
        prove: vanished::prove,
    },
];

/// Those about limits of callers, in the order they are proved.
pub const LIMIT_PROMISES: &[Promise] = &[
    Promise {
        name: "sharing",
        words: "two proxies that count in one Redis admit what the limit says, within 1 %",
        prove: limits::prove_sharing,
    },
    Promise {
        name: "redis-outage",
        words: "a Redis that is away or slow costs a request 20 ms at most, and the policy says what holds",
        prove: limits::prove_outage,
    },
    Promise {
        name: "callers",
        words: "a million callers take bounded memory, and a known one keeps its bucket",
        prove: limits::prove_memory,
    },
];

impl Size {
    /// The one or the other.
    pub(crate) fn pick<T>(self, quick: T, full: T) -> T {
        match self {
            Self::Quick => quick,
            Self::Full => full,
        }
    }
}

/// The promise of this name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Promise> {
    let mut all = PROMISES.iter().chain(TRAFFIC_PROMISES).chain(LIMIT_PROMISES);
    all.find(|promise| promise.name.eq_ignore_ascii_case(name))
}

/// A number as people read it: `132,004`.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (number, expect) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (132_004, "132,004"),
            (1_000_000, "1,000,000"),
        ] {
            assert_eq!(grouped(number), expect);
        }
    }
}
