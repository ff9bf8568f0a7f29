//! Time zones by name, as Java reads them: regions, offsets, and a few letters of old.

use chrono::{DateTime, NaiveDateTime, Offset, TimeZone as _};
use chrono_tz::Tz;

use super::calendar::MICROS_PER_SECOND;
use super::{Error, ErrorClass, Result};

/// A time zone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TimeZone {
    /// Seconds east of Greenwich.
    Offset(i32),
    Region(Tz),
}

/// What Java's short names stand for.
const SHORT: &[(&str, &str)] = &[
    ("ACT", "Australia/Darwin"),
    ("AET", "Australia/Sydney"),
    ("AGT", "America/Argentina/Buenos_Aires"),
    ("ART", "Africa/Cairo"),
    ("AST", "America/Anchorage"),
    ("BET", "America/Sao_Paulo"),
    ("BST", "Asia/Dhaka"),
    ("CAT", "Africa/Harare"),
    ("CNT", "America/St_Johns"),
    ("CST", "America/Chicago"),
    ("CTT", "Asia/Shanghai"),
    ("EAT", "Africa/Addis_Ababa"),
    ("ECT", "Europe/Paris"),
    ("EST", "-05:00"),
    ("HST", "-10:00"),
    ("IET", "America/Indiana/Indianapolis"),
    ("IST", "Asia/Kolkata"),
    ("JST", "Asia/Tokyo"),
    ("MIT", "Pacific/Apia"),
    ("MST", "-07:00"),
    ("NET", "Asia/Yerevan"),
    ("NST", "Pacific/Auckland"),
    ("PLT", "Asia/Karachi"),
    ("PNT", "America/Phoenix"),
    ("PRT", "America/Puerto_Rico"),
    ("PST", "America/Los_Angeles"),
    ("SST", "Pacific/Guadalcanal"),
    ("VST", "Asia/Ho_Chi_Minh"),
];

impl TimeZone {
    /// The zone of that name: `Europe/Paris`, `+02:00`, `UTC+2`, `Z`, `PST`.
    ///
    /// # Errors
    /// `InvalidParameter` for a name that is none.
    pub fn parse(name: &str) -> Result<Self> {
        Self::find(name).ok_or_else(|| {
            let hint = "Provide a valid region ID, e.g. `America/Los_Angeles`, or a zone offset, e.g. `+01:00`.";
            Error::new(ErrorClass::InvalidParameter, format!("The timezone: {name} is invalid. {hint}"))
        })
    }

    fn find(name: &str) -> Option<Self> {
        let name = SHORT.iter().find(|(short, _)| *short == name).map_or(name, |(_, long)| long);
        if name == "Z" {
            return Some(Self::Offset(0));
        }
        if let Some(seconds) = offset(name) {
            return Some(Self::Offset(seconds));
        }
        for prefix in ["UTC", "GMT", "UT"] {
            match name.strip_prefix(prefix) {
                Some("") => return Some(Self::Offset(0)),
                Some(rest) if rest.starts_with(['+', '-']) => return offset(rest).map(Self::Offset),
                _ => {}
            }
        }
        name.parse().ok().map(Self::Region)
    }

    /// What clocks of the zone show at an instant, in microseconds.
    pub fn local(self, instant: i64) -> Option<i64> {
        let seconds = match self {
            Self::Offset(seconds) => seconds,
            Self::Region(tz) => tz.offset_from_utc_datetime(&date_time(instant)?).fix().local_minus_utc(),
        };
        instant.checked_add(i64::from(seconds) * MICROS_PER_SECOND)
    }

    /// The instant at which clocks of the zone show a time: the earlier of two; of a time that is skipped, that much later.
    pub fn instant(self, local: i64) -> Option<i64> {
        let before = |seconds: i32| local.checked_sub(i64::from(seconds) * MICROS_PER_SECOND);
        let Self::Region(tz) = self else {
            let Self::Offset(seconds) = self else { return None };
            return before(seconds);
        };
        match tz.offset_from_local_datetime(&date_time(local)?).earliest() {
            Some(found) => before(found.fix().local_minus_utc()),
            None => {
                let day_before = date_time(local.checked_sub(24 * 3600 * MICROS_PER_SECOND)?)?;
                before(tz.offset_from_utc_datetime(&day_before).fix().local_minus_utc())
            }
        }
    }
}

fn date_time(micros: i64) -> Option<NaiveDateTime> {
    DateTime::from_timestamp_micros(micros).map(|t| t.naive_utc())
}

/// Seconds of `+h`, `+hh`, `+hh:mm`, `+hhmm`, `+hh:mm:ss`, `+hhmmss`, and of what Spark mends: `+h:mm`, `+hh:m`. At most 18 hours.
fn offset(text: &str) -> Option<i32> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => return None,
    };
    let parts: Vec<&str> = if rest.contains(':') {
        let parts: Vec<&str> = rest.split(':').collect();
        let widths: Vec<usize> = parts.iter().map(|p| p.len()).collect();
        if !matches!(widths.as_slice(), [1 | 2, 2] | [2, 1] | [1 | 2, 2, 2]) {
            return None;
        }
        parts
    } else {
        match rest.len() {
            1 | 2 => vec![rest],
            4 | 6 if rest.is_ascii() => (0..rest.len()).step_by(2).map(|at| &rest[at..at + 2]).collect(),
            _ => return None,
        }
    };
    let mut seconds = 0;
    for (part, (unit, most)) in parts.iter().zip([(3600, 18), (60, 59), (1, 59)]) {
        let n: i32 = part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok())??;
        if n > most {
            return None;
        }
        seconds += n * unit;
    }
    (seconds <= 18 * 3600).then_some(sign * seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::calendar::parse_timestamp;

    #[test]
    fn names() {
        for (name, seconds) in
            [("+02:00", 7200), ("-1", -3600), ("+1:30", 5400), ("UTC+0530", 19800), ("Z", 0), ("GMT", 0), ("EST", -18000)]
        {
            assert_eq!(TimeZone::parse(name).unwrap(), TimeZone::Offset(seconds), "{name}");
        }
        assert_eq!(TimeZone::parse("PST").unwrap(), TimeZone::parse("America/Los_Angeles").unwrap());
        for name in ["", "+", "+19:00", "+1:2:3", "Nowhere", "europe/paris", "UTC+x", "+é1"] {
            assert!(TimeZone::parse(name).is_err(), "{name}");
        }
    }

    #[test]
    fn clocks_that_are_put_forward_and_back() {
        let zone = TimeZone::parse("America/Los_Angeles").unwrap();
        let at = |text: &str| parse_timestamp(text).unwrap();
        assert_eq!(zone.local(at("2016-08-31 00:00:00")), Some(at("2016-08-30 17:00:00")));
        assert_eq!(zone.instant(at("2016-08-30 17:00:00")), Some(at("2016-08-31 00:00:00")));
        // Half past two is skipped in spring, half past one comes twice in autumn.
        assert_eq!(zone.instant(at("2024-03-10 02:30:00")), Some(at("2024-03-10 10:30:00")));
        assert_eq!(zone.instant(at("2024-11-03 01:30:00")), Some(at("2024-11-03 08:30:00")));
    }
}
