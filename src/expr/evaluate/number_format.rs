//! `to_char` and `to_number` of numbers: formats of `0`, `9`, separators, a currency sign and signs.

use arrow::array::PrimitiveArray;
use arrow::datatypes::Decimal128Type;

use super::decimal::narrow;
use super::maths::literal_text;
use super::scalar;
use super::value::{Arg, Value, build, build_strings, extent, wrap};
use crate::base::decimal::power;
use crate::base::{DataType, Error, ErrorClass, Result, Scalar};
use crate::expr::ScalarFunction;

/// The functions over evaluated arguments, of which the second is a format.
///
/// # Errors
/// `InvalidParameter` for a text that does not fit the format, unless tried.
pub(super) fn evaluate(function: ScalarFunction, args: &[Value], t: &DataType, rows: usize) -> Result<Value> {
    let (n, is_scalar) = extent(&args.iter().collect::<Vec<_>>(), rows);
    let format = NumberFormat::parse(&literal_text(&args[1])?)?;
    let value = &args[0];
    if function == ScalarFunction::ToChar {
        let texts = build_strings(&[value], n, |i, out| {
            let Scalar::Decimal { value, scale, .. } = scalar::from_array(value.inner().as_ref(), i * value.step())? else {
                return Err(Error::internal("to_char of what is no decimal"));
            };
            format.write(value, scale, out);
            Ok(true)
        })?;
        return Ok(wrap(texts, is_scalar));
    }
    let text = Arg::string(value)?;
    let numbers: PrimitiveArray<Decimal128Type> = build(&[value], n, |i| match format.read(text.at(i)) {
        None if function == ScalarFunction::ToNumber => Err(format.mismatch(text.at(i))),
        read => Ok(read),
    })?;
    let DataType::Decimal { precision, scale } = t else { return Err(Error::internal("to_number gives no decimal")) };
    Ok(wrap(narrow(numbers, *precision, *scale)?, is_scalar))
}

