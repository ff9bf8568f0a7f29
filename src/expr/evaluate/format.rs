//! `format_string`, as `java.util.Formatter` does it, and `format_number`.

use arrow::array::{Array, ArrayRef, PrimitiveArray};
use arrow::datatypes::Int32Type;

use super::value::{Arg, Value, build_strings, extent, wrap};
use super::{scalar, text};
use crate::base::{DataType, Error, ErrorClass, Result, Scalar};
use crate::expr::ScalarFunction;

/// Most characters that one conversion may be padded to.
const WIDEST: usize = 1 << 20;

pub(super) fn evaluate(function: ScalarFunction, args: &[Value], types: &[DataType], rows: usize) -> Result<Value> {
    let (n, is_scalar) = extent(&args.iter().collect::<Vec<_>>(), rows);
    let at = |arg: usize, row: usize| Argument { array: args[arg].inner(), row: row * args[arg].step(), data_type: &types[arg] };
    let array = match function {
        ScalarFunction::FormatString => {
            let format = Arg::string(&args[0])?;
            build_strings(&[&args[0]], n, |row, out| {
                format_string(format.at(row), args.len() - 1, |i| at(i + 1, row), out)?;
                Ok(true)
            })?
        }
        _ if types[1] == DataType::String => {
            let pattern = Arg::string(&args[1])?;
            build_strings(&args.iter().collect::<Vec<_>>(), n, |row, out| {
                let pattern = NumberPattern::parse(pattern.at(row))?;
                write_number(&at(0, row).scalar()?, &pattern, out);
                Ok(true)
            })?
        }
        _ => {
            let places = Arg::<PrimitiveArray<Int32Type>>::primitive(&args[1])?;
            build_strings(&args.iter().collect::<Vec<_>>(), n, |row, out| {
                let Ok(places) = usize::try_from(places.at(row)) else { return Ok(false) };
                let pattern = NumberPattern { grouped: true, least_whole: 1, least: places.min(WIDEST), most: places.min(WIDEST) };
                write_number(&at(0, row).scalar()?, &pattern, out);
                Ok(true)
            })?
        }
    };
    Ok(wrap(array, is_scalar))
}

/// A value to be formatted.
struct Argument<'a> {
    array: &'a ArrayRef,
    row: usize,
    data_type: &'a DataType,
}

impl Argument<'_> {
    fn scalar(&self) -> Result<Scalar> {
        scalar::from_array(self.array.as_ref(), self.row)
    }

    /// As a cast to string gives it; dates and timestamps as the numbers that Spark hands to the formatter.
    fn text(&self) -> Result<String> {
        let mut out = String::new();
        match self.scalar() {
            Ok(Scalar::Date(days)) => out.push_str(&days.to_string()),
            Ok(Scalar::Timestamp(micros)) => out.push_str(&micros.to_string()),
            _ => text::write_value(self.array.as_ref(), self.row, self.data_type, &mut out)?,
        }
        Ok(out)
    }
}

/// One `%…` of a format.
#[derive(Default)]
struct Specifier {
    flags: Vec<char>,
    width: usize,
    precision: Option<usize>,
    conversion: char,
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorClass::InvalidParameter, message)
}

fn format_string<'a>(format: &str, count: usize, argument: impl Fn(usize) -> Argument<'a>, out: &mut String) -> Result<()> {
    let (mut rest, mut next, mut last) = (format, 0, None);
    while let Some(start) = rest.find('%') {
        out.push_str(&rest[..start]);
        let (specifier, index, after) = specifier(&rest[start..])?;
        let whole = &rest[start..rest.len() - after.len()];
        rest = after;
        match specifier.conversion {
            'n' if specifier.width == 0 && specifier.flags.is_empty() => out.push('\n'),
            'n' => return Err(invalid(format!("The specifier '{whole}' takes neither flags nor a width."))),
            '%' => specifier.pad("%", out),
            _ => {
                let at = match index {
                    Index::Next => {
                        next += 1;
                        next - 1
                    }
                    Index::Number(n) => n.wrapping_sub(1),
                    Index::Last => last.ok_or_else(|| invalid(format!("Format specifier '{whole}' has no argument before it.")))?,
                };
                if at >= count {
                    return Err(invalid(format!("There is no argument for the format specifier '{whole}'.")));
                }
                last = Some(at);
                specifier.write(&argument(at), out)?;
            }
        }
    }
    out.push_str(rest);
    Ok(())
}

