//! Patterns of date_format and to_timestamp: the letters of Java's DateTimeFormatter in common use.

use std::fmt::Write;

use crate::base::calendar::{
    self, MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND, civil_from_days, days_from_civil, days_of,
};
use crate::base::{Error, ErrorClass, Result};

const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// The weekday (0 is Monday) of an English name or its first two or three letters.
pub(super) fn weekday_named(name: &str) -> Option<i32> {
    let name = name.to_ascii_lowercase();
    let at = WEEKDAYS.iter().position(|d| {
        let day = d.to_ascii_lowercase();
        name == day || name == day[..3] || name == day[..2]
    })?;
    Some(at as i32)
}

/// A piece of a pattern: a letter and how often it stands, or literal text.
enum Piece<'a> {
    Field(char, usize),
    Text(&'a str),
    Quote,
}

fn pieces(pattern: &str) -> Result<Vec<Piece<'_>>> {
    let mut out = vec![];
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        let length;
        if c.is_ascii_alphabetic() {
            length = rest.chars().take_while(|x| *x == c).count();
            out.push(Piece::Field(c, length));
        } else if rest.starts_with("''") {
            length = 2;
            out.push(Piece::Quote);
        } else if c == '\'' {
            // Quoted text; a doubled quote inside is one quote.
            let mut at = 1;
            loop {
                let end = at + rest[at..].find('\'').ok_or_else(|| bad(pattern))?;
                out.push(Piece::Text(&rest[at..end]));
                at = end + 1;
                if !rest[at..].starts_with('\'') {
                    break;
                }
                out.push(Piece::Quote);
                at += 1;
            }
            length = at;
        } else {
            length = c.len_utf8();
            if !matches!(c, '[' | ']') {
                out.push(Piece::Text(&rest[..length]));
            }
        }
        rest = &rest[length..];
    }
    Ok(out)
}

fn bad(pattern: &str) -> Error {
    Error::new(ErrorClass::InvalidParameter, format!("The datetime pattern '{pattern}' is not supported."))
}

/// Appends a timestamp in the form of a pattern.
///
/// # Errors
/// `InvalidParameter` for letters that are not supported.
pub(super) fn format(micros: i64, pattern: &str, out: &mut String) -> Result<()> {
    let days = days_of(micros);
    let (year, month, day) = civil_from_days(days);
    let time = micros.rem_euclid(MICROS_PER_DAY);
    let (hour, minute, second) = (time / MICROS_PER_HOUR, time / MICROS_PER_MINUTE % 60, time / MICROS_PER_SECOND % 60);
    for piece in pieces(pattern)? {
        let (letter, n) = match piece {
            Piece::Text(t) => {
                out.push_str(t);
                continue;
            }
            Piece::Quote => {
                out.push('\'');
                continue;
            }
            Piece::Field(letter, n) => (letter, n),
        };
        let mut padded = |v: i64| {
            let _ = write!(out, "{v:0n$}");
        };
        match (letter, n) {
            ('y' | 'u', 2) => padded(i64::from(year).rem_euclid(100)),
            ('y' | 'u', _) => padded(year.into()),
            ('M' | 'L', 1 | 2) => padded(month.into()),
            ('M' | 'L', 3) => out.push_str(&MONTHS[month as usize - 1][..3]),
            ('M' | 'L', 4) => out.push_str(MONTHS[month as usize - 1]),
            ('d', 1 | 2) => padded(day.into()),
            ('D', 1..=3) => padded(calendar::day_of_year(days).into()),
            ('E', 1..=3) => out.push_str(&WEEKDAYS[calendar::weekday(days) as usize][..3]),
            ('E', 4) => out.push_str(WEEKDAYS[calendar::weekday(days) as usize]),
            ('Q' | 'q', 1 | 2) => padded(i64::from(month + 2) / 3),
            ('H', 1 | 2) => padded(hour),
            ('k', 1 | 2) => padded(if hour == 0 { 24 } else { hour }),
            ('h', 1 | 2) => padded((hour + 11) % 12 + 1),
            ('K', 1 | 2) => padded(hour % 12),
            ('m', 1 | 2) => padded(minute),
            ('s', 1 | 2) => padded(second),
            ('S', 1..=9) => {
                let digits = format!("{:06}000", time % MICROS_PER_SECOND);
                out.push_str(&digits[..n]);
            }
            ('a', _) => out.push_str(if hour < 12 { "AM" } else { "PM" }),
            ('z', 1..=3) => out.push_str("UTC"),
            ('V', 2) => out.push_str("UTC"),
            ('X', _) => out.push('Z'),
            ('x' | 'Z', 1 | 2) => out.push_str("+0000"),
            ('x', 3) => out.push_str("+00:00"),
            _ => return Err(bad(pattern)),
        }
    }
    Ok(())
}

