//! What goes wrong, and what must come of it.

use crate::server::Fault;
use crate::world::Figures;

/// A service whose endpoints misbehave.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) endpoints: &'static [Placed],
    /// Requests, in what one healthy endpoint can do.
    pub(crate) load: f64,
    /// The zone of all callers, where they prefer it.
    pub(crate) own_zone: Option<&'static str>,
    /// Seconds.
    pub(crate) warm_up: Option<u64>,
    /// The least success, percent.
    pub(crate) success: f64,
}

/// An endpoint: where it is, and what is wrong with it.
pub(crate) type Placed = (Zone, Fault);

#[derive(Debug, Clone, Copy)]
pub(crate) enum Zone {
    Here,
    Away,
    FarAway,
}
use Zone::{Away, FarAway, Here};

impl Zone {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Here => "here",
            Away => "away",
            FarAway => "far-away",
        }
    }

    /// From the caller and back, microseconds.
    pub(crate) fn distance(self) -> u64 {
        match self {
            Here => 0,
            Away => 2_000,
            FarAway => 4_000,
        }
    }
}

const GOOD: Placed = (Here, Fault::None);
const FAILS_FAST: Placed = (Here, Fault::FailsFast { from: 0, until: u64::MAX });
const FAILS: Placed = (Here, Fault::FailsFast { from: 20, until: 40 });
const GONE: Placed = (Here, Fault::Vanishes { from: 30 });
const COLD: Placed = (Here, Fault::Cold { times: 10.0, joins: 20, warm_after: 40 });

const PLAIN: Scenario = Scenario {
    name: "",
    endpoints: &[GOOD, GOOD, GOOD, GOOD, GOOD],
    load: 2.5,
    own_zone: None,
    warm_up: None,
    success: 100.0,
};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario { name: "all are well", ..PLAIN },
    Scenario { name: "all are well and busy", load: 4.0, ..PLAIN },
    Scenario {
        name: "one is slow",
        endpoints: &[(Here, Fault::Slow { times: 10.0, from: 0 }), GOOD, GOOD, GOOD, GOOD],
        ..PLAIN
    },
    Scenario {
        name: "one slows down midway",
        endpoints: &[(Here, Fault::Slow { times: 10.0, from: 40 }), GOOD, GOOD, GOOD, GOOD],
        ..PLAIN
    },
    Scenario {
        name: "one fails fast",
        endpoints: &[FAILS_FAST, GOOD, GOOD, GOOD, GOOD],
        success: 99.7,
        ..PLAIN
    },
    Scenario {
        name: "one fails for 20 s",
        endpoints: &[FAILS, GOOD, GOOD, GOOD, GOOD],
        success: 99.8,
        ..PLAIN
    },
    Scenario {
        name: "one fails partly",
        endpoints: &[(Here, Fault::FailsPartly { percent: 30 }), GOOD, GOOD, GOOD, GOOD],
        success: 99.7,
        ..PLAIN
    },
    Scenario {
        name: "all fail a little",
        endpoints: &[(Here, Fault::FailsPartly { percent: 1 }); 5],
        success: 98.8,
        ..PLAIN
    },
    Scenario {
        name: "all fail a little and are busy",
        endpoints: &[(Here, Fault::FailsPartly { percent: 1 }); 5],
        load: 4.0,
        success: 98.8,
        ..PLAIN
    },
    Scenario {
        name: "one vanishes",
        endpoints: &[GONE, GOOD, GOOD, GOOD, GOOD],
        success: 99.6,
        ..PLAIN
    },
    Scenario { name: "all fail for 20 s", endpoints: &[FAILS; 5], success: 79.0, ..PLAIN },
    Scenario {
        name: "two fail for 20 s",
        endpoints: &[FAILS, FAILS, GOOD, GOOD, GOOD],
        success: 99.3,
        ..PLAIN
    },
    Scenario {
        name: "one turns into a black hole",
        endpoints: &[(Here, Fault::BlackHole { from: 30 }), GOOD, GOOD, GOOD, GOOD],
        success: 99.6,
        ..PLAIN
    },
    Scenario {
        name: "two of three fail fast",
        endpoints: &[FAILS_FAST, FAILS_FAST, GOOD],
        load: 0.6,
        success: 98.3,
        ..PLAIN
    },
    Scenario {
        name: "one of two fails fast",
        endpoints: &[FAILS_FAST, GOOD],
        load: 0.6,
        success: 99.3,
        ..PLAIN
    },
    Scenario {
        name: "the own zone vanishes",
        endpoints: &[
            GONE,
            GONE,
            (Away, Fault::None),
            (Away, Fault::None),
            (FarAway, Fault::None),
            (FarAway, Fault::None),
        ],
        load: 1.0,
        own_zone: Some("here"),
        success: 99.0,
        ..PLAIN
    },
    Scenario {
        name: "a cold one joins",
        endpoints: &[GOOD, GOOD, GOOD, GOOD, COLD],
        load: 2.5,
        warm_up: Some(40),
        ..PLAIN
    },
];

/// So much more than that of well endpoints alone the p99 may be: someone has to find out who is back.
const MOST_BESIDE_GOOD: f64 = 1.35;

/// The same beside a policy that succeeds as often.
const MOST_BESIDE_OTHERS: f64 = 1.15;

impl Scenario {
    /// The endpoints that nothing is wrong with; where there are none, all of them, well.
    pub(crate) fn good_endpoints(&self) -> Vec<Placed> {
        let all = self.endpoints.iter();
        let good: Vec<_> = all.clone().filter(|(_, fault)| fault.is_none()).copied().collect();
        match good.is_empty() {
            true => all.map(|(zone, _)| (*zone, Fault::None)).collect(),
            false => good,
        }
    }

    /// What the figures of this balancer must be, compared with what can be had and with those of others.
    pub(crate) fn judge(
        &self,
        ours: &Figures,
        others: &[Figures],
        good: &Figures,
    ) -> Result<(), String> {
        let success = others.iter().map(|other| other.success).fold(0.0, f64::max);
        let rivals = others.iter().filter(|other| other.success > ours.success - 0.5);
        let rival = rivals.map(|rival| rival.p99).fold(f64::INFINITY, f64::min);
        let demands = [
            ("success", ours.success >= self.success),
            ("success beside others", ours.success >= success - 0.5),
            ("p99 beside good endpoints", ours.p99 <= good.p99 * MOST_BESIDE_GOOD),
            ("p99 beside others", ours.p99 <= rival * MOST_BESIDE_OTHERS),
        ];
        let failed: Vec<_> = demands.iter().filter(|(_, met)| !met).map(|(name, _)| name).collect();
        match failed.is_empty() {
            true => Ok(()),
            false => Err(format!("{}: {failed:?}", self.name)),
        }
    }
}
