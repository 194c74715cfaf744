//! ISO 8601 dates and times between text and integers, exact to the microsecond.

use crate::clock::{DAY_US, SECOND_US, Timestamp};

/// Days since 1970-01-01 of `YYYY-MM-DD`; `None` where the text is no date of the years 0001 to 9999.
pub(super) fn date(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let (year, month, day) = (digits(&bytes[..4])?, digits(&bytes[5..7])?, digits(&bytes[8..])?);
    if year == 0 || !(1..=12).contains(&month) || !(1..=days_in_month(year, month)).contains(&day) {
        return None;
    }
    Some(days_from_civil(year, month, day))
}

/// Microseconds since 1970 of `YYYY-MM-DDThh:mm[:ss[.fraction]]` with `Z`, `±hh`, `±hhmm`, `±hh:mm` or,
/// for UTC, nothing behind it.
///
/// `None` where the text is no such time, or is finer than a microsecond.
pub(super) fn timestamp(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    if bytes.len() < 16 || !matches!(bytes[10], b'T' | b't') || bytes[13] != b':' {
        return None;
    }
    // A byte of a longer character at 10 is no `T`, so this is a character boundary.
    let days = date(&text[..10])?;
    let (hour, minute) = (digits(&bytes[11..13])?, digits(&bytes[14..16])?);
    let mut rest = &bytes[16..];
    let (mut second, mut fraction_us) = (0, 0);
    if rest.first() == Some(&b':') {
        second = digits(rest.get(1..3)?)?;
        rest = &rest[3..];
        if matches!(rest.first(), Some(b'.' | b',')) {
            let length = rest[1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            fraction_us = microseconds(&rest[1..1 + length])?;
            rest = &rest[1 + length..];
        }
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = (hour * 60 + minute - offset_minutes(rest)?) * 60 + second;
    // A leap second stands at the end of a UTC day only; it counts as the second after it.
    if second == 60 && seconds.rem_euclid(86_400) != 0 {
        return None;
    }
    Some(days * DAY_US + seconds * SECOND_US + fraction_us)
}

/// The zone of a time, in minutes east of UTC.
fn offset_minutes(zone: &[u8]) -> Option<i64> {
    let sign = match zone.first() {
        None => return Some(0),
        Some(b'Z' | b'z') => return (zone.len() == 1).then_some(0),
        Some(b'+') => 1,
        Some(b'-') => -1,
        Some(_) => return None,
    };
    let (hours, minutes) = match zone.len() {
        3 => (&zone[1..3], None),
        5 => (&zone[1..3], Some(&zone[3..5])),
        6 if zone[3] == b':' => (&zone[1..3], Some(&zone[4..6])),
        _ => return None,
    };
    let (hours, minutes) = (digits(hours)?, minutes.map_or(Some(0), digits)?);
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 60 + minutes))
}

fn microseconds(fraction: &[u8]) -> Option<i64> {
    let (kept, beyond) = fraction.split_at(fraction.len().min(6));
    if kept.is_empty() || beyond.iter().any(|&digit| digit != b'0') {
        return None;
    }
    Some(digits(kept)? * 10i64.pow(6 - kept.len() as u32))
}

/// At most six digits, so that nothing overflows.
#[inline]
fn digits(bytes: &[u8]) -> Option<i64> {
    let mut value = 0;
    for byte in bytes {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = value * 10 + i64::from(byte - b'0');
    }
    Some(value)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Source: Howard Hinnant, "chrono-compatible low-level date algorithms"; years start in March, so that
/// the leap day is a year's last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}
