//! Texts of integers and floating-point numbers, in Spark's (Java's) forms.

use std::fmt::Write;

/// Floats that keys of groups, joins and orders can be made of.
pub trait KeyFloat {
    /// The value itself, but 0.0 for -0.0 and one NaN for all.
    fn canonical(self) -> Self;
}

macro_rules! key_float {
    ($($t:ident)*) => {$(
        impl KeyFloat for $t {
            #[inline(always)]
            fn canonical(self) -> Self {
                if self.is_nan() { $t::NAN.abs() } else { self + 0.0 }
            }
        }
    )*};
}
key_float!(f32 f64);

/// A double as Java prints it: shortest digits that read back the same, plain from 1e-3 up to 1e7 with at least one fraction
/// digit, else `1.0E10`.
pub fn write_f64(value: f64, out: &mut String) {
    if write_special(value, out) {
        return;
    }
    let magnitude = value.abs();
    if magnitude == 0.0 || (1e-3..1e7).contains(&magnitude) {
        let _ = write!(out, "{value:?}");
    } else {
        write_exponent(format!("{value:e}"), out);
    }
}

/// As [`write_f64`], of a float.
pub fn write_f32(value: f32, out: &mut String) {
    if write_special(f64::from(value), out) {
        return;
    }
    let magnitude = value.abs();
    if magnitude == 0.0 || (1e-3..1e7).contains(&magnitude) {
        let _ = write!(out, "{value:?}");
    } else {
        write_exponent(format!("{value:e}"), out);
    }
}

/// What [`write_f64`] appends.
pub fn format_f64(value: f64) -> String {
    let mut out = String::new();
    write_f64(value, &mut out);
    out
}

/// `8.0 MiB`, as Spark's `bytesToString`: the largest unit of which there are at least two.
pub fn format_bytes(n: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let unit = (1..UNITS.len()).rev().find(|u| n >= 2 << (10 * u)).unwrap_or(0);
    format!("{:.1} {}", n as f64 / (1u64 << (10 * unit)) as f64, UNITS[unit])
}

/// `1,234,567`.
pub fn format_count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A time in nanoseconds as Spark's `msDurationToString` has it: `12 ms`, `1.5 s`, `2.0 m`, `1.00 h`; below ten milliseconds with
/// two digits more.
pub fn format_nanos(n: u64) -> String {
    let ms = n as f64 / 1e6;
    match ms {
        _ if ms < 10.0 => format!("{ms:.2} ms"),
        _ if ms < 1e3 => format!("{ms:.0} ms"),
        _ if ms < 6e4 => format!("{:.1} s", ms / 1e3),
        _ if ms < 3.6e6 => format!("{:.1} m", ms / 6e4),
        _ => format!("{:.2} h", ms / 3.6e6),
    }
}

fn write_special(value: f64, out: &mut String) -> bool {
    if value.is_nan() {
        out.push_str("NaN");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "Infinity" } else { "-Infinity" });
    }
    !value.is_finite()
}

fn write_exponent(text: String, out: &mut String) {
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    out.push_str(digits);
    if !digits.contains('.') {
        out.push_str(".0");
    }
    out.push('E');
    out.push_str(exponent);
}

/// Spark's reading of an integer: surrounding whitespace, one sign, digits.
pub fn parse_i64(text: &str) -> Option<i64> {
    let text = trim(text);
    let digits = text.strip_prefix('+').unwrap_or(text);
    if digits.is_empty() || (digits.len() < text.len() && digits.starts_with(['-', '+'])) {
        return None;
    }
    digits.parse().ok()
}

/// Spark's reading of a double: surrounding whitespace, exponent, a suffix `d` or `f`, `Infinity`, `inf`, `NaN` in any case.
pub fn parse_f64(text: &str) -> Option<f64> {
    let text = trim(text);
    let (sign, bare) = match text.as_bytes().first()? {
        b'-' => (-1.0, &text[1..]),
        b'+' => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    match bare.to_ascii_lowercase().as_str() {
        "inf" | "infinity" => return Some(sign * f64::INFINITY),
        "nan" => return (sign > 0.0 && bare.len() == text.len()).then_some(f64::NAN),
        _ => {}
    }
    let bare = bare.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(bare);
    if !bare.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-')) || bare.starts_with(['+', '-']) {
        return None;
    }
    bare.parse::<f64>().ok().map(|v| sign * v)
}

/// Spark's reading of a boolean.
pub fn parse_bool(text: &str) -> Option<bool> {
    match trim(text).to_ascii_lowercase().as_str() {
        "t" | "true" | "y" | "yes" | "1" => Some(true),
        "f" | "false" | "n" | "no" | "0" => Some(false),
        _ => None,
    }
}

/// Without the whitespace and control characters that Spark's casts skip at both ends.
pub fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c <= ' ' || c == '\u{7f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_in_words() {
        assert_eq!([0, 2047, 8 << 20, u64::MAX].map(format_bytes), ["0.0 B", "2047.0 B", "8.0 MiB", "16.0 EiB"]);
        assert_eq!([0, 999, 1000, 1_234_567].map(format_count), ["0", "999", "1,000", "1,234,567"]);
        let times = [120_000, 12_400_000, 1_500_000_000, 90_000_000_000, 5_400_000_000_000];
        assert_eq!(times.map(format_nanos), ["0.12 ms", "12 ms", "1.5 s", "1.5 m", "1.50 h"]);
    }

    #[test]
    fn doubles_as_java_prints_them() {
        for (v, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (0.001, "0.001"),
            (0.0001, "1.0E-4"),
            (1e7, "1.0E7"),
            (9999999.0, "9999999.0"),
            (1.25e-10, "1.25E-10"),
            (123456789.125, "1.23456789125E8"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(format_f64(v), text);
        }
    }

    #[test]
    fn numbers_as_spark_reads_them() {
        assert_eq!(parse_i64(" +12\n"), Some(12));
        for bad in ["", "+", "1.5", "+-1", "1 2", "99999999999999999999"] {
            assert_eq!(parse_i64(bad), None, "{bad}");
        }
        assert_eq!(parse_f64(" -1.5e3 "), Some(-1500.0));
        assert_eq!(parse_f64("1d"), Some(1.0));
        assert_eq!(parse_f64("-Infinity"), Some(f64::NEG_INFINITY));
        for bad in ["", "x", "1e", "--1", "0x10"] {
            assert_eq!(parse_f64(bad), None, "{bad}");
        }
        assert_eq!((parse_bool("YES"), parse_bool("0"), parse_bool("2")), (Some(true), Some(false), None));
    }
}
