//! A column of integers, each stored in as few bytes as the widest of them needs.
//!
//! Sums per position are mostly zeros, counts and whole lots: a column that was never written costs
//! nothing, and one widens, once, when a value does not fit. Every operation is exact or says so.

/// How many bytes a value takes.
#[derive(Debug, Clone)]
pub enum Packed {
    /// So many zeros.
    Zero(usize),
    I8(Vec<i8>),
    I16(Vec<i16>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    I128(Vec<i128>),
}

impl Default for Packed {
    fn default() -> Packed {
        Packed::Zero(0)
    }
}

/// Runs the same code over the values whatever their width; zeros are handled apart.
macro_rules! each_width {
    ($packed:expr, zero $zero:pat => $on_zero:expr, $values:ident => $body:expr) => {
        match $packed {
            Packed::Zero($zero) => $on_zero,
            Packed::I8($values) => $body,
            Packed::I16($values) => $body,
            Packed::I32($values) => $body,
            Packed::I64($values) => $body,
            Packed::I128($values) => $body,
        }
    };
}

impl Packed {
    pub fn len(&self) -> usize {
        each_width!(self, zero len => *len, values => values.len())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    pub fn get(&self, row: usize) -> i128 {
        match self {
            Packed::Zero(_) => 0,
            Packed::I8(values) => values[row].into(),
            Packed::I16(values) => values[row].into(),
            Packed::I32(values) => values[row].into(),
            Packed::I64(values) => values[row].into(),
            Packed::I128(values) => values[row],
        }
    }

    pub fn set(&mut self, row: usize, value: i128) {
        let fits = match self {
            Packed::Zero(_) => value == 0,
            Packed::I8(values) => put(values, row, value),
            Packed::I16(values) => put(values, row, value),
            Packed::I32(values) => put(values, row, value),
            Packed::I64(values) => put(values, row, value),
            Packed::I128(values) => put(values, row, value),
        };
        if !fits {
            self.widen(value);
            self.set(row, value);
        }
    }

    /// Adds to a value; false, and nothing is changed, where the sum leaves 128 bits.
    #[must_use]
    pub fn add(&mut self, row: usize, delta: i128) -> bool {
        let sum = self.get(row).checked_add(delta);
        if let Some(sum) = sum {
            self.set(row, sum);
        }
        sum.is_some()
    }

    /// Appends a zero.
    pub fn grow(&mut self) {
        match self {
            Packed::Zero(len) => *len += 1,
            Packed::I8(values) => values.push(0),
            Packed::I16(values) => values.push(0),
            Packed::I32(values) => values.push(0),
            Packed::I64(values) => values.push(0),
            Packed::I128(values) => values.push(0),
        }
    }

    /// Removes a value; the last one takes its place.
    pub fn swap_remove(&mut self, row: usize) {
        match self {
            Packed::Zero(len) => *len -= 1,
            Packed::I8(values) => drop(values.swap_remove(row)),
            Packed::I16(values) => drop(values.swap_remove(row)),
            Packed::I32(values) => drop(values.swap_remove(row)),
            Packed::I64(values) => drop(values.swap_remove(row)),
            Packed::I128(values) => drop(values.swap_remove(row)),
        }
    }

    /// Puts the values in another order: place `n` takes the value at `order[n]`.
    pub fn reorder(&mut self, order: &[u32]) {
        each_width!(self, zero _ => {}, values => {
            *values = order.iter().map(|&row| values[row as usize]).collect();
        });
    }

    pub fn bytes(&self) -> usize {
        each_width!(self, zero _ => 0, values => values.capacity() * size_of_val(&values[..1.min(values.len())]))
    }

    /// Makes room for a value that does not fit.
    #[cold]
    fn widen(&mut self, value: i128) {
        let old = std::mem::take(self);
        let values = (0..old.len()).map(|row| old.get(row));
        // What fitted before fits in every wider type.
        *self = if i8::try_from(value).is_ok() && matches!(old, Packed::Zero(_)) {
            Packed::I8(values.map(|value| value as i8).collect())
        } else if i16::try_from(value).is_ok() {
            Packed::I16(values.map(|value| value as i16).collect())
        } else if i32::try_from(value).is_ok() {
            Packed::I32(values.map(|value| value as i32).collect())
        } else if i64::try_from(value).is_ok() {
            Packed::I64(values.map(|value| value as i64).collect())
        } else {
            Packed::I128(values.collect())
        };
    }
}

/// Writes a value where it fits.
#[inline]
fn put<T: TryFrom<i128>>(values: &mut [T], row: usize, value: i128) -> bool {
    match T::try_from(value) {
        Ok(value) => {
            values[row] = value;
            true
        }
        Err(_) => false,
    }
}
