//! Functions of words and codes: phonetic and check digits, masks, quotes, number systems.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, PrimitiveArray};
use arrow::datatypes::{DataType as ArrowType, Int32Type};

use super::value::{Arg, Bytes, Value, build_boolean, build_bytes, build_strings, extent, wrap};
use crate::base::{Error, ErrorClass, Result};
use crate::expr::ScalarFunction;

type Ints = PrimitiveArray<Int32Type>;

pub(super) fn evaluate(function: ScalarFunction, args: &[Value], rows: usize) -> Result<Value> {
    use ScalarFunction::*;
    let refs: Vec<&Value> = args.iter().collect();
    let (n, scalar) = extent(&refs, rows);
    if function == Elt {
        return Ok(wrap(elt(args, n)?, scalar));
    }
    let text = Arg::string(&args[0])?;
    let array: ArrayRef = match function {
        Soundex => build_strings(&refs, n, |i, out| {
            soundex(text.at(i), out);
            Ok(true)
        })?,
        Quote => build_strings(&refs, n, |i, out| {
            out.push('\'');
            out.push_str(&text.at(i).replace('\'', "\\'"));
            out.push('\'');
            Ok(true)
        })?,
        LuhnCheck => Arc::new(build_boolean(&refs, n, |i| luhn_check(text.at(i)))),
        Mask => {
            let with = args[1..].iter().map(Arg::string).collect::<Result<Vec<_>>>()?;
            let defaults = [Some('X'), Some('x'), Some('n'), None];
            // A NULL leaves its kind of character as it is.
            build_strings(&refs[..1], n, |i, out| {
                let given = |k: usize| with.get(k).map_or(defaults[k], |w| if w.is_null(i) { None } else { w.at(i).chars().next() });
                let masks = [0, 1, 2, 3].map(given);
                out.extend(text.at(i).chars().map(|c| {
                    let kind = match c {
                        c if c.is_uppercase() => 0,
                        c if c.is_lowercase() => 1,
                        c if c.is_ascii_digit() => 2,
                        _ => 3,
                    };
                    masks[kind].unwrap_or(c)
                }));
                Ok(true)
            })?
        }
        Conv => {
            let (from, to) = (Arg::<Ints>::primitive(&args[1])?, Arg::<Ints>::primitive(&args[2])?);
            build_strings(&refs, n, |i, out| convert(text.at(i), from.at(i), to.at(i), out))?
        }
        other => return Err(Error::internal(format!("`{}` is no function of words", other.name()))),
    };
    Ok(wrap(array, scalar))
}

/// The `n`-th of the other arguments.
fn elt(args: &[Value], rows: usize) -> Result<ArrayRef> {
    let index = Arg::<Ints>::primitive(&args[0])?;
    let choices = &args[1..];
    let chosen = |i: usize| -> Result<usize> {
        let at = index.at(i);
        usize::try_from(at).ok().and_then(|a| a.checked_sub(1)).filter(|a| *a < choices.len()).ok_or_else(|| {
            let message = format!("The index {at} is out of bounds. The array has {} elements.", choices.len());
            Error::new(ErrorClass::InvalidArrayIndex, message)
        })
    };
    let is_null = |v: &Value, i: usize| v.inner().is_null(i * v.step());
    let bytes = choices.iter().map(Bytes::new).collect::<Result<Vec<_>>>()?;
    if choices.first().is_some_and(|c| c.inner().data_type() == &ArrowType::BinaryView) {
        return build_bytes(&[&args[0]], rows, |i, out| {
            let at = chosen(i)?;
            out.extend_from_slice(bytes[at].at(i));
            Ok(!is_null(&choices[at], i))
        });
    }
    build_strings(&[&args[0]], rows, |i, out| {
        let at = chosen(i)?;
        out.push_str(&String::from_utf8_lossy(bytes[at].at(i)));
        Ok(!is_null(&choices[at], i))
    })
}

