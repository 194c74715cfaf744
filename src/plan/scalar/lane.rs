//! Columns of datums at 64 bits where every value fits, at 128 where one does not.
//!
//! Nearly all values have fewer than 18 digits, so a column is half as long as its datums and arithmetic on
//! it is what a processor does at once. Which width a column has is nothing its reader can tell: [`Lane::get`]
//! and [`Values::get`] give the datum either way.

use crate::datum::{Datum, NULL};

/// No value at 64 bits. The datum of the same number has no place there.
pub const NONE: i64 = i64::MIN;

/// A column while it is computed: the same value everywhere, or one a row.
#[derive(Debug, Clone, Copy)]
pub enum Lane<'a> {
    Const(Datum),
    Narrow(&'a [i64]),
    Wide(&'a [Datum]),
}

/// A column that is kept: at 64 bits until a value comes that has more.
#[derive(Debug, Clone)]
pub enum Values {
    Narrow(Vec<i64>),
    Wide(Vec<Datum>),
}

/// A datum at 64 bits, if it has no more.
#[inline(always)]
pub fn narrow(datum: Datum) -> Option<i64> {
    let short = datum as i64;
    if datum == NULL {
        Some(NONE)
    } else if Datum::from(short) == datum && short != NONE {
        Some(short)
    } else {
        None
    }
}

#[inline(always)]
pub fn widen(short: i64) -> Datum {
    if short == NONE { NULL } else { short.into() }
}

impl<'a> Lane<'a> {
    #[inline]
    pub fn get(&self, row: usize) -> Datum {
        match self {
            Lane::Const(datum) => *datum,
            Lane::Narrow(values) => widen(values[row]),
            Lane::Wide(values) => values[row],
        }
    }

    /// Whether two lanes have the same first `len` values.
    pub fn agrees(&self, other: Lane, len: usize) -> bool {
        match (*self, other) {
            (Lane::Narrow(a), Lane::Narrow(b)) => a[..len] == b[..len],
            (Lane::Wide(a), Lane::Wide(b)) => a[..len] == b[..len],
            (a, b) => (0..len).all(|row| a.get(row) == b.get(row)),
        }
    }

    pub fn slice(&self, rows: std::ops::Range<usize>) -> Lane<'a> {
        match self {
            Lane::Const(datum) => Lane::Const(*datum),
            Lane::Narrow(values) => Lane::Narrow(&values[rows]),
            Lane::Wide(values) => Lane::Wide(&values[rows]),
        }
    }
}

impl Default for Values {
    fn default() -> Values {
        Values::Narrow(Vec::new())
    }
}

impl Values {
    pub fn len(&self) -> usize {
        match self {
            Values::Narrow(values) => values.len(),
            Values::Wide(values) => values.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    pub fn get(&self, row: usize) -> Datum {
        match self {
            Values::Narrow(values) => widen(values[row]),
            Values::Wide(values) => values[row],
        }
    }

    #[inline]
    pub fn lane(&self) -> Lane<'_> {
        match self {
            Values::Narrow(values) => Lane::Narrow(values),
            Values::Wide(values) => Lane::Wide(values),
        }
    }

    #[inline(always)]
    pub fn push(&mut self, datum: Datum) {
        match self {
            Values::Narrow(values) => match narrow(datum) {
                Some(short) => values.push(short),
                None => self.widen().push(datum),
            },
            Values::Wide(values) => values.push(datum),
        }
    }

    #[inline(always)]
    pub fn set(&mut self, row: usize, datum: Datum) {
        match self {
            Values::Narrow(values) => match narrow(datum) {
                Some(short) => values[row] = short,
                None => self.widen()[row] = datum,
            },
            Values::Wide(values) => values[row] = datum,
        }
    }

    /// Appends a lane of `len` values.
    pub fn append(&mut self, lane: Lane, len: usize) {
        match (&mut *self, lane) {
            (Values::Narrow(values), Lane::Narrow(more)) => values.extend_from_slice(more),
            (_, lane) => (0..len).for_each(|row| self.push(lane.get(row))),
        }
    }

    /// Brings the column to a length; places that are new have no value.
    pub fn resize(&mut self, len: usize) {
        match self {
            Values::Narrow(values) => values.resize(len, NONE),
            Values::Wide(values) => values.resize(len, NULL),
        }
    }

    /// Empties the column; its width is found anew.
    pub fn clear(&mut self) {
        match self {
            Values::Narrow(values) => values.clear(),
            Values::Wide(_) => *self = Values::default(),
        }
    }

    /// Fills the column with what is found in a lane at each of these places; no value where it is beyond it.
    pub fn gather(&mut self, from: Lane, places: impl Iterator<Item = u32>) {
        self.clear();
        match (&mut *self, from) {
            (Values::Narrow(values), Lane::Narrow(from)) => {
                values.extend(places.map(|place| from.get(place as usize).copied().unwrap_or(NONE)));
            }
            (_, Lane::Wide(from)) => {
                *self = Values::Wide(
                    places.map(|place| from.get(place as usize).copied().unwrap_or(NULL)).collect(),
                );
            }
            (_, Lane::Const(datum)) => places.for_each(|_| self.push(datum)),
            (Values::Wide(_), Lane::Narrow(_)) => unreachable!("a column that was emptied is narrow"),
        }
    }

    #[cold]
    fn widen(&mut self) -> &mut Vec<Datum> {
        if let Values::Narrow(values) = self {
            *self = Values::Wide(values.iter().map(|&value| widen(value)).collect());
        }
        match self {
            Values::Wide(values) => values,
            Values::Narrow(_) => unreachable!("it was just widened"),
        }
    }
}

impl Extend<Datum> for Values {
    fn extend<T: IntoIterator<Item = Datum>>(&mut self, data: T) {
        let mut data = data.into_iter();
        if let Values::Narrow(values) = self {
            values.reserve(data.size_hint().0);
            let wide = data.by_ref().find_map(|datum| match narrow(datum) {
                Some(short) => {
                    values.push(short);
                    None
                }
                None => Some(datum),
            });
            let Some(wide) = wide else { return };
            self.widen().push(wide);
        }
        data.for_each(|datum| self.push(datum));
    }
}

impl FromIterator<Datum> for Values {
    fn from_iter<T: IntoIterator<Item = Datum>>(data: T) -> Values {
        let mut column = Values::default();
        column.extend(data);
        column
    }
}
