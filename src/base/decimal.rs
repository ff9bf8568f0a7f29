//! Decimal arithmetic on unscaled 128-bit integers, rounding HALF_UP, shared by both engines.
//!
//! A value of decimal(p,s) is `unscaled / 10^s` with `|unscaled| < 10^p`. Operations give `None` where the exact, rounded result
//! does not fit the precision asked for; callers make the error.

use arrow::datatypes::i256;

use super::schema::MAX_PRECISION;

/// 10^0 … 10^38.
pub const POWERS: [i128; 39] = {
    let mut out = [1i128; 39];
    let mut i = 1;
    while i < 39 {
        out[i] = out[i - 1] * 10;
        i += 1;
    }
    out
};

/// 10^n for n in 0..=38; larger n are cut.
#[inline]
pub fn power(n: u32) -> i128 {
    POWERS[n.min(38) as usize]
}

/// The value if it has at most `precision` digits.
#[inline]
pub fn fit(value: i128, precision: u8) -> Option<i128> {
    let limit = POWERS[precision.min(MAX_PRECISION) as usize];
    (value < limit && value > -limit).then_some(value)
}

/// `value / divisor` rounded half away from zero; `divisor` > 0.
#[inline]
pub fn divide_half_up(value: i128, divisor: i128) -> i128 {
    if let (Ok(v), Ok(d)) = (i64::try_from(value), i64::try_from(divisor)) {
        // 64-bit division is several times faster.
        let (quotient, remainder) = (v / d, v % d);
        let up = remainder.unsigned_abs() >= d.unsigned_abs() - remainder.unsigned_abs();
        return i128::from(quotient) + if up { i128::from(v.signum()) } else { 0 };
    }
    let (quotient, remainder) = (value / divisor, value % divisor);
    let up = remainder.unsigned_abs() >= divisor.unsigned_abs() - remainder.unsigned_abs();
    quotient + if up { value.signum() } else { 0 }
}

/// The value at another scale, rounded HALF_UP, if it fits `precision`.
#[inline]
pub fn rescale(value: i128, from_scale: i8, to_scale: i8, precision: u8) -> Option<i128> {
    let shift = i32::from(to_scale) - i32::from(from_scale);
    let moved = if shift >= 0 {
        if shift > 38 {
            return (value == 0).then_some(0);
        }
        value.checked_mul(power(shift as u32))?
    } else if shift < -38 {
        0
    } else {
        divide_half_up(value, power(-shift as u32))
    };
    fit(moved, precision)
}

/// `a + b` of values at scales of their own, at `scale` (HALF_UP), if it fits `precision`.
pub fn add((a, s1): (i128, i8), (b, s2): (i128, i8), precision: u8, scale: i8) -> Option<i128> {
    let common = s1.max(s2);
    let up = |v: i128, s: i8| i256::from_i128(v).wrapping_mul(i256::from_i128(power((common - s).unsigned_abs().into())));
    let narrow = |v: i128, s: i8| v.checked_mul(power((common - s).unsigned_abs().into()));
    if let (Some(a), Some(b)) = (narrow(a, s1), narrow(b, s2))
        && let Some(sum) = a.checked_add(b)
    {
        return rescale(sum, common, scale, precision);
    }
    let drop = i256::from_i128(power((common - scale).max(0) as u32));
    fit(wide_divide_half_up(up(a, s1).wrapping_add(up(b, s2)), drop)?, precision)
}

/// The whole part of `a / b` of values at scales of their own, if it fits 128 bits. `b` is not 0.
pub fn integral_divide(a: i128, s1: i8, b: i128, s2: i8) -> Option<i128> {
    let common = s1.max(s2);
    let up = |v: i128, s: i8| i256::from_i128(v).wrapping_mul(i256::from_i128(power((common - s).unsigned_abs().into())));
    up(a, s1).checked_div(up(b, s2))?.to_i128()
}