enum Index {
    Next,
    Number(usize),
    /// `<`: the argument used last.
    Last,
}

/// The specifier that a text begins with, and the rest of the text.
fn specifier(text: &str) -> Result<(Specifier, Index, &str)> {
    let (mut spec, mut index) = (Specifier::default(), Index::Next);
    let mut rest = &text[1..];
    let number = |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let digits = number(rest);
    if digits > 0 && rest[digits..].starts_with('$') {
        index = Index::Number(rest[..digits].parse().map_err(|_| invalid("An argument index of `format_string` is too large."))?);
        rest = &rest[digits + 1..];
    }
    while let Some(flag) = rest.chars().next().filter(|c| "-#+ 0,(<".contains(*c)) {
        if flag == '<' {
            index = Index::Last;
        } else if spec.flags.contains(&flag) {
            return Err(invalid(format!("The flag '{flag}' is there twice in '{text}'.")));
        } else {
            spec.flags.push(flag);
        }
        rest = &rest[1..];
    }
    let size = |rest: &mut &str| -> Result<usize> {
        let (digits, after) = rest.split_at(number(rest));
        *rest = after;
        digits.parse().ok().filter(|n| *n <= WIDEST).ok_or_else(|| invalid(format!("A width or precision in '{text}' is invalid.")))
    };
    if rest.starts_with(|c: char| c.is_ascii_digit()) {
        spec.width = size(&mut rest)?;
    }
    if let Some(after) = rest.strip_prefix('.') {
        rest = after;
        spec.precision = Some(size(&mut rest)?);
    }
    let unknown = || invalid(format!("The format specifier '{text}' is incomplete."));
    spec.conversion = rest.chars().next().ok_or_else(unknown)?;
    if (spec.has('-') || spec.has('0')) && spec.width == 0 || spec.has('-') && spec.has('0') {
        return Err(invalid(format!("The flags '-' and '0' need a width, and exclude each other: '{text}'.")));
    }
    if spec.has('+') && spec.has(' ') {
        return Err(invalid(format!("The flags '+' and ' ' exclude each other: '{text}'.")));
    }
    let rest = &rest[spec.conversion.len_utf8()..];
    Ok((spec, index, rest))
}

impl Specifier {
    fn has(&self, flag: char) -> bool {
        self.flags.contains(&flag)
    }

    fn pad(&self, text: &str, out: &mut String) {
        let missing = self.width.saturating_sub(text.chars().count());
        let spaces = std::iter::repeat_n(' ', missing);
        if self.has('-') {
            out.push_str(text);
            out.extend(spaces);
        } else {
            out.extend(spaces);
            out.push_str(text);
        }
    }

    fn write(&self, argument: &Argument<'_>, out: &mut String) -> Result<()> {
        let text = match self.conversion.to_ascii_lowercase() {
            's' | 'b' => {
                let text = match (self.conversion.to_ascii_lowercase(), argument.scalar()) {
                    ('b', Ok(Scalar::Boolean(b))) => b.to_string(),
                    ('b', _) => argument.array.is_valid(argument.row).to_string(),
                    _ => argument.text()?,
                };
                self.precision.map_or(text.clone(), |p| text.chars().take(p).collect())
            }
            // All others say `null` of a NULL, or as much of it as the precision allows.
            'c' | 'd' | 'x' | 'o' | 'e' | 'f' | 'g' if argument.array.is_null(argument.row) => {
                "null".chars().take(self.precision.unwrap_or(4)).collect()
            }
            'c' => {
                let code = self.whole(argument)?.0;
                let c = u32::try_from(code).ok().and_then(char::from_u32);
                c.ok_or_else(|| invalid(format!("{code} is no code point of a character.")))?.to_string()
            }
            'd' => {
                let value = self.whole(argument)?.0;
                self.signed(value < 0, &value.unsigned_abs().to_string())
            }
            'x' | 'o' => self.radix(argument)?,
            'e' | 'f' | 'g' => self.fraction(argument)?,
            'a' | 'h' | 't' => return Err(Error::unsupported(format!("The conversion '%{}' of `format_string`", self.conversion))),
            other => return Err(invalid(format!("'%{other}' is no conversion of `format_string`."))),
        };
        let upper = self.conversion.is_ascii_uppercase();
        if upper && "dfo".contains(self.conversion.to_ascii_lowercase()) {
            return Err(invalid(format!("'%{}' is no conversion of `format_string`.", self.conversion)));
        }
        self.pad(&if upper { text.to_uppercase() } else { text }, out);
        Ok(())
    }

