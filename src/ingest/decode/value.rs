//! One JSON value as the text or the datum of its column, exact or not at all.

use std::borrow::Cow;
use std::fmt;

use super::time;
use crate::datum::{self, Datum};
use crate::schema::Type;

/// Characters of a value that a reason shows.
const SHOWN_MAX: usize = 64;

/// One value of a record, not yet read: slices of the record.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Field<'a> {
    /// No such field, or null.
    Missing,
    /// The inside of a string without escapes.
    Text(&'a str),
    /// A string with escapes, quotes and all.
    Escaped(&'a str),
    Number(&'a str),
    Boolean(bool),
    /// An object or an array.
    Nested(&'a str),
}

/// What a column holds instead of the value that does not fit it.
pub(super) type Wanted = String;

impl<'a> Field<'a> {
    /// Sorts a JSON value by its first byte; `raw` is one valid JSON value without blanks around it.
    pub(super) fn classify(raw: &'a str) -> Field<'a> {
        match raw.as_bytes()[0] {
            b'"' if raw.as_bytes().contains(&b'\\') => Field::Escaped(raw),
            b'"' => Field::Text(&raw[1..raw.len() - 1]),
            b'{' | b'[' => Field::Nested(raw),
            b'n' => Field::Missing,
            b't' => Field::Boolean(true),
            b'f' => Field::Boolean(false),
            _ => Field::Number(raw),
        }
    }

    #[inline]
    pub(super) fn is_missing(self) -> bool {
        matches!(self, Field::Missing)
    }

    /// The text of a string.
    ///
    /// # Errors
    /// Where it is no string, or escapes half a surrogate pair.
    #[inline]
    pub(super) fn text(self) -> Result<Cow<'a, str>, Wanted> {
        match self {
            Field::Text(text) => Ok(Cow::Borrowed(text)),
            Field::Escaped(raw) => unescape(raw).map(Cow::Owned),
            _ => Err("a JSON string".to_string()),
        }
    }

    /// The datum in a column that holds no text.
    ///
    /// # Errors
    /// Where the column cannot hold exactly this value.
    pub(super) fn datum(self, data_type: Type) -> Result<Datum, Wanted> {
        self.value(data_type).ok_or_else(|| wanted(data_type))
    }

    /// The same without a reason where there is none.
    #[inline]
    pub(super) fn value(self, data_type: Type) -> Option<Datum> {
        match data_type {
            Type::Decimal { precision, scale } => self.decimal(precision, scale),
            Type::Integer => self.integer().map(Datum::from),
            Type::Boolean => self.boolean().map(Datum::from),
            Type::Date => self.text().ok().and_then(|text| time::date(&text)).map(Datum::from),
            Type::Timestamp => self.text().ok().and_then(|text| time::timestamp(&text)).map(Datum::from),
            Type::Text | Type::Id => unreachable!("text is interned once its record is known to be good"),
        }
    }

    #[inline]
    fn decimal(self, precision: u8, scale: u8) -> Option<Datum> {
        match self {
            Field::Number(digits) | Field::Text(digits) => decimal(digits, precision, scale),
            Field::Escaped(_) => decimal(&self.text().ok()?, precision, scale),
            _ => None,
        }
    }

    #[inline]
    fn integer(self) -> Option<i64> {
        match self {
            Field::Number(digits) => digits.parse().ok(),
            _ => None,
        }
    }

    fn boolean(self) -> Option<bool> {
        match self {
            Field::Boolean(value) => Some(value),
            _ => None,
        }
    }
}

#[cold]
fn unescape(raw: &str) -> Result<String, Wanted> {
    serde_json::from_str(raw).map_err(|_| "a string of whole Unicode characters".to_string())
}

/// The value as it stood in the record, shortened.
impl fmt::Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Field::Missing => write!(f, "missing"),
            Field::Text(text) => write!(f, "\"{}\"", Shortened(text)),
            Field::Escaped(raw) | Field::Number(raw) | Field::Nested(raw) => write!(f, "{}", Shortened(raw)),
            Field::Boolean(value) => write!(f, "{value}"),
        }
    }
}

struct Shortened<'a>(&'a str);

impl fmt::Display for Shortened<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(SHOWN_MAX) {
            None => f.write_str(self.0),
            Some((end, _)) => write!(f, "{}…", &self.0[..end]),
        }
    }
}

fn wanted(data_type: Type) -> Wanted {
    match data_type {
        Type::Decimal { precision, scale } => {
            let before = precision - scale;
            format!("a decimal with at most {before} digits before and {scale} after the point")
        }
        Type::Integer => format!("an integer from {} to {}", i64::MIN, i64::MAX),
        Type::Boolean => "true or false".to_string(),
        Type::Date => "an ISO 8601 date, such as \"2026-01-31\"".to_string(),
        Type::Timestamp => {
            "an ISO 8601 time to the microsecond, such as \"2026-01-31T09:30:00.123456Z\"".to_string()
        }
        Type::Text | Type::Id => "a JSON string".to_string(),
    }
}

/// [`datum::parse_decimal`], with a short way for plain digits that fit 64 bits.
fn decimal(text: &str, precision: u8, scale: u8) -> Option<Datum> {
    plain_decimal(text.as_bytes(), precision, scale)
        .or_else(|| datum::parse_decimal(text, precision, scale).ok())
}

/// `None` where the text is not plain or does not fit; the long way then finds out.
#[inline]
fn plain_decimal(bytes: &[u8], precision: u8, scale: u8) -> Option<Datum> {
    let (negative, digits) = match bytes {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, bytes),
    };
    // 10^19 < 2^64, so that nothing overflows.
    if digits.len() > 19 {
        return None;
    }
    let mut value = 0u64;
    let mut point = digits.len();
    for (at, &byte) in digits.iter().enumerate() {
        match byte {
            b'0'..=b'9' => value = value * 10 + u64::from(byte - b'0'),
            b'.' if point == digits.len() => point = at,
            _ => return None,
        }
    }
    let fraction = digits.len().saturating_sub(point + 1);
    let plain = point > 0
        && point <= usize::from(precision - scale)
        && (point == digits.len()) == (fraction == 0)
        && fraction <= usize::from(scale);
    if !plain {
        return None;
    }
    let value = i128::from(value) * POWERS_OF_TEN[usize::from(scale) - fraction];
    Some(if negative { -value } else { value })
}

const POWERS_OF_TEN: [i128; 39] = {
    let mut powers = [1; 39];
    let mut n = 1;
    while n < powers.len() {
        powers[n] = powers[n - 1] * 10;
        n += 1;
    }
    powers
};