/// `a * b`, dropping the last `drop` digits (HALF_UP), if it fits `precision`. The result's scale is `s1 + s2 - drop`.
#[inline]
pub fn multiply(a: i128, b: i128, drop: u32, precision: u8) -> Option<i128> {
    if a == i128::from(a as i64) && b == i128::from(b as i64) && drop == 0 {
        // The usual case, one machine multiplication: 126 bits are less than 38 digits.
        let product = i128::from(a as i64) * i128::from(b as i64);
        return if precision >= MAX_PRECISION { Some(product) } else { fit(product, precision) };
    }
    match a.checked_mul(b) {
        Some(product) if drop == 0 => fit(product, precision),
        Some(product) => fit(divide_half_up(product, power(drop)), precision),
        None => {
            let product = i256::from_i128(a).wrapping_mul(i256::from_i128(b));
            fit(wide_divide_half_up(product, i256::from_i128(power(drop)))?, precision)
        }
    }
}

/// `a * 10^shift / b` (HALF_UP) if it fits `precision`; `b` is not 0. With `shift = s - s1 + s2` the result's scale is `s`.
pub fn divide(a: i128, b: i128, shift: i32, precision: u8) -> Option<i128> {
    if shift < 0 {
        let divisor = i256::from_i128(b).wrapping_mul(i256::from_i128(power(-shift as u32)));
        return fit(wide_divide_half_up(i256::from_i128(a), divisor)?, precision);
    }
    if shift <= 38
        && let Some(scaled) = a.checked_mul(power(shift as u32))
    {
        let (scaled, divisor) = if b < 0 { (scaled.checked_neg()?, b.checked_neg()?) } else { (scaled, b) };
        return fit(divide_half_up(scaled, divisor), precision);
    }
    // Long division, one digit at a time: the quotient stays below 10^39 or the result does not fit anyway.
    let negative = (a < 0) != (b < 0);
    let (a, b) = (a.unsigned_abs(), b.unsigned_abs());
    let limit = POWERS[precision.min(MAX_PRECISION) as usize].unsigned_abs();
    let (mut quotient, mut remainder) = (a / b, a % b);
    for _ in 0..shift {
        let next = i256::from_parts(remainder, 0).wrapping_mul(i256::from_i128(10));
        let digit = next.checked_div(i256::from_parts(b, 0))?;
        quotient = quotient.checked_mul(10)?.checked_add(digit.as_i128().unsigned_abs())?;
        if quotient >= limit {
            return None;
        }
        remainder = next.checked_rem(i256::from_parts(b, 0))?.to_parts().0;
    }
    if remainder >= b - remainder {
        quotient += 1;
    }
    let value = i128::try_from(quotient).ok()?;
    fit(if negative { -value } else { value }, precision)
}

fn wide_divide_half_up(value: i256, divisor: i256) -> Option<i128> {
    let quotient = value.checked_div(divisor)?;
    let remainder = value.checked_rem(divisor)?.wrapping_abs();
    let magnitude = divisor.wrapping_abs();
    let away = remainder >= magnitude.wrapping_sub(remainder);
    let negative = value.is_negative() != divisor.is_negative();
    let rounded = match (away, negative) {
        (false, _) => quotient,
        (true, true) => quotient.wrapping_sub(i256::ONE),
        (true, false) => quotient.wrapping_add(i256::ONE),
    };
    rounded.to_i128()
}

/// `a % b` of values at scales `s1` and `s2`, at scale `max(s1, s2)`; sign of the dividend. `b` is not 0.
pub fn remainder(a: i128, s1: i8, b: i128, s2: i8) -> i128 {
    let scale = s1.max(s2);
    let up = |v: i128, s: i8| i256::from_i128(v).wrapping_mul(i256::from_i128(power((scale - s).unsigned_abs().into())));
    match (a.checked_mul(power((scale - s1).unsigned_abs().into())), b.checked_mul(power((scale - s2).unsigned_abs().into()))) {
        (Some(a), Some(b)) => a.checked_rem(b).unwrap_or(0),
        _ => up(a, s1).checked_rem(up(b, s2)).and_then(|r| r.to_i128()).unwrap_or(0),
    }
}

/// Digits of the magnitude; 1 for 0.
pub fn digits(value: i128) -> u8 {
    value.unsigned_abs().checked_ilog10().map_or(1, |n| n as u8 + 1)
}

