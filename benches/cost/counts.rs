//! What one request costs one side, and how much more than before is too much.

use serde_json::{Value, json};

use crate::callgrind::Profile;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Instructions of the worker outside of the kernel.
    Instructions,
    /// How often the worker asks for memory.
    Allocations,
    /// System calls of the worker.
    SystemCalls,
    /// How often the worker reads a clock, which is no system call but where valgrind watches.
    ClockReadings,
}

impl Measure {
    pub(crate) const ALL: [Self; 4] =
        [Self::Instructions, Self::Allocations, Self::SystemCalls, Self::ClockReadings];

    /// Its name in the baseline and in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Instructions => "instructions",
            Self::Allocations => "allocations",
            Self::SystemCalls => "system calls",
            Self::ClockReadings => "clock readings",
        }
    }

    /// How many times the share that instructions are allowed is allowed here. How often a worker goes to sleep between
    /// two pieces of an answer is the machine's business, so system calls and clock readings differ from time to time,
    /// and so do buffers where an answer comes in pieces.
    pub(crate) fn leniency(self, in_pieces: bool) -> f64 {
        match self {
            Self::Allocations if in_pieces => 5.0,
            Self::Instructions | Self::Allocations => 1.0,
            Self::SystemCalls | Self::ClockReadings => 5.0,
        }
    }

    /// What may be lost in the noise, for each request, beside a share of it: the worker's own ticks, a buffer that
    /// grows in this round and not in that.
    fn slack(self) -> f64 {
        match self {
            Self::Instructions => 100.0,
            Self::Allocations => 0.1,
            Self::SystemCalls | Self::ClockReadings => 0.5,
        }
    }
}

/// What one request costs one side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Counts {
    instructions: f64,
    allocations: f64,
    system_calls: f64,
    clock_readings: f64,
}

impl Counts {
    /// A round of so many requests, for each of them.
    pub(crate) fn of(profile: &Profile, requests: u32) -> Self {
        let each = |total: u64| total as f64 / f64::from(requests);
        Self {
            instructions: each(profile.instructions),
            allocations: each(profile.allocations()),
            system_calls: each(profile.system_calls()),
            clock_readings: each(profile.clock_readings()),
        }
    }

    /// The smaller one of each: noise only ever adds.
    pub(crate) fn least(self, other: Self) -> Self {
        Self {
            instructions: self.instructions.min(other.instructions),
            allocations: self.allocations.min(other.allocations),
            system_calls: self.system_calls.min(other.system_calls),
            clock_readings: self.clock_readings.min(other.clock_readings),
        }
    }

    pub(crate) fn get(&self, measure: Measure) -> f64 {
        match measure {
            Measure::Instructions => self.instructions,
            Measure::Allocations => self.allocations,
            Measure::SystemCalls => self.system_calls,
            Measure::ClockReadings => self.clock_readings,
        }
    }

    /// Whether this is more than `share` above `before`.
    pub(crate) fn exceeds(&self, before: &Self, measure: Measure, share: f64) -> bool {
        self.get(measure) > before.get(measure) * (1.0 + share) + measure.slack()
    }

    pub(crate) fn to_json(self) -> Value {
        json!({
            "instructions": self.instructions.round(),
            "allocations": hundredths(self.allocations),
            "system calls": hundredths(self.system_calls),
            "clock readings": hundredths(self.clock_readings),
        })
    }

    pub(crate) fn from_json(value: &Value) -> Option<Self> {
        let number = |measure: Measure| value.get(measure.name())?.as_f64();
        Some(Self {
            instructions: number(Measure::Instructions)?,
            allocations: number(Measure::Allocations)?,
            system_calls: number(Measure::SystemCalls)?,
            clock_readings: number(Measure::ClockReadings)?,
        })
    }
}

fn hundredths(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const BEFORE: Counts = Counts {
        instructions: 100_000.0,
        allocations: 20.0,
        system_calls: 5.0,
        clock_readings: 8.0,
    };

    #[test]
    fn more_than_the_share_and_the_slack_is_too_much() {
        let check = |now: Counts, expect: &[Measure]| {
            let found = Measure::ALL
                .into_iter()
                .filter(|one| now.exceeds(&BEFORE, *one, 0.03 * one.leniency(false)));
            assert_eq!(found.collect::<Vec<_>>(), expect, "{now:?}");
        };
        check(BEFORE, &[]);
        check(Counts { instructions: 103_000.0, ..BEFORE }, &[]);
        check(Counts { instructions: 103_200.0, ..BEFORE }, &[Measure::Instructions]);
        check(Counts { instructions: 1.0, ..BEFORE }, &[]);
        check(Counts { allocations: 21.0, ..BEFORE }, &[Measure::Allocations]);
        check(Counts { system_calls: 5.9, ..BEFORE }, &[]);
        check(Counts { system_calls: 7.0, ..BEFORE }, &[Measure::SystemCalls]);
    }

    #[test]
    fn written_and_read() {
        let counts = Counts {
            instructions: 100_000.4,
            allocations: 20.123,
            system_calls: 4.996,
            clock_readings: 8.0,
        };
        let expect = Counts {
            instructions: 100_000.0,
            allocations: 20.12,
            system_calls: 5.0,
            clock_readings: 8.0,
        };
        assert_eq!(Counts::from_json(&counts.to_json()).unwrap(), expect);
        assert_eq!(Counts::from_json(&json!({"instructions": 1})), None);
    }
}
