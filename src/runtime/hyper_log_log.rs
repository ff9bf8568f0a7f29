//! HyperLogLog++ over 64-bit hashes, with Spark's estimates: S. Heule, M. Nunkesser, A. Hall, "HyperLogLog in Practice", EDBT 2013.
//!
//! Registers are a byte each. Small numbers are counted linearly; raw estimates are corrected by the measured biases of the paper's
//! appendix (`hyper_log_log.txt`: for the precisions from 4 to 18 a line of raw estimates each, then a line of their biases each).

use std::cmp::Ordering;
use std::sync::LazyLock;

/// Precisions (bits of a hash that choose a register) with measured biases.
const MEASURED: std::ops::RangeInclusive<u32> = 4..=18;
/// Up to which estimate of the linear counting it is taken, by precision.
const THRESHOLDS: [f64; 15] =
    [10.0, 20.0, 40.0, 80.0, 220.0, 400.0, 900.0, 1800.0, 3100.0, 6500.0, 15500.0, 20000.0, 50000.0, 120000.0, 350000.0];
/// How many of the nearest measured estimates are averaged.
const NEIGHBOURS: usize = 6;

/// Raw estimates and biases, by precision.
static BIASES: LazyLock<Vec<Vec<f64>>> = LazyLock::new(|| {
    include_str!("hyper_log_log.txt").lines().map(|line| line.split(' ').filter_map(|x| x.parse().ok()).collect()).collect()
});

/// The precision for a relative standard deviation of the estimates.
pub fn precision(deviation: f64) -> f64 {
    (2.0 * (1.106 / deviation).ln() / std::f64::consts::LN_2).ceil()
}

/// Enters a hash into 2^`precision` registers.
#[inline]
pub fn insert(registers: &mut [u8], precision: u32, hash: i64) {
    let register = &mut registers[(hash as u64 >> (64 - precision)) as usize];
    let zeros = ((hash as u64) << precision | 1 << (precision - 1)).leading_zeros();
    *register = (*register).max(zeros as u8 + 1);
}

/// Enters what other registers of the same precision have seen.
pub fn merge(registers: &mut [u8], other: &[u8]) {
    registers.iter_mut().zip(other).for_each(|(a, b)| *a = (*a).max(*b));
}

/// About how many different hashes were entered.
pub fn estimate(registers: &[u8]) -> i64 {
    let m = registers.len() as f64;
    let precision = registers.len().trailing_zeros();
    let alpha = match precision {
        4 => 0.673,
        5 => 0.697,
        6 => 0.709,
        _ => 0.7213 / (1.0 + 1.079 / m),
    };
    let inverse: f64 = registers.iter().map(|r| 1.0 / (1u64 << r.min(&63)) as f64).sum();
    let raw = alpha * m * m / inverse;
    let measured = MEASURED.contains(&precision).then(|| (precision - MEASURED.start()) as usize);
    let empty = registers.iter().filter(|r| **r == 0).count() as f64;
    if empty > 0.0 {
        let linear = m * (m / empty).ln();
        if measured.is_some_and(|p| linear <= THRESHOLDS[p]) || raw <= 2.5 * m {
            return rounded(linear);
        }
    }
    rounded(match measured {
        Some(p) if raw < 5.0 * m => raw - bias(p, raw),
        _ => raw,
    })
}

/// Halves go up.
fn rounded(x: f64) -> i64 {
    (x + 0.5).floor() as i64
}

/// The bias of a raw estimate: the average of those of the nearest estimates that were measured.
fn bias(precision: usize, raw: f64) -> f64 {
    let (estimates, biases) = (&BIASES[precision], &BIASES[precision + THRESHOLDS.len()]);
    let distance = |i: usize| (raw - estimates[i]) * (raw - estimates[i]);
    // A few neighbours were measured out of order, so the steps of the search matter: they are those of `java.util.Arrays`.
    let (mut nearest, mut above) = (0, estimates.len());
    while nearest < above {
        let middle = (nearest + above - 1) / 2;
        match estimates[middle].total_cmp(&raw) {
            Ordering::Less => nearest = middle + 1,
            Ordering::Greater => above = middle,
            Ordering::Equal => (nearest, above) = (middle, middle),
        }
    }
    let mut low = (nearest + 1).saturating_sub(NEIGHBOURS);
    let mut high = (low + NEIGHBOURS).min(estimates.len());
    while high < estimates.len() && distance(high) < distance(low) {
        (low, high) = (low + 1, high + 1);
    }
    biases[low..high].iter().sum::<f64>() / (high - low) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::murmur3::hash_long;

    #[test]
    fn estimates_are_near_at_every_precision() {
        for precision in 4..=20 {
            for n in [0i64, 1, 100, 20_000] {
                let mut registers = vec![0; 1 << precision];
                let mut other = registers.clone();
                for i in 0..n {
                    let hash = i64::from(hash_long(i, 1)) << 32 | i64::from(hash_long(i, 2) as u32);
                    insert(if i % 2 == 0 { &mut registers } else { &mut other }, precision, hash);
                }
                merge(&mut registers, &other);
                let error = (estimate(&registers) - n) as f64;
                assert!(error.abs() <= 4.0 * 1.04 / f64::from(1 << precision).sqrt() * n as f64, "{precision} {n} {error}");
            }
        }
    }

    #[test]
    fn all_precisions_are_measured() {
        assert_eq!(BIASES.len(), 2 * THRESHOLDS.len());
        assert!(BIASES.iter().zip(&BIASES[15..]).all(|(raw, bias)| raw.len() == bias.len() && raw.len() > 2 * NEIGHBOURS));
    }
}