    /// A whole number and the bits of its type.
    fn whole(&self, argument: &Argument<'_>) -> Result<(i64, u32)> {
        if self.precision.is_some() {
            return Err(invalid(format!("A precision does not go with '%{}'.", self.conversion)));
        }
        Ok(match argument.scalar()? {
            Scalar::Byte(v) => (v.into(), 8),
            Scalar::Short(v) => (v.into(), 16),
            Scalar::Int(v) | Scalar::Date(v) => (v.into(), 32),
            Scalar::Long(v) | Scalar::Timestamp(v) => (v, 64),
            _ => return Err(self.mismatch(argument)),
        })
    }

    fn mismatch(&self, argument: &Argument<'_>) -> Error {
        let t = argument.data_type.to_string().to_uppercase();
        invalid(format!("The conversion '%{}' of `format_string` does not take the type \"{t}\".", self.conversion))
    }

    fn radix(&self, argument: &Argument<'_>) -> Result<String> {
        let (value, bits) = self.whole(argument)?;
        let pattern = value as u64 & (u64::MAX >> (64 - bits));
        let (digits, prefix) = match self.conversion {
            'o' => (format!("{pattern:o}"), "0"),
            _ => (format!("{pattern:x}"), "0x"),
        };
        let prefix = if self.has('#') { prefix } else { "" };
        let zeros = if self.has('0') { self.width.saturating_sub(prefix.len() + digits.len()) } else { 0 };
        Ok(format!("{prefix}{}{digits}", "0".repeat(zeros)))
    }

    /// Sign, groups and leading zeros for the digits of a number.
    fn signed(&self, negative: bool, digits: &str) -> String {
        let (whole, fraction) = digits.split_at(digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len()));
        let mut body = if self.has(',') { grouped(whole) } else { whole.to_string() };
        body.push_str(fraction);
        let (before, after) = match negative {
            true if self.has('(') => ("(", ")"),
            true => ("-", ""),
            false if self.has('+') => ("+", ""),
            false if self.has(' ') => (" ", ""),
            false => ("", ""),
        };
        let zeros = if self.has('0') { self.width.saturating_sub(before.len() + body.len() + after.len()) } else { 0 };
        format!("{before}{}{body}{after}", "0".repeat(zeros))
    }

    fn fraction(&self, argument: &Argument<'_>) -> Result<String> {
        let value = argument.scalar()?;
        if let Some(special) = not_finite(&value) {
            let text = match special {
                Special::NaN => "NaN",
                Special::Infinite { negative: false } if self.has('+') => "+Infinity",
                Special::Infinite { negative: false } => "Infinity",
                Special::Infinite { negative: true } if self.has('(') => "(Infinity)",
                Special::Infinite { negative: true } => "-Infinity",
            };
            return Ok(text.into());
        }
        let number = Digits::of(&value).filter(|_| !argument.data_type.is_integral()).ok_or_else(|| self.mismatch(argument))?;
        let precision = self.precision.unwrap_or(6);
        let digits = match self.conversion.to_ascii_lowercase() {
            'f' => number.round(precision as i64, Rounding::HalfUp).fixed(precision),
            'e' => number.scientific(precision),
            _ => {
                // By size; the precision is of all digits.
                let precision = precision.max(1);
                let rounded = number.round(precision as i64 - number.exponent - 1, Rounding::HalfUp);
                if rounded.is_zero() || (-4..precision as i64).contains(&rounded.exponent) {
                    let exponent = if rounded.is_zero() { 0 } else { rounded.exponent };
                    rounded.fixed((precision as i64 - exponent - 1).max(0) as usize)
                } else {
                    number.scientific(precision - 1)
                }
            }
        };
        Ok(self.signed(number.negative, &digits))
    }
}

enum Special {
    NaN,
    Infinite { negative: bool },
}

fn not_finite(value: &Scalar) -> Option<Special> {
    let v = match value {
        Scalar::Double(v) => *v,
        Scalar::Float(v) => f64::from(*v),
        _ => return None,
    };
    match v {
        v if v.is_nan() => Some(Special::NaN),
        v if v.is_infinite() => Some(Special::Infinite { negative: v < 0.0 }),
        _ => None,
    }
}

