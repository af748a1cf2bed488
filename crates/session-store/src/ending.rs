//! A map whose values end by themselves. There is no clock in it: moments are handed in.

use std::collections::{BTreeSet, HashMap};

use crate::key::StoreKey;

/// Values by key, each with its end: the value is there *before* it.
#[derive(Debug)]
pub(crate) struct Ending<E, V> {
    values: HashMap<StoreKey, (E, V)>,
    /// The next to end comes first.
    ends: BTreeSet<(E, StoreKey)>,
}

impl<E: Ord + Copy, V> Ending<E, V> {
    pub(crate) fn new() -> Self {
        Self { values: HashMap::new(), ends: BTreeSet::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// The value and its end, whether it has come or not.
    pub(crate) fn get(&self, key: &StoreKey) -> Option<&(E, V)> {
        self.values.get(key)
    }

    /// All of them, with their ends, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&StoreKey, &E, &V)> {
        self.values.iter().map(|(key, (end, value))| (key, end, value))
    }

    /// Instead of the value that was there.
    pub(crate) fn insert(&mut self, key: StoreKey, end: E, value: V) {
        self.remove(&key);
        self.values.insert(key, (end, value));
        self.ends.insert((end, key));
    }

    pub(crate) fn remove(&mut self, key: &StoreKey) -> Option<V> {
        let (end, value) = self.values.remove(key)?;
        self.ends.remove(&(end, *key));
        Some(value)
    }

    /// Takes out all that have ended.
    pub(crate) fn drop_ended(&mut self, now: E, mut ended: impl FnMut(V)) {
        while self.ends.first().is_some_and(|(end, _)| *end <= now) {
            if let Some((_, value)) = self.pop_next() {
                ended(value);
            }
        }
    }

    /// Takes the next to end, with its end.
    pub(crate) fn pop_next(&mut self) -> Option<(E, V)> {
        let (_, key) = self.ends.pop_first()?;
        self.values.remove(&key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> StoreKey {
        StoreKey::of(&[text.as_bytes()])
    }

    #[test]
    fn values_end_in_the_order_of_their_ends() {
        let mut map = Ending::new();
        map.insert(key("late"), 30, 'l');
        map.insert(key("early"), 10, 'e');
        map.insert(key("moved"), 5, 'm');
        map.insert(key("moved"), 40, 'M');
        map.drop_ended(9, drop);
        assert_eq!(map.len(), 3);
        map.drop_ended(10, drop);
        assert_eq!(map.get(&key("early")), None);
        assert_eq!(map.pop_next(), Some((30, 'l')));
        assert_eq!(map.get(&key("moved")), Some(&(40, 'M')));
        assert_eq!(map.remove(&key("moved")), Some('M'));
        assert_eq!((map.len(), map.pop_next()), (0, None));
        assert!(map.ends.is_empty());
    }
}