/// Spark's Soundex code; a text that does not begin with a letter as it is.
fn soundex(text: &str, out: &mut String) {
    /// 0: vowels; 7: letters that do not even part equal codes.
    const CODES: &[u8; 26] = b"01230127022455012623017202";
    let Some(first) = text.bytes().next().filter(u8::is_ascii_alphabetic) else {
        out.push_str(text);
        return;
    };
    let code = |b: u8| CODES[usize::from(b.to_ascii_uppercase() - b'A')];
    out.push(char::from(first.to_ascii_uppercase()));
    let mut last = code(first);
    for b in text.bytes().skip(1) {
        if !b.is_ascii_alphabetic() {
            last = b'0';
            continue;
        }
        let c = code(b);
        if c == b'7' {
            continue;
        }
        if c != b'0' && c != last {
            out.push(char::from(c));
            if out.len() == 4 {
                return;
            }
        }
        last = c;
    }
    out.extend(std::iter::repeat_n('0', 4 - out.len()));
}

/// Whether the digits end in their check digit.
fn luhn_check(digits: &str) -> bool {
    let doubled = |d: u32| if d > 4 { d * 2 - 9 } else { d * 2 };
    let values: Option<Vec<u32>> = digits.chars().rev().map(|c| c.to_digit(10)).collect();
    let sum = |v: Vec<u32>| v.iter().enumerate().map(|(i, d)| if i % 2 == 1 { doubled(*d) } else { *d }).sum::<u32>();
    values.is_some_and(|v| !v.is_empty() && sum(v).is_multiple_of(10))
}

/// A whole number from one base to another, both 2 to 36; what follows the last digit is left out. Numbers are unsigned with
/// 64 bits, and signed where the new base is negative. False for NULL.
///
/// # Errors
/// `ArithmeticOverflow`.
fn convert(number: &str, from: i32, to: i32, out: &mut String) -> Result<bool> {
    let number = number.trim_matches(' ');
    let (base, new) = (from as u32, u64::from(to.unsigned_abs()));
    if !(2..=36).contains(&from) || !(2..=36).contains(&new) || number.is_empty() {
        return Ok(false);
    }
    let (mut negative, digits) = number.strip_prefix('-').map_or((false, number), |d| (true, d));
    let overflow = || Error::new(ErrorClass::ArithmeticOverflow, "Overflow in function conv().");
    let mut value = 0u64;
    for digit in digits.chars().map_while(|c| c.to_digit(base)) {
        value = value.checked_mul(u64::from(base)).and_then(|v| v.checked_add(u64::from(digit))).ok_or_else(overflow)?;
    }
    if negative && to > 0 {
        value = if (value as i64) < 0 { u64::MAX } else { value.wrapping_neg() };
    }
    if to < 0 && (value as i64) < 0 {
        value = value.wrapping_neg();
        negative = true;
    }
    let mut reversed = vec![];
    loop {
        reversed.extend(char::from_digit((value % new) as u32, 36).map(|c| c.to_ascii_uppercase()));
        value /= new;
        if value == 0 {
            break;
        }
    }
    if negative && to < 0 {
        out.push('-');
    }
    out.extend(reversed.iter().rev());
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_systems() {
        for (number, from, to, expected) in [
            ("100", 2, 10, Some("4")),
            ("-10", 16, -10, Some("-16")),
            ("-15", 10, 16, Some("FFFFFFFFFFFFFFF1")),
            ("9223372036854775808", 10, -10, Some("-9223372036854775808")),
            ("-18446744073709551615", 10, 16, Some("FFFFFFFFFFFFFFFF")),
            (" 15 ", 10, 16, Some("F")),
            ("1z", 10, 16, Some("1")),
            ("-", 10, 2, Some("0")),
            ("", 10, 2, None),
            ("15", 10, 37, None),
        ] {
            let mut out = String::new();
            let found = convert(number, from, to, &mut out).unwrap();
            assert_eq!(found.then_some(out.as_str()), expected, "{number} {from} {to}");
        }
        assert!(convert("18446744073709551616", 10, 16, &mut String::new()).is_err());
    }

    #[test]
    fn codes() {
        for (text, expected) in [("Miller", "M460"), ("Robert", "R163"), ("Tymczak", "T522"), ("3a", "3a"), ("", ""), ("a", "A000")] {
            let mut out = String::new();
            soundex(text, &mut out);
            assert_eq!(out, expected);
        }
        assert!(luhn_check("79927398713") && !luhn_check("79927398714") && !luhn_check("") && !luhn_check("a1"));
    }
}