/// Plain text: `-12.30`. Spark's form (Java's BigDecimal) turns to an exponent for tiny values: `1E-7`, `1.2E-8`.
pub fn format(value: i128, scale: i8) -> String {
    let mut out = String::new();
    write(value, scale, &mut out);
    out
}

/// Appends what [`format`] gives.
pub fn write(value: i128, scale: i8, out: &mut String) {
    use std::fmt::Write;
    if scale <= 0 {
        let _ = write!(out, "{value}");
        for _ in scale..0 {
            if value != 0 {
                out.push('0');
            }
        }
        return;
    }
    let (scale, digits) = (scale as usize, value.unsigned_abs().to_string());
    if value < 0 {
        out.push('-');
    }
    let exponent = digits.len() as i64 - scale as i64 - 1;
    if exponent < -6 {
        out.push_str(&digits[..1]);
        if digits.len() > 1 {
            out.push('.');
            out.push_str(&digits[1..]);
        }
        let _ = write!(out, "E{exponent}");
    } else if digits.len() > scale {
        out.push_str(&digits[..digits.len() - scale]);
        out.push('.');
        out.push_str(&digits[digits.len() - scale..]);
    } else {
        out.push_str("0.");
        for _ in digits.len()..scale {
            out.push('0');
        }
        out.push_str(&digits);
    }
}

/// Reads `[+-]digits[.digits][e[+-]digits]` as an exact value: unscaled integer and scale (which may be negative).
/// `None` for other text or more than 38 significant digits before rounding would matter; fraction digits beyond the 38th
/// are rounded HALF_UP.
pub fn parse(text: &str) -> Option<(i128, i32)> {
    let bytes = text.as_bytes();
    let (negative, mut i) = match bytes.first()? {
        b'-' => (true, 1),
        b'+' => (false, 1),
        _ => (false, 0),
    };
    let (mut value, mut scale, mut seen, mut point) = (0i128, 0i32, false, false);
    let mut rounded = None;
    while i < bytes.len() {
        match bytes[i] {
            d @ b'0'..=b'9' => {
                seen = true;
                let digit = i128::from(d - b'0');
                if rounded.is_none() && value < POWERS[37] {
                    value = value * 10 + digit;
                    scale += i32::from(point);
                } else {
                    if rounded.is_none() {
                        rounded = Some(digit >= 5);
                    }
                    scale -= i32::from(!point);
                }
            }
            b'.' if !point => point = true,
            b'e' | b'E' => break,
            _ => return None,
        }
        i += 1;
    }
    if !seen {
        return None;
    }
    if rounded == Some(true) {
        value += 1;
    }
    if i < bytes.len() {
        let exponent = text[i + 1..].strip_prefix('+').unwrap_or(&text[i + 1..]);
        if exponent.is_empty() || exponent.starts_with('+') {
            return None;
        }
        scale = scale.checked_sub(exponent.parse::<i32>().ok()?)?;
    }
    Some((if negative { -value } else { value }, scale))
}

/// Reads text as a value of decimal(precision, scale), rounded HALF_UP. The outer `None`: not a number; the inner: does not fit.
pub fn parse_as(text: &str, precision: u8, scale: i8) -> Option<Option<i128>> {
    let (value, from) = parse(text)?;
    let shift = i64::from(scale) - i64::from(from);
    Some(if value == 0 {
        Some(0)
    } else if shift > 38 {
        None
    } else if shift >= 0 {
        value.checked_mul(power(shift as u32)).and_then(|v| fit(v, precision))
    } else if shift < -38 {
        Some(0)
    } else {
        fit(divide_half_up(value, power(-shift as u32)), precision)
    })
}

/// The nearest double.
#[inline]
pub fn to_f64(value: i128, scale: i8) -> f64 {
    const EXACT: u64 = 1 << 53;
    if scale == 0 {
        return value as f64;
    }
    // Both sides exact: one rounding, so the quotient is the nearest double.
    if value.unsigned_abs() <= u128::from(EXACT) && (0..=22).contains(&scale) {
        return value as f64 / POWERS[scale as usize] as f64;
    }
    format!("{value}e{}", -i32::from(scale)).parse().unwrap_or(f64::NAN)
}

