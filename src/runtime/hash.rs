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

/// The words of a string, folded to one, two at a step.
pub fn bytes_word(bytes: &[u8]) -> u64 {
    if bytes.len() < 8 {
        return combine(bytes.len() as u64, bytes.iter().fold(0, |word, b| word << 8 | u64::from(*b)));
    }
    let word = |at: usize| bytes.get(at..at + 8).and_then(|w| w.try_into().ok()).map_or(0, u64::from_le_bytes);
    let mut state = bytes.len() as u64;
    let mut at = 0;
    while at + 16 < bytes.len() {
        let product = u128::from(state ^ word(at)) * u128::from(MULTIPLIER ^ word(at + 8));
        state = (product as u64) ^ ((product >> 64) as u64);
        at += 16;
    }
    // The last 16 bytes (or 8 and 8 that overlap), some of them for the second time.
    let last = bytes.len().saturating_sub(8);
    combine(combine(state, word(last.saturating_sub(8).max(at.min(last)))), word(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_counts() {
        for length in 1..70 {
            let text: Vec<u8> = (0..length).collect();
            for at in 0..text.len() {
                let mut other = text.clone();
                other[at] ^= 1;
                assert_ne!(bytes_word(&text), bytes_word(&other), "{length} {at}");
            }
            assert_ne!(bytes_word(&text), bytes_word(&text[1..]));
        }
    }
}
