//! Dates and timestamps: the proleptic Gregorian calendar, parts, texts. Days and microseconds count from 1970-01-01 UTC.

use std::fmt::Write;

pub const MICROS_PER_SECOND: i64 = 1_000_000;
pub const MICROS_PER_MINUTE: i64 = 60 * MICROS_PER_SECOND;
pub const MICROS_PER_HOUR: i64 = 60 * MICROS_PER_MINUTE;
pub const MICROS_PER_DAY: i64 = 24 * MICROS_PER_HOUR;

/// Year, month (1–12), day (1–31) of a day number (Howard Hinnant, "chrono-compatible low-level date algorithms").
#[inline]
pub fn civil_from_days(days: i32) -> (i32, u32, u32) {
    let z = i64::from(days) + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = (doy - (153 * mp + 2) / 5 + 1) as u32;
    let month = if mp < 10 { mp + 3 } else { mp - 9 } as u32;
    ((yoe + era * 400 + i64::from(month <= 2)) as i32, month, day)
}

/// Day number of a date, if the date exists.
#[inline]
pub fn days_from_civil(year: i32, month: u32, day: u32) -> Option<i32> {
    if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return None;
    }
    let y = i64::from(year) - i64::from(month <= 2);
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let mp = (i64::from(month) + 9) % 12;
    let doy = (153 * mp + 2) / 5 + i64::from(day) - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    i32::try_from(era * 146_097 + doe - 719_468).ok()
}

