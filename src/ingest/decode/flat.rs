//! The short way through a flat JSON object without escapes: one pass, eight bytes a step in texts.
//!
//! It only says yes: where it returns `None` the object may still be good, and serde reads it.

use super::object::{Names, Row};
use super::value::Field;

/// Reads a whole object of scalars.
pub(super) fn read<'a>(names: &mut Names, text: &'a str, row: &mut Row<'a>) -> Option<()> {
    let bytes = text.as_bytes();
    let mut at = blanks(bytes, expect(bytes, blanks(bytes, 0), b'{')?);
    let mut seen = 0u32;
    for place in 0.. {
        at = expect(bytes, at, b'"')?;
        let column = match names.guess(place) {
            Some((column, name)) if name.stands_at(bytes, at) => {
                at += name.len();
                Some(column)
            }
            _ => {
                let start = at;
                at = text_end(bytes, start)?;
                let column = names.column(place, &text[start..at]);
                at = expect(bytes, blanks(bytes, at + 1), b':')?;
                column
            }
        };
        at = blanks(bytes, at);
        let (field, end) = scalar(text, at)?;
        if let Some(column) = column {
            if seen & (1 << column) != 0 {
                return None;
            }
            seen |= 1 << column;
            row[column] = field;
        }
        at = blanks(bytes, end);
        match bytes.get(at)? {
            b',' => at = blanks(bytes, at + 1),
            b'}' => break,
            _ => return None,
        }
    }
    (blanks(bytes, at + 1) == bytes.len()).then_some(())
}

/// The inside of a string without escapes, which is all there is.
pub(super) fn text(json: &str) -> Option<&str> {
    let bytes = json.as_bytes();
    let end = text_end(bytes, expect(bytes, 0, b'"')?)?;
    (end + 1 == bytes.len()).then(|| &json[1..end])
}

#[inline]
fn expect(bytes: &[u8], at: usize, wanted: u8) -> Option<usize> {
    (*bytes.get(at)? == wanted).then_some(at + 1)
}

#[inline]
fn blanks(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
        at += 1;
    }
    at
}

#[inline]
fn scalar(text: &str, at: usize) -> Option<(Field<'_>, usize)> {
    let bytes = text.as_bytes();
    let literal =
        |word: &str, field| bytes[at..].starts_with(word.as_bytes()).then_some((field, at + word.len()));
    match bytes.get(at)? {
        b'"' => {
            let end = text_end(bytes, at + 1)?;
            Some((Field::Text(&text[at + 1..end]), end + 1))
        }
        b'-' | b'0'..=b'9' => {
            let end = number_end(bytes, at)?;
            Some((Field::Number(&text[at..end]), end))
        }
        b'n' => literal("null", Field::Missing),
        b't' => literal("true", Field::Boolean(true)),
        b'f' => literal("false", Field::Boolean(false)),
        _ => None,
    }
}

/// The place of the quote that ends a text; `None` where an escape or a control character comes first.
fn text_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    // Bit 7 of a byte is set where it is below `n` ≤ 128: exact up to the first such byte, which is all
    // that counts. Source: Bit Twiddling Hacks, "determine if a word has a byte less than n".
    let below = |word: u64, n: u64| word.wrapping_sub(ONES * n) & !word & HIGHS;
    while let Some(eight) = bytes.get(at..at + 8) {
        let word = u64::from_le_bytes(eight.try_into().expect("eight bytes"));
        let quote = below(word ^ (ONES * u64::from(b'"')), 1);
        let escape = below(word ^ (ONES * u64::from(b'\\')), 1);
        let found = quote | escape | below(word, 0x20);
        if found != 0 {
            at += found.trailing_zeros() as usize / 8;
            return (bytes[at] == b'"').then_some(at);
        }
        at += 8;
    }
    loop {
        match *bytes.get(at)? {
            b'"' => return Some(at),
            b'\\' | 0..0x20 => return None,
            _ => at += 1,
        }
    }
}

/// The end of a number of the JSON grammar.
fn number_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    let digits = |mut at: usize| {
        let start = at;
        while matches!(bytes.get(at), Some(b'0'..=b'9')) {
            at += 1;
        }
        (at > start).then_some(at)
    };
    if bytes.get(at) == Some(&b'-') {
        at += 1;
    }
    let start = at;
    at = digits(at)?;
    if bytes[start] == b'0' && at > start + 1 {
        return None;
    }
    if bytes.get(at) == Some(&b'.') {
        at = digits(at + 1)?;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        at += 1;
        if matches!(bytes.get(at), Some(b'+' | b'-')) {
            at += 1;
        }
        at = digits(at)?;
    }
    Some(at)
}