fn grouped(whole: &str) -> String {
    let mut out = String::new();
    for (i, d) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(d);
    }
    out
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Rounding {
    HalfUp,
    HalfEven,
}

/// A finite number as decimal digits: `0.d₁d₂… × 10^(exponent + 1)`.
#[derive(Clone)]
struct Digits {
    negative: bool,
    /// Without zeros at the front; empty for zero.
    digits: Vec<u8>,
    /// The power of ten of the first digit.
    exponent: i64,
}

impl Digits {
    /// The shortest digits that read back as the number; `None` unless it is one.
    fn of(value: &Scalar) -> Option<Self> {
        let text = match value {
            Scalar::Double(v) => format!("{v:e}"),
            Scalar::Float(v) => format!("{v:e}"),
            Scalar::Decimal { value, scale, .. } => format!("{value}e{}", -i64::from(*scale)),
            other => format!("{}e0", other.as_i128()?),
        };
        let (mantissa, power) = text.split_once('e')?;
        let negative = mantissa.starts_with('-');
        let (whole, fraction) = mantissa.trim_start_matches('-').split_once('.').unwrap_or((mantissa.trim_start_matches('-'), ""));
        let all: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|b| b - b'0').collect();
        let zeros = all.iter().take_while(|d| **d == 0).count();
        let exponent = power.parse::<i64>().ok()? + whole.len() as i64 - 1 - zeros as i64;
        Some(Self { negative, digits: all[zeros..].to_vec(), exponent })
    }

    fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    /// With at most so many digits after the point (before it, where negative).
    fn round(&self, places: i64, rounding: Rounding) -> Self {
        let kept = self.exponent + 1 + places;
        if kept >= self.digits.len() as i64 {
            return self.clone();
        }
        let mut out = self.clone();
        if kept < 0 {
            out.digits.clear();
            return out;
        }
        let kept = kept as usize;
        let rest = out.digits.split_off(kept);
        let half = rest[0] == 5 && rest[1..].iter().all(|d| *d == 0);
        let odd = out.digits.last().is_some_and(|d| d % 2 == 1);
        let up = rest[0] > 5 || rest[0] == 5 && (!half || rounding == Rounding::HalfUp || odd);
        if up {
            let nines = out.digits.iter().rev().take_while(|d| **d == 9).count();
            let at = kept - nines;
            out.digits[at..].fill(0);
            match at.checked_sub(1) {
                Some(before) => out.digits[before] += 1,
                None => {
                    out.digits.insert(0, 1);
                    out.exponent += 1;
                }
            }
        }
        out
    }

    /// The digit of a power of ten.
    fn digit(&self, power: i64) -> char {
        let at = usize::try_from(self.exponent - power).ok();
        char::from(b'0' + at.and_then(|a| self.digits.get(a)).copied().unwrap_or(0))
    }

    /// Without a sign, with so many digits after the point.
    fn fixed(&self, places: usize) -> String {
        let top = if self.is_zero() { 0 } else { self.exponent.max(0) };
        let mut out: String = (0..=top).rev().map(|p| self.digit(p)).collect();
        if places > 0 {
            out.push('.');
            out.extend((1..=places as i64).map(|p| self.digit(-p)));
        }
        out
    }

    /// `d.ddde+xx` without a sign.
    fn scientific(&self, places: usize) -> String {
        let rounded = self.round(places as i64 - self.exponent, Rounding::HalfUp);
        let exponent = if rounded.is_zero() { 0 } else { rounded.exponent };
        let mut out = String::from(rounded.digit(exponent));
        if places > 0 {
            out.push('.');
            out.extend((1..=places as i64).map(|p| rounded.digit(exponent - p)));
        }
        format!("{out}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
    }
}

/// What `format_number` takes of `java.text.DecimalFormat`: groups of three, least digits before, least and most after the point.
struct NumberPattern {
    grouped: bool,
    least_whole: usize,
    least: usize,
    most: usize,
}

impl NumberPattern {
    /// # Errors
    /// `Unsupported` for patterns of other characters than `#`, `0`, comma and point.
    fn parse(pattern: &str) -> Result<Self> {
        let (whole, fraction) = pattern.split_once('.').unwrap_or((pattern, ""));
        let plain = whole.trim_start_matches(['#', ',']).chars().all(|c| "0,".contains(c));
        let groups = whole.rsplit_once(',').is_none_or(|(_, last)| last.len() == 3);
        let zeros = fraction.len() - fraction.trim_start_matches('0').len();
        if !plain || !groups || !fraction[zeros..].chars().all(|c| c == '#') {
            return Err(Error::unsupported(format!("The pattern '{pattern}' of `format_number`")));
        }
        let least_whole = whole.matches('0').count();
        Ok(Self { grouped: whole.contains(','), least_whole, least: zeros, most: fraction.len() })
    }
}

