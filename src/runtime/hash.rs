//! The one hash of keys in tables: multiply and fold. Generated code emits the same steps inline (`codegen::hash`).

/// Odd constant of the multiplication (the golden ratio's fraction).
pub const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;
/// Start of every hash.
pub const SEED: u64 = 0x2545_F491_4F6C_DD1D;
/// Stands for a NULL.
pub const NULL_WORD: u64 = 0xA5A5_5A5A_C3C3_3C3C;

/// One step: `state` with one more 64-bit word.
#[inline(always)]
pub fn combine(state: u64, word: u64) -> u64 {
    let product = u128::from(state ^ word) * u128::from(MULTIPLIER);
    (product as u64) ^ ((product >> 64) as u64)
}

/// The words of a string longer than the inline form, folded to one.
pub fn bytes_word(bytes: &[u8]) -> u64 {
    let mut state = bytes.len() as u64;
    let mut chunks = bytes.chunks_exact(8);
    for c in &mut chunks {
        state = combine(state, u64::from_le_bytes([c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7]]));
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        let mut last = [0u8; 8];
        last[..rest.len()].copy_from_slice(rest);
        state = combine(state, u64::from_le_bytes(last));
    }
    state
}
