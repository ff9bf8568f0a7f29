//! Spark's random numbers, so that `rand(seed)`, samples and round-robin dealing give Spark's rows.

/// Spark's `XORShiftRandom`.
#[derive(Debug, Clone)]
pub struct XorShiftRandom {
    seed: u64,
}

impl XorShiftRandom {
    pub fn new(seed: i64) -> Self {
        let bytes = seed.to_be_bytes();
        let low = murmur3_bytes(&bytes, 0x3c07_4a61);
        let high = murmur3_bytes(&bytes, low);
        Self { seed: (u64::from(high) << 32) | u64::from(low) }
    }

    fn next(&mut self, bits: u32) -> u32 {
        let mut s = self.seed ^ (self.seed << 21);
        s ^= s >> 35;
        s ^= s << 4;
        self.seed = s;
        (s & ((1 << bits) - 1)) as u32
    }

    /// Any 32 bits.
    pub fn next_i32(&mut self) -> i32 {
        self.next(32) as i32
    }

    /// Uniform in `[0, 1)`.
    pub fn next_f64(&mut self) -> f64 {
        let high = u64::from(self.next(26)) << 27;
        (high + u64::from(self.next(27))) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform in `[0, bound)`, as `java.util.Random.nextInt` draws it; `bound` is positive.
    pub fn next_below(&mut self, bound: u32) -> u32 {
        if bound.is_power_of_two() {
            return ((u64::from(bound) * u64::from(self.next(31))) >> 31) as u32;
        }
        loop {
            let bits = self.next(31);
            let value = bits % bound;
            // Draws from the last, incomplete run of `bound` numbers below 2^31 would favour small values.
            if bits - value <= i32::MAX as u32 - (bound - 1) {
                return value;
            }
        }
    }
}

/// MurmurHash3_x86_32 of bytes, little-endian words (Scala's `MurmurHash3.bytesHash`); only for whole words here.
fn murmur3_bytes(bytes: &[u8; 8], seed: u32) -> u32 {
    let mut h = seed;
    for word in bytes.chunks_exact(4) {
        let k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
        h ^= k.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
        h = h.rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    h ^= bytes.len() as u32;
    h = (h ^ (h >> 16)).wrapping_mul(0x85eb_ca6b);
    h = (h ^ (h >> 13)).wrapping_mul(0xc2b2_ae35);
    h ^ (h >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_number_of_seed_zero() {
        // `SELECT rand(0)` in Spark.
        assert_eq!(XorShiftRandom::new(0).next_f64(), 0.7604953758285915);
    }

    #[test]
    fn bounded_draws_stay_below() {
        let mut random = XorShiftRandom::new(7);
        assert!((0..1000).all(|_| random.next_below(10) < 10));
    }
}
