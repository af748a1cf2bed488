//! Where a Cluster keeps a key.

/// How many slots a Redis Cluster has (its specification, "Key distribution model").
const SLOTS: u16 = 16_384;

/// The slot of a key. A single Redis has none, and does not mind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot(u16);

impl Slot {
    /// Of what stands in the first braces of a key, or of the whole key where there are none with something in them
    /// (the specification of Redis Cluster, "Hash tags").
    #[must_use]
    pub fn of(key: &[u8]) -> Self {
        Self(crc16(tag(key).unwrap_or(key)) % SLOTS)
    }

    pub(crate) fn number(self) -> u16 {
        self.0
    }
}

fn tag(key: &[u8]) -> Option<&[u8]> {
    let begin = key.iter().position(|byte| *byte == b'{')? + 1;
    let rest = key.get(begin..)?;
    let end = rest.iter().position(|byte| *byte == b'}')?;
    rest.get(..end).filter(|tag| !tag.is_empty())
}

/// CRC16 as a Cluster counts it: XMODEM, polynomial 0x1021 (its specification, appendix A).
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_as_the_cluster_counts_them() {
        // The check value of the specification, and `CLUSTER KEYSLOT`.
        assert_eq!(crc16(b"123456789"), 0x31c3);
        for (key, expect) in [("{foo}", 12_182), ("foo", 12_182), ("a{foo}b{bar}", 12_182)] {
            assert_eq!(Slot::of(key.as_bytes()).number(), expect, "{key}");
        }
        assert_ne!(Slot::of(b"{}foo"), Slot::of(b""), "empty braces are part of the key");
    }
}
