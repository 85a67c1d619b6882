//! Which partition a producer gives a record with a key: what the usual clients do.

/// A client's rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Partitioner {
    /// Java's, and what most others offer: MurmurHash2 with Kafka's seed.
    Murmur2,
    /// librdkafka's default: CRC-32 (IEEE 802.3).
    Crc32,
    /// Sarama's default (Go): FNV-1a, 32 bits.
    Fnv1a,
}

// === impl Partitioner ===

impl Partitioner {
    /// All that are known.
    pub const ALL: [Self; 3] = [Self::Murmur2, Self::Crc32, Self::Fnv1a];

    /// Its name in text.
    pub fn name(self) -> &'static str {
        match self {
            Self::Murmur2 => "murmur2",
            Self::Crc32 => "crc32",
            Self::Fnv1a => "fnv1a",
        }
    }

    /// The partition, of `partitions`, that a record with `key` goes to.
    pub fn partition(self, key: &[u8], partitions: u32) -> u32 {
        let hash = match self {
            Self::Murmur2 => murmur2(key) & 0x7fff_ffff,
            Self::Crc32 => crc32fast::hash(key),
            // A signed remainder, its sign dropped.
            Self::Fnv1a => return (fnv1a(key).cast_signed() % partitions.max(1).cast_signed()).unsigned_abs(),
        };
        hash % partitions.max(1)
    }
}

/// MurmurHash2 (Austin Appleby, public domain) with the seed of `org.apache.kafka.common.utils.Utils.murmur2`.
fn murmur2(key: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ key.len() as u32;
    let (words, rest) = key.as_chunks::<4>();
    for word in words {
        let mixed = u32::from_le_bytes(*word).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ (mixed ^ mixed >> 24).wrapping_mul(M);
    }
    if !rest.is_empty() {
        let word = rest.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
        hash = (hash ^ word).wrapping_mul(M);
    }
    hash = (hash ^ hash >> 13).wrapping_mul(M);
    hash ^ hash >> 15
}

/// FNV-1a (Fowler, Noll, Vo), 32 bits.
fn fnv1a(key: &[u8]) -> u32 {
    key.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_clients() {
        // From the tests of Apache Kafka (UtilsTest.testMurmur2).
        let kafka: [(&str, i32); 6] = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ];
        for (key, hash) in kafka {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
        // The check values of both algorithms' catalogues.
        assert_eq!(crc32fast::hash(b"123456789"), 0xcbf4_3926);
        assert_eq!(fnv1a(b"foobar"), 0xbf9c_f968);
    }

    #[test]
    fn every_key_has_a_partition() {
        for partitioner in Partitioner::ALL {
            for key in ["", "a", "detector-17", "ä🚲"] {
                assert!(partitioner.partition(key.as_bytes(), 7) < 7);
                assert_eq!(partitioner.partition(key.as_bytes(), 1), 0);
            }
        }
    }
}