/// The double's shortest decimal text at that scale, HALF_UP, if it fits; NaN and infinities do not.
pub fn from_f64(value: f64, precision: u8, scale: i8) -> Option<i128> {
    if !value.is_finite() {
        return None;
    }
    if value.fract() == 0.0 && value.abs() < 1e15 {
        return rescale(value as i128, 0, scale, precision);
    }
    parse_as(&format!("{value:e}"), precision, scale).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_half_up_away_from_zero() {
        assert_eq!(rescale(125, 2, 1, 10), Some(13));
        assert_eq!(rescale(-125, 2, 1, 10), Some(-13));
        assert_eq!(rescale(124, 2, 1, 10), Some(12));
        assert_eq!(rescale(999, 1, 0, 2), None);
        assert_eq!(divide_half_up(POWERS[38] - 1, POWERS[20]), POWERS[18]);
    }

    #[test]
    fn multiplies_and_divides_beyond_128_bits() {
        assert_eq!(multiply(POWERS[30], POWERS[15], 10, 38), Some(POWERS[35]));
        assert_eq!(multiply(-POWERS[30], POWERS[15], 10, 38), Some(-POWERS[35]));
        assert_eq!(multiply(POWERS[30], POWERS[30], 10, 38), None);
        assert_eq!(divide(1, 3, 6, 38), Some(333_333));
        assert_eq!(divide(2, -3, 6, 38), Some(-666_667));
        assert_eq!(divide(POWERS[37], POWERS[38], 44, 38), None);
        assert_eq!(divide(POWERS[37], POWERS[38], 38, 38), Some(POWERS[37]));
        assert_eq!(remainder(POWERS[38] - 1, 0, 7, 10), 4);
        assert_eq!(remainder(-75, 1, 2, 0), -15);
    }

    #[test]
    fn fast_and_wide_paths_agree() {
        // A multiplicative sequence of values of all sizes.
        let mut state = 1u128;
        let mut next = || {
            state = state.wrapping_mul(0xDA94_2042_E4DD_58B5_0000_0000_0000_0001).wrapping_add(0x9E37_79B9_7F4A_7C15);
            let value = ((state >> 1) as i128 % POWERS[38]) >> (state % 120) as u32;
            if state.is_multiple_of(2) { value } else { -value }
        };
        let wide_half_up = |n: i256, d: i256| wide_divide_half_up(n, d);
        for round in 0..2000u32 {
            let (a, b, drop) = (next(), next(), round % 7);
            let product = i256::from_i128(a).wrapping_mul(i256::from_i128(b));
            let expected = wide_half_up(product, i256::from_i128(power(drop))).and_then(|v| fit(v, 38));
            assert_eq!(multiply(a, b, drop, 38), expected, "{a} * {b} / 10^{drop}");
            if b != 0 {
                let (shift, small) = ((round % 30) as i32, a % POWERS[38]);
                let scaled = i256::from_i128(small).wrapping_mul(i256::from_i128(power(shift as u32)));
                let expected = wide_half_up(scaled, i256::from_i128(b)).and_then(|v| fit(v, 38));
                assert_eq!(divide(small, b, shift, 38), expected, "{small} * 10^{shift} / {b}");
            }
        }
    }

    #[test]
    fn text_round_trips() {
        for (value, scale, text) in [(1230, 2, "12.30"), (-5, 2, "-0.05"), (0, 3, "0.000"), (7, 0, "7"), (1, 7, "1E-7"), (12, 8, "1.2E-7")]
        {
            assert_eq!(format(value, scale), text);
            assert_eq!(parse_as(text, 38, scale), Some(Some(value)));
        }
        assert_eq!(parse("1e3"), Some((1, -3)));
        assert_eq!(parse("1.5e+1"), Some((15, 0)));
        for bad in ["", ".", "1.2.3", "e5", "1e", "abc", "--1", "1e++1"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert_eq!(parse_as("9.995", 3, 2), Some(None));
        assert_eq!(to_f64(12345, 2), 123.45);
        assert_eq!(from_f64(0.1, 10, 3), Some(100));
        assert_eq!(from_f64(f64::NAN, 10, 3), None);
    }
}
