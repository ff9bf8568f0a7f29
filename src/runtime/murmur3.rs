//! Spark's Murmur3_x86_32, by which rows find their partitions and Bloom filters their bits.

#[inline(always)]
fn mix_k(k: u32) -> u32 {
    k.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593)
}

#[inline(always)]
fn mix_h(h: u32, k: u32) -> u32 {
    (h ^ mix_k(k)).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64)
}

#[inline(always)]
fn finish(mut h: u32, length: u32) -> u32 {
    h ^= length;
    h ^= h >> 16;
    h = h.wrapping_mul(0x85eb_ca6b);
    h ^= h >> 13;
    h = h.wrapping_mul(0xc2b2_ae35);
    h ^ (h >> 16)
}

/// Hash of a value of at most 32 bits.
#[inline(always)]
pub fn hash_int(value: i32, seed: i32) -> i32 {
    finish(mix_h(seed as u32, value as u32), 4) as i32
}

/// Hash of a 64-bit value.
#[inline(always)]
pub fn hash_long(value: i64, seed: i32) -> i32 {
    let h = mix_h(seed as u32, value as u32);
    finish(mix_h(h, (value >> 32) as u32), 8) as i32
}

/// Hash of bytes: words of four, then every byte left, sign-extended, as a word (unlike the usual Murmur3).
#[inline]
pub fn hash_bytes(bytes: &[u8], seed: i32) -> i32 {
    let words = bytes.chunks_exact(4);
    let tail = words.remainder();
    let mut h = seed as u32;
    for w in words {
        h = mix_h(h, u32::from_le_bytes([w[0], w[1], w[2], w[3]]));
    }
    for b in tail {
        h = mix_h(h, *b as i8 as i32 as u32);
    }
    finish(h, bytes.len() as u32) as i32
}