pub fn is_leap_year(year: i32) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Days of a month (1–12).
#[inline]
pub fn days_in_month(year: i32, month: u32) -> u32 {
    match month {
        2 => 28 + u32::from(is_leap_year(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days later or earlier by whole months; the day of month is cut to the month's length.
#[inline]
pub fn add_months(days: i32, months: i32) -> Option<i32> {
    let (year, month, day) = civil_from_days(days);
    let total = i64::from(year) * 12 + i64::from(month) - 1 + i64::from(months);
    let (year, month) = (i32::try_from(total.div_euclid(12)).ok()?, total.rem_euclid(12) as u32 + 1);
    days_from_civil(year, month, day.min(days_in_month(year, month)))
}

/// Timestamp later or earlier by whole months.
pub fn add_months_to_timestamp(micros: i64, months: i32) -> Option<i64> {
    let day = add_months(days_of(micros), months)?;
    i64::from(day).checked_mul(MICROS_PER_DAY)?.checked_add(micros.rem_euclid(MICROS_PER_DAY))
}

/// The day of a timestamp.
#[inline]
pub fn days_of(micros: i64) -> i32 {
    micros.div_euclid(MICROS_PER_DAY) as i32
}

/// Day of week, 0 being Monday.
#[inline]
pub fn weekday(days: i32) -> i32 {
    (i64::from(days) + 3).rem_euclid(7) as i32
}

/// Day of year from 1.
pub fn day_of_year(days: i32) -> i32 {
    let (year, ..) = civil_from_days(days);
    days - days_from_civil(year, 1, 1).unwrap_or(days) + 1
}

/// ISO year and week.
pub fn iso_week(days: i32) -> (i32, i32) {
    // The week belongs to the year of its Thursday.
    let thursday = days.saturating_sub(weekday(days)).saturating_add(3);
    let (year, ..) = civil_from_days(thursday);
    (year, (day_of_year(thursday) - 1) / 7 + 1)
}

/// Spark's `months_between` for two timestamps: whole months if both fall on the same day of month or on last days of months,
/// else with a fraction in months of 31 days.
pub fn months_between(a: i64, b: i64, round_off: bool) -> f64 {
    let ((y1, m1, d1), (y2, m2, d2)) = (civil_from_days(days_of(a)), civil_from_days(days_of(b)));
    let months = f64::from((y1 - y2) * 12 + m1 as i32 - m2 as i32);
    if d1 == d2 || (d1 == days_in_month(y1, m1) && d2 == days_in_month(y2, m2)) {
        return months;
    }
    let seconds_of_day = |t: i64| (t.rem_euclid(MICROS_PER_DAY) / MICROS_PER_SECOND) as f64;
    let seconds = (f64::from(d1) - f64::from(d2)) * 86_400.0 + seconds_of_day(a) - seconds_of_day(b);
    let difference = months + seconds / (31.0 * 86_400.0);
    if round_off { (difference * 1e8).round() / 1e8 } else { difference }
}

/// Appends `YYYY-MM-DD`.
pub fn write_date(days: i32, out: &mut String) {
    let (year, month, day) = civil_from_days(days);
    let _ = match year {
        0..=9999 => write!(out, "{year:04}-{month:02}-{day:02}"),
        10_000.. => write!(out, "+{year}-{month:02}-{day:02}"),
        _ => write!(out, "-{:04}-{month:02}-{day:02}", -year),
    };
}

/// Appends `YYYY-MM-DD HH:MM:SS[.ffffff]`, without trailing zeros of the fraction.
pub fn write_timestamp(micros: i64, out: &mut String) {
    write_date(days_of(micros), out);
    let rest = micros.rem_euclid(MICROS_PER_DAY);
    let seconds = rest / MICROS_PER_SECOND;
    let _ = write!(out, " {:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    write_fraction(rest % MICROS_PER_SECOND, out);
}

fn write_fraction(micros: i64, out: &mut String) {
    if micros != 0 {
        let text = format!("{micros:06}");
        out.push('.');
        out.push_str(text.trim_end_matches('0'));
    }
}

/// What [`write_date`] appends.
pub fn format_date(days: i32) -> String {
    let mut out = String::new();
    write_date(days, &mut out);
    out
}

/// What [`write_timestamp`] appends.
pub fn format_timestamp(micros: i64) -> String {
    let mut out = String::new();
    write_timestamp(micros, &mut out);
    out
}

/// Appends `INTERVAL '1-2' YEAR TO MONTH`.
pub fn write_year_month_interval(months: i32, out: &mut String) {
    let m = i64::from(months).abs();
    let _ = write!(out, "INTERVAL '{}{}-{}' YEAR TO MONTH", if months < 0 { "-" } else { "" }, m / 12, m % 12);
}

/// Appends `INTERVAL '1 02:03:04.5' DAY TO SECOND`.
pub fn write_day_time_interval(micros: i64, out: &mut String) {
    let m = micros.unsigned_abs() as i128;
    let (day, rest) = (m / i128::from(MICROS_PER_DAY), (m % i128::from(MICROS_PER_DAY)) as i64);
    let seconds = rest / MICROS_PER_SECOND;
    let sign = if micros < 0 { "-" } else { "" };
    let _ = write!(out, "INTERVAL '{sign}{day} {:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    write_fraction(rest % MICROS_PER_SECOND, out);
    out.push_str("' DAY TO SECOND");
}

/// Reads digits, at least `min` and at most `max` of them.
fn number(bytes: &[u8], at: &mut usize, min: usize, max: usize) -> Option<i64> {
    let start = *at;
    let mut value = 0i64;
    while *at < bytes.len() && *at - start < max && bytes[*at].is_ascii_digit() {
        value = value * 10 + i64::from(bytes[*at] - b'0');
        *at += 1;
    }
    (*at - start >= min).then_some(value)
}

fn parse_date_prefix(bytes: &[u8], at: &mut usize) -> Option<i32> {
    let negative = match bytes.first()? {
        b'-' => {
            *at = 1;
            true
        }
        b'+' => {
            *at = 1;
            false
        }
        _ => false,
    };
    let year = number(bytes, at, 4, 7)? as i32;
    let year = if negative { -year } else { year };
    let mut part = || -> Option<Option<u32>> {
        if bytes.get(*at) != Some(&b'-') {
            return Some(None);
        }
        *at += 1;
        Some(Some(number(bytes, at, 1, 2)? as u32))
    };
    let month = part()?;
    let day = if month.is_some() { part()? } else { None };
    days_from_civil(year, month.unwrap_or(1), day.unwrap_or(1))
}

/// Spark's reading of a date: `[+-]yyyy[-[m]m[-[d]d]]`, after which anything may follow a space or `T`.
pub fn parse_date(text: &str) -> Option<i32> {
    let bytes = super::number::trim(text).as_bytes();
    let mut at = 0;
    let days = parse_date_prefix(bytes, &mut at)?;
    match bytes.get(at) {
        None | Some(b' ' | b'T') => Some(days),
        Some(_) => None,
    }
}

/// Spark's reading of a timestamp: a date, then `[ T][h]h:[m]m[:[s]s[.ffffff]]`, then a zone (`Z`, `UTC`, `GMT`, `[+-]hh[:mm]`).
/// Without a zone it is UTC. Named zones are not read.
pub fn parse_timestamp(text: &str) -> Option<i64> {
    let bytes = super::number::trim(text).as_bytes();
    let mut at = 0;
    let days = parse_date_prefix(bytes, &mut at)?;
    let midnight = i64::from(days).checked_mul(MICROS_PER_DAY)?;
    if at == bytes.len() {
        return Some(midnight);
    }
    if !matches!(bytes[at], b' ' | b'T') {
        return None;
    }
    at += 1;
    let mut total = number(bytes, &mut at, 1, 2).filter(|h| *h < 24)? * MICROS_PER_HOUR;
    if bytes.get(at) == Some(&b':') {
        at += 1;
        total += number(bytes, &mut at, 1, 2).filter(|m| *m < 60)? * MICROS_PER_MINUTE;
        if bytes.get(at) == Some(&b':') {
            at += 1;
            total += number(bytes, &mut at, 1, 2).filter(|s| *s < 60)? * MICROS_PER_SECOND;
            if bytes.get(at) == Some(&b'.') {
                at += 1;
                let start = at;
                let fraction = number(bytes, &mut at, 0, 6)?;
                total += fraction * 10i64.pow(6 - (at - start) as u32);
                while bytes.get(at).is_some_and(u8::is_ascii_digit) {
                    at += 1;
                }
            }
        }
    }
    let offset = parse_zone(std::str::from_utf8(&bytes[at..]).ok()?.trim())?;
    midnight.checked_add(total)?.checked_sub(offset)
}

/// Offset of a zone in microseconds; the empty text is UTC.
pub fn parse_zone(text: &str) -> Option<i64> {
    if text.is_empty() {
        return Some(0);
    }
    let rest = ["UTC", "GMT", "UT", "Z"].iter().find_map(|z| text.strip_prefix(z)).unwrap_or(text);
    let sign = match rest.as_bytes().first() {
        None => return Some(0),
        Some(b'+') => 1,
        Some(b'-') => -1,
        Some(_) => return None,
    };
    let (bytes, mut at) = (&rest.as_bytes()[1..], 0);
    let hours = number(bytes, &mut at, 1, 2).filter(|h| *h <= 18)?;
    if bytes.get(at) == Some(&b':') {
        at += 1;
    }
    let minutes = if at < bytes.len() { number(bytes, &mut at, 2, 2).filter(|m| *m < 60)? } else { 0 };
    (at == bytes.len()).then_some(sign * (hours * MICROS_PER_HOUR + minutes * MICROS_PER_MINUTE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_agree() {
        for days in (-1_000_000..1_000_000).step_by(997) {
            let (y, m, d) = civil_from_days(days);
            assert_eq!(days_from_civil(y, m, d), Some(days));
        }
        assert_eq!(civil_from_days(0), (1970, 1, 1));
        assert_eq!(days_from_civil(1998, 12, 1), Some(10_561));
        assert_eq!(days_from_civil(1999, 2, 29), None);
        assert_eq!(weekday(0), 3);
        assert_eq!(iso_week(days_from_civil(2021, 1, 3).unwrap()), (2020, 53));
        assert_eq!(day_of_year(days_from_civil(2020, 12, 31).unwrap()), 366);
    }

    #[test]
    fn months() {
        let d = |t| parse_date(t).unwrap();
        assert_eq!(add_months(d("2020-01-31"), 1), Some(d("2020-02-29")));
        assert_eq!(add_months(d("2020-03-31"), -13), Some(d("2019-02-28")));
        let t = |t| parse_timestamp(t).unwrap();
        assert_eq!(months_between(t("1997-02-28 10:30:00"), t("1996-10-30"), true), 3.94959677);
        assert_eq!(months_between(t("2020-02-29"), t("2020-01-31"), true), 1.0);
    }

    #[test]
    fn texts() {
        assert_eq!(format_date(parse_date(" 2020-2-3T junk").unwrap()), "2020-02-03");
        assert_eq!(parse_date("2020"), Some(18_262));
        for bad in ["", "20-01-01", "2020-13-01", "2020-02-30", "2020-01-01x", "abc"] {
            assert_eq!(parse_date(bad), None, "{bad}");
        }
        assert_eq!(format_timestamp(parse_timestamp("2020-01-01 01:02:03.450+01:00").unwrap()), "2020-01-01 00:02:03.45");
        assert_eq!(format_timestamp(-1), "1969-12-31 23:59:59.999999");
        assert_eq!(parse_timestamp("2020-01-01 25:00:00"), None);
        assert_eq!(parse_timestamp("2020-01-01 00:00:00 Z"), parse_timestamp("2020-01-01"));
        let mut s = String::new();
        write_day_time_interval(-MICROS_PER_DAY - 1_500_000, &mut s);
        assert_eq!(s, "INTERVAL '-1 00:00:01.5' DAY TO SECOND");
    }
}
