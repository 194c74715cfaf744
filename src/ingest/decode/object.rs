//! The fields of a JSON object by the columns they belong to, as slices of the text.
//!
//! Nearly every record is a flat object without escapes, and the short way in [`super::flat`] reads it.
//! What is anything else, or wrong, is read again by serde, which alone decides what is an error.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::value::Field;
use super::{COLUMNS_MAX, flat};
use crate::schema::Table;

/// The fields of one record by column.
pub(super) type Row<'a> = [Field<'a>; COLUMNS_MAX];

/// A field's name, and how it usually stands in an object: with its quote and colon behind.
pub(super) struct Name {
    text: String,
    /// The same in words; bytes behind the colon are none of them.
    words: Vec<(u64, u64)>,
}

impl Name {
    fn new(text: &str) -> Name {
        let words = format!("{text}\":");
        let word = |bytes: &[u8]| {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            (u64::from_le_bytes(word), u64::MAX >> (8 * (8 - bytes.len())))
        };
        Name { text: text.to_owned(), words: words.as_bytes().chunks(8).map(word).collect() }
    }

    /// Bytes of it with its quote and colon.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.text.len() + 2
    }

    /// Whether it stands there, quote, colon and all. It only says yes: near the end of the text it may all
    /// the same.
    #[inline]
    pub(super) fn stands_at(&self, bytes: &[u8], at: usize) -> bool {
        self.words.iter().enumerate().all(|(place, &(word, mask))| {
            let start = at + 8 * place;
            let read = bytes.get(start..start + 8).map(|eight| eight.try_into().expect("eight bytes"));
            read.is_some_and(|eight| u64::from_le_bytes(eight) & mask == word)
        })
    }
}

/// The JSON field names of a table, found by the order in which its publisher writes them.
pub(super) struct Names {
    /// By column.
    fields: Vec<Name>,
    /// By place in the object: the column that last stood there, a guess checked by comparison.
    places: Vec<usize>,
}

impl Names {
    pub(super) fn new(table: &Table) -> Names {
        Names {
            fields: table.columns.iter().map(|column| Name::new(&column.field)).collect(),
            places: (0..COLUMNS_MAX).map(|place| place % table.columns.len()).collect(),
        }
    }

    /// The column and name likely to stand at a place of the object.
    #[inline]
    pub(super) fn guess(&self, place: usize) -> Option<(usize, &Name)> {
        self.places.get(place).map(|&column| (column, &self.fields[column]))
    }

    pub(super) fn column(&mut self, place: usize, name: &str) -> Option<usize> {
        if let Some((column, guess)) = self.guess(place)
            && guess.text == name
        {
            return Some(column);
        }
        let found = self.fields.iter().position(|field| field.text == name)?;
        if place < self.places.len() {
            self.places[place] = found;
        }
        Some(found)
    }

    /// Reads a JSON object; other fields than those of the table are skipped, however deep.
    ///
    /// # Errors
    /// Where the text is no single JSON object, or names a field of the table twice.
    pub(super) fn read<'a>(&mut self, text: &'a str, row: &mut Row<'a>) -> serde_json::Result<()> {
        if flat::read(self, text, row).is_some() {
            return Ok(());
        }
        row.fill(Field::Missing);
        let mut deserializer = serde_json::Deserializer::from_str(text);
        deserializer.deserialize_map(Object { names: self, row })?;
        deserializer.end()
    }
}

struct Object<'n, 'r, 'a> {
    names: &'n mut Names,
    row: &'r mut Row<'a>,
}

impl<'a> Visitor<'a> for Object<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        // A null counts as missing, so what has been seen is kept apart.
        let mut seen = 0u32;
        let mut place = 0;
        while let Some(column) = map.next_key_seed(FieldName { names: self.names, place })? {
            place += 1;
            let Some(column) = column else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if seen & (1 << column) != 0 {
                return Err(A::Error::custom(format!(
                    "{} stands in it twice",
                    self.names.fields[column].text
                )));
            }
            seen |= 1 << column;
            self.row[column] = Field::classify(map.next_value::<&RawValue>()?.get());
        }
        Ok(())
    }
}

/// A field name, read as its column without allocating.
struct FieldName<'n> {
    names: &'n mut Names,
    place: usize,
}

impl<'a> DeserializeSeed<'a> for FieldName<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for FieldName<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Option<usize>, E> {
        Ok(self.names.column(self.place, name))
    }
}
