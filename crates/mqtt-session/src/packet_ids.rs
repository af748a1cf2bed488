//! Sets of packet identifiers.

/// Which of the 65,535 identifiers are meant: 8 KiB at most, nothing until the first.
#[derive(Default)]
pub(crate) struct PacketIds(Vec<u64>);

/// As many words as hold every identifier.
const WORDS: usize = 1024;

const fn place(id: u16) -> (usize, u64) {
    ((id >> 6) as usize, 1 << (id & 63))
}

impl PacketIds {
    pub(crate) fn insert(&mut self, id: u16) {
        if self.0.is_empty() {
            self.0.resize(WORDS, 0);
        }
        let (word, bit) = place(id);
        if let Some(word) = self.0.get_mut(word) {
            *word |= bit;
        }
    }

    /// Whether it was there.
    pub(crate) fn remove(&mut self, id: u16) -> bool {
        let (word, bit) = place(id);
        self.0.get_mut(word).is_some_and(|word| {
            let had = *word & bit != 0;
            *word &= !bit;
            had
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_identifier_has_its_own_place() {
        let mut ids = PacketIds::default();
        assert!(!ids.remove(65_535));
        for id in [1, 63, 64, 65_535] {
            ids.insert(id);
        }
        assert!(!ids.remove(2) && ids.remove(64) && !ids.remove(64));
        assert!(ids.remove(63) && ids.remove(65_535) && ids.remove(1));
    }
}