/// A format, taken apart.
#[derive(Debug, Clone, PartialEq)]
pub struct NumberFormat {
    text: String,
    sign: Sign,
    dollar: bool,
    /// Digits before the point, and where they are separated.
    whole: Vec<Whole>,
    point: bool,
    /// Digits after the point.
    fraction: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Sign {
    None,
    /// `S`, at the start or the end.
    Plus {
        leading: bool,
    },
    /// `MI`, at the start or the end.
    Minus {
        leading: bool,
    },
    /// `PR`
    Angle,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Whole {
    /// So many digits; `exact` where they begin with a `0`, so that none may be missing.
    Digits {
        count: usize,
        exact: bool,
    },
    Separator,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Token {
    Digit(bool),
    Separator,
    Point,
    Dollar,
    Plus,
    Minus,
    Angle,
}

impl Token {
    fn shown(self) -> &'static str {
        match self {
            Token::Digit(_) => "digit sequence",
            Token::Separator => ",",
            Token::Point => ". or D",
            Token::Dollar => "$",
            Token::Plus => "S",
            Token::Minus => "MI",
            Token::Angle => "PR",
        }
    }
}

impl NumberFormat {
    /// # Errors
    /// `InvalidParameter` for what is no format.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.to_ascii_uppercase();
        let invalid = |why: String| Error::new(ErrorClass::InvalidParameter, format!("The format is invalid: '{text}'. {why}"));
        let structure = "the structure of the format string must match: `[MI|S]` `[$]` `[0|9|G|,]*` `[.|D]` `[0|9]*` `[$]` `[PR|MI|S]`";
        let unexpected = |what: &str| invalid(format!("Found the unexpected {what} in the format string; {structure}."));
        if text.is_empty() {
            return Err(invalid("The number format string cannot be empty.".into()));
        }
        if !text.contains(['0', '9']) {
            return Err(invalid("The format string requires at least one number digit.".into()));
        }
        let mut tokens = vec![];
        let mut rest = text.as_str();
        while let Some(c) = rest.chars().next() {
            let (token, length) = match c {
                '0' | '9' => (Token::Digit(c == '0'), 1),
                ',' | 'G' => (Token::Separator, 1),
                '.' | 'D' => (Token::Point, 1),
                '$' => (Token::Dollar, 1),
                'S' => (Token::Plus, 1),
                _ if rest.starts_with("MI") => (Token::Minus, 2),
                _ if rest.starts_with("PR") => (Token::Angle, 2),
                other => return Err(unexpected(&format!("character '{other}'"))),
            };
            tokens.push(token);
            rest = &rest[length..];
        }
        for once in [Token::Point, Token::Dollar, Token::Plus, Token::Minus, Token::Angle] {
            if tokens.iter().filter(|t| **t == once).count() > 1 {
                return Err(invalid(format!("At most one {} is allowed in the number format.", once.shown())));
            }
        }
        let point = tokens.iter().position(|t| *t == Token::Point).unwrap_or(tokens.len());
        if tokens[point..].contains(&Token::Separator) {
            let why = "Thousands separators (, or G) may not appear after the decimal point in the number format.";
            return Err(invalid(why.into()));
        }
        let is_digit = |at: Option<usize>| at.and_then(|at| tokens.get(at)).is_some_and(|t| matches!(t, Token::Digit(_)));
        let lonely = |at: usize| tokens[at] == Token::Separator && !(is_digit(at.checked_sub(1)) && is_digit(Some(at + 1)));
        if (0..tokens.len()).any(lonely) {
            let why = "Thousands separators (, or G) must have digits in between them in the number format.";
            return Err(invalid(why.into()));
        }
        let first_digit = tokens.iter().position(|t| matches!(t, Token::Digit(_))).unwrap_or(0);
        if tokens.iter().rposition(|t| *t == Token::Dollar).is_some_and(|at| at > first_digit) {
            return Err(invalid("Currency characters must appear before digits in the number format.".into()));
        }

        let mut format = NumberFormat { text: text.clone(), sign: Sign::None, dollar: false, whole: vec![], point: false, fraction: 0 };
        let mut rest = tokens.as_slice();
        let mut next = |wanted: &dyn Fn(Token) -> bool| match rest.split_first() {
            Some((t, more)) if wanted(*t) => {
                rest = more;
                Some(*t)
            }
            _ => None,
        };
        format.sign = match next(&|t| matches!(t, Token::Plus | Token::Minus)) {
            Some(Token::Plus) => Sign::Plus { leading: true },
            Some(_) => Sign::Minus { leading: true },
            None => Sign::None,
        };
        format.dollar = next(&|t| t == Token::Dollar).is_some();
        while let Some(t) = next(&|t| matches!(t, Token::Digit(_) | Token::Separator)) {
            match (t, format.whole.last_mut()) {
                (Token::Digit(_), Some(Whole::Digits { count, .. })) => *count += 1,
                (Token::Digit(exact), _) => format.whole.push(Whole::Digits { count: 1, exact }),
                _ => format.whole.push(Whole::Separator),
            }
        }
        format.point = next(&|t| t == Token::Point).is_some();
        while format.point && next(&|t| matches!(t, Token::Digit(_))).is_some() {
            format.fraction += 1;
        }
        if format.sign == Sign::None {
            format.sign = match next(&|t| matches!(t, Token::Plus | Token::Minus | Token::Angle)) {
                Some(Token::Plus) => Sign::Plus { leading: false },
                Some(Token::Minus) => Sign::Minus { leading: false },
                Some(_) => Sign::Angle,
                None => Sign::None,
            };
        }
        match rest.first() {
            Some(t) => Err(unexpected(t.shown())),
            None => Ok(format),
        }
    }

    fn whole_digits(&self) -> usize {
        self.whole.iter().map(|w| if let Whole::Digits { count, .. } = w { *count } else { 0 }).sum()
    }

    /// Precision and scale of what `to_number` gives.
    pub fn decimal(&self) -> (usize, usize) {
        (self.whole_digits() + self.fraction, self.fraction)
    }

    /// Writes a decimal; `#` in the place of digits where it has more than the format.
    pub fn write(&self, value: i128, scale: i8, out: &mut String) {
        let negative = value < 0;
        let (whole, fraction) = {
            let digits = value.unsigned_abs().to_string();
            let scale = scale.max(0) as usize;
            let padded = format!("{digits:0>width$}", width = scale + 1);
            let (whole, fraction) = padded.split_at(padded.len() - scale);
            (whole.trim_start_matches('0').to_string(), fraction.trim_end_matches('0').to_string())
        };
        let places = self.whole_digits();
        let fits = whole.len() <= places && fraction.len() <= self.fraction;
        let start = out.len();
        match self.sign {
            Sign::Plus { leading: true } => out.push(if negative { '-' } else { '+' }),
            Sign::Minus { leading: true } => out.push(if negative { '-' } else { ' ' }),
            Sign::Angle if negative => out.push('<'),
            _ => {}
        }
        if self.dollar {
            out.push('$');
        }
        let mut place = 0;
        for part in &self.whole {
            match part {
                Whole::Separator if out.ends_with(|c: char| c.is_ascii_digit()) => out.push(','),
                Whole::Separator => blank(out),
                Whole::Digits { count, exact } => {
                    for _ in 0..*count {
                        match (place + whole.len()).checked_sub(places).and_then(|at| whole.as_bytes().get(at)) {
                            _ if !fits => out.push('#'),
                            Some(digit) => out.push(*digit as char),
                            None if *exact => out.push('0'),
                            None => blank(out),
                        }
                        place += 1;
                    }
                }
            }
        }
        if self.point {
            if out.len() > start && out.ends_with(' ') {
                out.pop();
                out.push('0');
            }
            out.push(if self.fraction > 0 { '.' } else { ' ' });
            for at in 0..self.fraction {
                out.push(if fits { fraction.as_bytes().get(at).map_or('0', |d| *d as char) } else { '#' });
            }
        }
        match self.sign {
            Sign::Plus { leading: false } => push_before_blanks(out, start, if negative { '-' } else { '+' }),
            Sign::Minus { leading: false } if negative => push_before_blanks(out, start, '-'),
            Sign::Minus { leading: false } => out.push(' '),
            Sign::Angle if negative => push_before_blanks(out, start, '>'),
            Sign::Angle => out.push_str("  "),
            _ => {}
        }
    }

    /// The number that a text in this format says, scaled by [`Self::decimal`]'s scale; `None` for any other text.
    pub fn read(&self, text: &str) -> Option<i128> {
        let text: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
        let mut rest = text.as_slice();
        let mut negative = false;
        let take = |wanted: u8, rest: &mut &[u8]| match rest.split_first() {
            Some((b, more)) if *b == wanted => {
                *rest = more;
                true
            }
            _ => false,
        };
        let mut angle = false;
        match self.sign {
            Sign::Plus { leading: true } => {
                negative = take(b'-', &mut rest);
                take(b'+', &mut rest);
            }
            Sign::Minus { leading: true } => negative = take(b'-', &mut rest),
            Sign::Angle => angle = take(b'<', &mut rest),
            _ => {}
        }
        if self.dollar && !take(b'$', &mut rest) {
            return None;
        }
        let length = rest.iter().position(|b| !b.is_ascii_digit() && *b != b',').unwrap_or(rest.len());
        let (whole, after) = rest.split_at(length);
        rest = after;
        let mut value = self.read_whole(whole)?;
        let mut fraction: &[u8] = &[];
        if self.point && take(b'.', &mut rest) {
            let length = rest.iter().position(|b| !b.is_ascii_digit()).unwrap_or(rest.len());
            (fraction, rest) = rest.split_at(length);
        }
        let digits = whole.iter().any(u8::is_ascii_digit) || !fraction.is_empty();
        if !digits || fraction.len() > self.fraction {
            return None;
        }
        for at in 0..self.fraction {
            value = value.checked_mul(10)?.checked_add(fraction.get(at).map_or(0, |d| i128::from(d - b'0')))?;
        }
        match self.sign {
            Sign::Plus { leading: false } => {
                negative = take(b'-', &mut rest);
                take(b'+', &mut rest);
            }
            Sign::Minus { leading: false } => negative = take(b'-', &mut rest),
            Sign::Angle if angle => {
                negative = take(b'>', &mut rest);
                if !negative {
                    return None;
                }
            }
            _ => {}
        }
        (rest.is_empty() && value < power(38)).then_some(if negative { -value } else { value })
    }

    /// Groups of digits from the right, each of at most its size; only the leftmost may be shorter, and if not exact only.
    fn read_whole(&self, text: &[u8]) -> Option<i128> {
        let mut given: Vec<&[u8]> = text.split(|b| *b == b',').collect();
        let mut value: Vec<u8> = vec![];
        let groups: Vec<(usize, bool)> =
            self.whole.iter().filter_map(|w| if let Whole::Digits { count, exact } = w { Some((*count, *exact)) } else { None }).collect();
        if given.len() > groups.len().max(1) || (groups.is_empty() && !text.is_empty()) {
            return None;
        }
        for (count, exact) in groups.iter().rev() {
            let group = given.pop().unwrap_or_default();
            if group.len() > *count || (*exact && group.len() < *count) {
                return None;
            }
            value.splice(0..0, group.iter().copied());
        }
        value.iter().try_fold(0i128, |so_far, d| so_far.checked_mul(10)?.checked_add(i128::from(d - b'0')))
    }

    /// The error for a text that does not fit.
    pub fn mismatch(&self, text: &str) -> Error {
        let message = format!("The format is invalid: {}. The input \"STRING\" {text} does not match the format.", self.text);
        Error::new(ErrorClass::InvalidParameter, message)
    }
}

/// A place without a digit; a sign before it moves on to the digits.
fn blank(out: &mut String) {
    match out.pop() {
        Some(sign @ ('+' | '-' | '<')) => out.extend([' ', sign]),
        other => out.extend(other.into_iter().chain([' '])),
    }
}

fn push_before_blanks(out: &mut String, start: usize, sign: char) {
    let at = start + out[start..].trim_end_matches(' ').len();
    out.insert(at, sign);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: i128, scale: i8, format: &str) -> String {
        let mut out = String::new();
        NumberFormat::parse(format).unwrap().write(value, scale, &mut out);
        out
    }