/// Reads a timestamp in the form of a pattern; `None` when the text does not fit it.
///
/// # Errors
/// `InvalidParameter` for letters that are not supported.
pub(super) fn parse(text: &str, pattern: &str) -> Result<Option<i64>> {
    let (mut year, mut month, mut day, mut of_year) = (1970i64, 1i64, 1i64, None);
    let (mut time, mut pm, mut offset) = (0i64, None, 0i64);
    let mut rest = text.trim();
    let pieces = pieces(pattern)?;
    for (i, piece) in pieces.iter().enumerate() {
        let (letter, n) = match piece {
            Piece::Text(t) => match rest.strip_prefix(t) {
                Some(r) => {
                    rest = r;
                    continue;
                }
                None => return Ok(None),
            },
            Piece::Quote => match rest.strip_prefix('\'') {
                Some(r) => {
                    rest = r;
                    continue;
                }
                None => return Ok(None),
            },
            Piece::Field(letter, n) => (*letter, *n),
        };
        // A field right before another one takes just its own width.
        let tight = matches!(pieces.get(i + 1), Some(Piece::Field(..)));
        let mut digits = |max: usize| -> Option<i64> {
            let width = rest.bytes().take(if tight { n } else { max }).take_while(u8::is_ascii_digit).count();
            let value = rest[..width].parse().ok()?;
            if width < n.min(max) && n > 1 {
                return None;
            }
            rest = &rest[width..];
            Some(value)
        };
        let number = match (letter, n) {
            ('y' | 'u', 2) => digits(2).map(|v| year = 2000 + v),
            ('y' | 'u', _) => digits(if n >= 4 { 7 } else { 4 }).map(|v| year = v),
            ('M' | 'L', 1 | 2) => digits(2).map(|v| month = v),
            ('M' | 'L', 3 | 4) => {
                let found = MONTHS.iter().position(|m| {
                    let name = if n == 3 { &m[..3] } else { m };
                    rest.get(..name.len()).is_some_and(|r| r.eq_ignore_ascii_case(name))
                });
                found.map(|m| {
                    month = m as i64 + 1;
                    rest = &rest[if n == 3 { 3 } else { MONTHS[m].len() }..];
                })
            }
            ('d', 1 | 2) => digits(2).map(|v| day = v),
            ('D', 1..=3) => digits(3).map(|v| of_year = Some(v)),
            ('H', 1 | 2) => digits(2).filter(|v| *v < 24).map(|v| time += v * MICROS_PER_HOUR),
            ('h', 1 | 2) => digits(2).filter(|v| (1..=12).contains(v)).map(|v| time += v % 12 * MICROS_PER_HOUR),
            ('m', 1 | 2) => digits(2).filter(|v| *v < 60).map(|v| time += v * MICROS_PER_MINUTE),
            ('s', 1 | 2) => digits(2).filter(|v| *v < 60).map(|v| time += v * MICROS_PER_SECOND),
            ('S', 1..=9) => {
                let width = rest.bytes().take(n).take_while(u8::is_ascii_digit).count();
                let padded = format!("{:0<6}", &rest[..width.min(6)]);
                rest = &rest[width..];
                padded.parse::<i64>().ok().map(|v| time += v)
            }
            ('a', _) => {
                let half = rest.get(..2).map(str::to_ascii_uppercase);
                pm = half.as_deref().map(|h| h == "PM");
                half.filter(|h| h == "AM" || h == "PM").map(|_| rest = &rest[2..])
            }
            ('X' | 'x' | 'Z' | 'V' | 'z', _) => {
                let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | ':'))).unwrap_or(rest.len());
                let zone = calendar::parse_zone(&rest[..end]);
                rest = &rest[end..];
                zone.map(|z| offset = z)
            }
            _ => return Err(bad(pattern)),
        };
        if number.is_none() {
            return Ok(None);
        }
    }
    if !rest.is_empty() {
        return Ok(None);
    }
    if pm == Some(true) {
        time += 12 * MICROS_PER_HOUR;
    }
    let days = match of_year {
        Some(n) => days_from_civil(year as i32, 1, 1).map(|d| d + n as i32 - 1),
        None => days_from_civil(year as i32, month as u32, day as u32),
    };
    Ok(days.map(|d| i64::from(d) * MICROS_PER_DAY + time - offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let t = calendar::parse_timestamp("2021-03-04 15:06:07.089").unwrap();
        let show = |p: &str| {
            let mut s = String::new();
            format(t, p, &mut s).map(|()| s)
        };
        assert_eq!(show("yyyy/MM/dd HH:mm:ss.SSS").unwrap(), "2021/03/04 15:06:07.089");
        assert_eq!(show("d MMM yy, h a, EEEE 'o''clock'").unwrap_or_default(), "4 Mar 21, 3 PM, Thursday o'clock");
        assert!(show("b").is_err());
        assert_eq!(parse("04.03.2021 15:06", "dd.MM.yyyy HH:mm").unwrap(), calendar::parse_timestamp("2021-03-04 15:06:00"));
        assert_eq!(parse("20210304", "yyyyMMdd").unwrap(), calendar::parse_timestamp("2021-03-04"));
        assert_eq!(parse("2021-13-04", "yyyy-MM-dd").unwrap(), None);
        assert_eq!(parse("nope", "yyyy").unwrap(), None);
    }
}
