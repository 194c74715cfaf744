//! One line of a recorded topic: `{"key": …, "value": {…} or null, "timestamp": …}`.

use std::ops::Range;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::time;
use super::value::Field;
use crate::clock::Timestamp;

/// Where a recorded record stands in its line: ranges, so that the line may be kept beside them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub key: Option<Range<usize>>,
    /// `None` is a tombstone.
    pub value: Option<Range<usize>>,
    pub timestamp: Timestamp,
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    key: Option<&'a RawValue>,
    // A forgotten value must not delete a row, so only a null that is written is a tombstone.
    #[serde(borrow, deserialize_with = "written")]
    value: &'a RawValue,
    #[serde(borrow)]
    timestamp: &'a RawValue,
}

fn written<'a, D: Deserializer<'a>>(deserializer: D) -> Result<&'a RawValue, D::Error> {
    <&RawValue>::deserialize(deserializer)
}

/// Takes a line apart; other fields are skipped.
///
/// # Errors
/// The reason, where the line is no such object.
pub fn line(bytes: &[u8]) -> Result<Line, String> {
    // Serde would take an array of the three as well.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err("the line is no JSON object of key, value and timestamp".to_string());
    }
    let wire: Wire = serde_json::from_slice(bytes)
        .map_err(|error| format!("the line is no JSON object of key, value and timestamp: {error}"))?;
    let time = Field::classify(wire.timestamp.get());
    let timestamp = match time {
        Field::Number(digits) => digits.parse::<i64>().ok().and_then(|ms| ms.checked_mul(1_000)),
        _ => time.text().ok().and_then(|text| time::timestamp(&text)),
    };
    let range = |raw: &RawValue| {
        let start = raw.get().as_ptr() as usize - bytes.as_ptr() as usize;
        start..start + raw.get().len()
    };
    Ok(Line {
        key: wire.key.map(range),
        value: Some(wire.value).filter(|value| value.get() != "null").map(range),
        timestamp: timestamp.ok_or_else(|| {
            format!("timestamp is {time}; it must be an ISO 8601 time or milliseconds since 1970")
        })?,
    })
}