    #[test]
    fn numbers_as_spark_writes_them() {
        for (value, scale, format, expected) in [
            (454, 0, "999", "454"),
            (12, 0, "999", " 12"),
            (12, 0, "000", "012"),
            (12, 0, "9,999", "   12"),
            (12, 0, "0,000", "0,012"),
            (1, 0, "0,999", "0,  1"),
            (3, 0, "99,009.9", "   003.0"),
            (-12, 0, "999", " 12"),
            (12345, 0, "999", "###"),
            (12345, 0, "0G000", "# ###"),
            (1255, 2, "99.9", "##.#"),
            (125, 1, "99.99", "12.50"),
            (5, 1, ".9", ".5"),
            (12, 0, "99.", "12 "),
            (5, 0, "9.S", "5+ "),
            (-5, 0, "9.PR", "<5> "),
            (-125, 1, "S$9999.9", "-$  12.5"),
            (-1, 0, "9999PR", "   <1>"),
            (125, 1, "99.9PR", "12.5  "),
            (1, 0, "S999,999", "      +1"),
            (-1, 0, "MI9999", "   -1"),
            (1, 0, "MI9999", "    1"),
            (-5, 1, "S99.9", "  -.5"),
            (5, 1, "$99.9", "$ 0.5"),
            (0, 0, "9S", "+ "),
            (0, 0, "S9", " +"),
            (0, 0, "9.9", "0.0"),
            (-123, 0, "99PR", "<##>"),
            (123, 0, "99MI", "## "),
        ] {
            assert_eq!(written(value, scale, format), expected, "{value} {scale} {format}");
        }
    }

