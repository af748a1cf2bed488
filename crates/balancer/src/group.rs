//! Endpoints that one draws from, by weight.

use crate::draw::scale;
use crate::endpoint::Endpoint;

/// Indices of endpoints, with what they weigh.
#[derive(Debug, Default)]
pub(crate) struct Group {
    members: Vec<usize>,
    /// The sum of the weights up to each member; empty where all weigh the same.
    cumulative: Vec<u64>,
}

impl Group {
    /// The endpoints that are wanted.
    pub(crate) fn new<'a>(endpoints: impl Iterator<Item = (usize, &'a Endpoint)>) -> Self {
        let (members, weights): (Vec<_>, Vec<_>) =
            endpoints.map(|(index, endpoint)| (index, u64::from(endpoint.weight().get()))).unzip();
        let same = weights.iter().all(|weight| Some(weight) == weights.first());
        let sums = weights.iter().scan(0_u64, |sum, weight| {
            *sum = sum.saturating_add(*weight);
            Some(*sum)
        });
        let cumulative = if same { Vec::new() } else { sums.collect() };
        Self { members, cumulative }
    }

    /// How many they are.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether all weigh the same.
    pub(crate) fn is_even(&self) -> bool {
        self.cumulative.is_empty()
    }

    /// The member that an evenly distributed number falls on.
    pub(crate) fn draw(&self, random: u64) -> Option<usize> {
        let position = match self.cumulative.last() {
            None => position(scale(random, self.members.len() as u64)),
            Some(total) => {
                let point = scale(random, *total);
                self.cumulative.partition_point(|sum| *sum <= point)
            }
        };
        self.members.get(position).copied()
    }

    /// The member whose turn it is. Where weights differ, turns are spread by the golden ratio, so that each gets its
    /// share at any time.
    pub(crate) fn in_turn(&self, turn: u64) -> Option<usize> {
        match self.cumulative.is_empty() {
            true => {
                let turn = turn.checked_rem(self.members.len() as u64)?;
                self.members.get(position(turn)).copied()
            }
            false => self.draw(turn.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        }
    }

    /// All members, from the one that a number falls on.
    pub(crate) fn all_from(&self, random: u64) -> impl Iterator<Item = usize> {
        let start = position(scale(random, self.members.len() as u64));
        let (before, after) = self.members.split_at(start.min(self.members.len()));
        after.iter().chain(before).copied()
    }
}

fn position(value: u64) -> usize {
    usize::try_from(value).unwrap_or(0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::draw::Draws;

    fn group(weights: &[u32]) -> Group {
        let endpoint = |weight: &u32| Endpoint::new(0, NonZeroU32::new(*weight).unwrap(), None);
        let endpoints: Vec<_> = weights.iter().map(endpoint).collect();
        Group::new(endpoints.iter().enumerate())
    }

    #[test]
    fn shares_are_those_of_the_weights() {
        let rows: [(&str, &[u32], &[usize]); 4] = [
            ("one", &[7], &[1000]),
            ("even", &[3, 3, 3, 3], &[250, 250, 250, 250]),
            ("uneven", &[8, 1, 1], &[800, 100, 100]),
            ("extreme", &[u32::MAX, 1], &[1000, 0]),
        ];
        for (name, weights, expect) in rows {
            let (group, mut draws) = (group(weights), Draws::new(1));
            let drawn = count(weights.len(), || group.draw(draws.next()));
            let mut turn = 0;
            let in_turn = count(weights.len(), || {
                turn += 1;
                group.in_turn(turn)
            });
            for (index, expect) in expect.iter().enumerate() {
                assert!(drawn[index].abs_diff(*expect) < 50, "{name}: {drawn:?}");
                assert!(in_turn[index].abs_diff(*expect) < 3, "{name}: {in_turn:?}");
            }
        }
    }

    fn count(members: usize, mut next: impl FnMut() -> Option<usize>) -> Vec<usize> {
        let mut counts = vec![0; members];
        (0..1000).for_each(|_| counts[next().unwrap()] += 1);
        counts
    }

    #[test]
    fn nobody_is_drawn_from_nobody() {
        let group = group(&[]);
        assert_eq!((group.draw(7), group.in_turn(7), group.all_from(7).next()), (None, None, None));
        assert_eq!(group.len(), 0);
    }

    #[test]
    fn a_round_begins_anywhere_and_leaves_nobody_out() {
        let group = group(&[1, 1, 1]);
        assert_eq!(group.all_from(u64::MAX / 2).collect::<Vec<_>>(), [1, 2, 0]);
        assert_eq!(group.all_from(u64::MAX).collect::<Vec<_>>(), [2, 0, 1]);
    }
}