/// HALF_EVEN, as `DecimalFormat` rounds.
fn write_number(value: &Scalar, pattern: &NumberPattern, out: &mut String) {
    match (not_finite(value), Digits::of(value)) {
        (Some(Special::NaN), _) => out.push_str("NaN"),
        (Some(Special::Infinite { negative }), _) => out.push_str(if negative { "-∞" } else { "∞" }),
        (None, None) => {}
        (None, Some(number)) => {
            let text = number.round(pattern.most as i64, Rounding::HalfEven).fixed(pattern.most);
            let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
            let spare = fraction.len() - fraction.trim_end_matches('0').len();
            let fraction = &fraction[..fraction.len() - spare.min(pattern.most - pattern.least)];
            let whole = if whole == "0" { "" } else { whole };
            let whole = format!("{}{whole}", "0".repeat(pattern.least_whole.saturating_sub(whole.len())));
            if number.negative {
                out.push('-');
            }
            out.push_str(&if pattern.grouped { grouped(&whole) } else { whole });
            if !fraction.is_empty() {
                out.push('.');
                out.push_str(fraction);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formatted(format: &str, values: &[Scalar]) -> Result<String> {
        let arrays = values.iter().map(|v| scalar::to_array(v, 1)).collect::<Result<Vec<_>>>()?;
        let types: Vec<DataType> = values.iter().map(Scalar::data_type).collect();
        let mut out = String::new();
        format_string(format, values.len(), |i| Argument { array: &arrays[i], row: 0, data_type: &types[i] }, &mut out)?;
        Ok(out)
    }

    #[test]
    fn formats() {
        let decimal = Scalar::Decimal { value: -12_345, precision: 5, scale: 2 };
        for (format, value, expected) in [
            ("%5d|", Scalar::Int(1), "    1|"),
            ("%-5s|", Scalar::string("ab"), "ab   |"),
            ("%05.1f", Scalar::Double(2.25), "002.3"),
            ("%x", Scalar::Int(-1), "ffffffff"),
            ("%#X", Scalar::Byte(-1), "0XFF"),
            ("%,d", Scalar::Long(1_234_567), "1,234,567"),
            ("%e", Scalar::Double(12_345.678), "1.234568e+04"),
            ("%.3e", Scalar::Double(0.0), "0.000e+00"),
            ("%(.1f", decimal.clone(), "(123.5)"),
            ("%g", Scalar::Double(0.00001), "1.00000e-05"),
            ("%g", Scalar::Double(123.0), "123.000"),
            ("%c%%%n", Scalar::Int(65), "A%\n"),
            ("%1$s %<s", Scalar::Boolean(true), "true true"),
            ("%.2s", Scalar::string("abc"), "ab"),
            ("%d", Scalar::Null(DataType::Int), "null"),
            ("%b", Scalar::Null(DataType::Int), "false"),
        ] {
            assert_eq!(formatted(format, &[value]).unwrap(), expected, "{format}");
        }
        for (format, value) in [("%d", Scalar::string("a")), ("%s %s", Scalar::Int(1)), ("%.1d", Scalar::Int(1)), ("%q", Scalar::Int(1))] {
            assert_eq!(formatted(format, &[value]).unwrap_err().class, ErrorClass::InvalidParameter, "{format}");
        }
    }

    #[test]
    fn numbers() {
        for (value, pattern, expected) in [
            (Scalar::Double(0.5), "#,##0", "0"),
            (Scalar::Double(1.5), "#,##0", "2"),
            (Scalar::Double(999.999), "#,##0.00", "1,000.00"),
            (Scalar::Double(1e20), "#,##0.00", "100,000,000,000,000,000,000.00"),
            (Scalar::Double(12_332.123456), "###.###", "12332.123"),
            (Scalar::Int(12_345), "##,###.00", "12,345.00"),
            (Scalar::Double(f64::INFINITY), "0", "∞"),
        ] {
            let pattern = NumberPattern::parse(pattern);
            let mut out = String::new();
            write_number(&value, &pattern.unwrap(), &mut out);
            assert_eq!(out, expected);
        }
    }
}