    #[test]
    fn numbers_as_spark_reads_them() {
        for (text, format, expected) in [
            ("454", "999", Some(454)),
            ("12", "000", None),
            ("12,454.8-", "99,999.9S", Some(-124_548)),
            ("$78.12", "$99.99", Some(7812)),
            ("<12>", "99PR", Some(-12)),
            ("<1", "9PR", None),
            ("1>", "9PR", None),
            ("+12", "S99", Some(12)),
            ("+5", "MI9", None),
            ("1 2", "99", Some(12)),
            ("1234", "9,999", None),
            ("234", "9,999", Some(234)),
            (",234", "9,999", Some(234)),
            ("1,23", "9,999", Some(123)),
            ("12,34", "9,999", None),
            ("678", "0,000", None),
            (".5", "0.0", None),
            (".5", "9.9", Some(5)),
            ("5.", "9.9", Some(50)),
            (".", "9.9", None),
            ("0.1", ".9", None),
            ("1.50", "9.9", None),
            ("1.", "9", None),
            ("1,", "9,9", Some(1)),
            ("", "9", None),
            ("-", "S9", None),
        ] {
            assert_eq!(NumberFormat::parse(format).unwrap().read(text), expected, "{text} {format}");
        }
    }

    #[test]
    fn what_is_no_format() {
        for format in ["", "abc", "9.9.9", "99PRS", "S99S", "$S99", "9$9", ",99", "9,,9", "9.9,9", "9$", "PR9", "9 9"] {
            assert!(NumberFormat::parse(format).is_err(), "{format}");
        }
    }
}
