//! A column of integers, each stored in as few bytes as the widest of them needs.
//!
//! Sums per position are mostly zeros, counts, whole lots and amounts in cents: a column that was never
//! written costs nothing, one of whole lots stores lots, and one widens, once, when a value does not fit.
//! Every operation is exact or says so.

use crate::prefetch::prefetch;

/// Values, each a code times the step.
#[derive(Debug, Clone, Default)]
pub struct Packed {
    step: Step,
    codes: Codes,
}

/// How many bytes a code takes.
#[derive(Debug, Clone)]
pub enum Codes {
    /// So many zeros.
    Zero(usize),
    I8(Vec<i8>),
    I16(Vec<i16>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    I128(Vec<i128>),
}

/// What all values of a column are multiples of: quantities have 6 decimals and are mostly whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    #[default]
    One,
    Hundred,
    TenThousand,
    Million,
}

impl Default for Codes {
    fn default() -> Codes {
        Codes::Zero(0)
    }
}

/// Runs the same code over the codes whatever their width; zeros are handled apart.
macro_rules! each_width {
    ($codes:expr, zero $zero:pat => $on_zero:expr, $values:ident => $body:expr) => {
        match $codes {
            Codes::Zero($zero) => $on_zero,
            Codes::I8($values) => $body,
            Codes::I16($values) => $body,
            Codes::I32($values) => $body,
            Codes::I64($values) => $body,
            Codes::I128($values) => $body,
        }
    };
}

impl Step {
    const FINER: [Step; 4] = [Step::Million, Step::TenThousand, Step::Hundred, Step::One];

    #[inline]
    fn size(self) -> i64 {
        Packed::STEPS[self as usize]
    }

    /// The code of a value, if it is a multiple. A division by a constant is a multiplication.
    #[inline]
    fn code(self, value: i128) -> Option<i128> {
        macro_rules! divide {
            ($by:literal) => {
                match i64::try_from(value) {
                    Ok(value) => (value % $by == 0).then_some((value / $by).into()),
                    Err(_) => (value % $by == 0).then_some(value / $by),
                }
            };
        }
        match self {
            Step::One => Some(value),
            Step::Hundred => divide!(100),
            Step::TenThousand => divide!(10_000),
            Step::Million => divide!(1_000_000),
        }
    }

    /// The greatest step of which a value is a multiple.
    fn of(value: i128) -> Step {
        let fits = |step: &&Step| step.code(value).is_some();
        *Step::FINER.iter().find(fits).expect("every value is a multiple of one")
    }
}

impl Packed {
    /// All that a code may be to be multiplied by.
    pub const STEPS: [i64; 4] = [1, 100, 10_000, 1_000_000];

    #[inline]
    pub fn len(&self) -> usize {
        each_width!(&self.codes, zero len => *len, values => values.len())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether all values are 0 because none was ever another.
    #[inline]
    pub fn is_zero(&self) -> bool {
        matches!(self.codes, Codes::Zero(_))
    }

    #[inline]
    pub fn codes(&self) -> &Codes {
        &self.codes
    }

    /// What a code is to be multiplied by.
    #[inline]
    pub fn step(&self) -> i64 {
        self.step.size()
    }

    /// The place of that among [`Self::STEPS`].
    #[inline]
    pub fn step_place(&self) -> usize {
        self.step as usize
    }

    #[inline]
    pub fn get(&self, row: usize) -> i128 {
        let step = self.step.size();
        match &self.codes {
            Codes::Zero(_) => 0,
            Codes::I8(values) => i128::from(values[row]) * i128::from(step),
            Codes::I16(values) => i128::from(values[row]) * i128::from(step),
            Codes::I32(values) => i128::from(values[row]) * i128::from(step),
            Codes::I64(values) => i128::from(values[row]) * i128::from(step),
            Codes::I128(values) => values[row] * i128::from(step),
        }
    }

    /// Asks for the memory of a value that is read soon.
    #[inline]
    pub fn prefetch(&self, row: usize) {
        each_width!(&self.codes, zero _ => {}, values => prefetch(&values[row]));
    }

    #[inline]
    pub fn set(&mut self, row: usize, value: i128) {
        if let Some(code) = self.step.code(value) {
            let fits = match &mut self.codes {
                Codes::Zero(_) => code == 0,
                Codes::I8(values) => put(values, row, code),
                Codes::I16(values) => put(values, row, code),
                Codes::I32(values) => put(values, row, code),
                Codes::I64(values) => put(values, row, code),
                Codes::I128(values) => put(values, row, code),
            };
            if fits {
                return;
            }
        }
        self.widen(value);
        self.set(row, value);
    }

    /// Adds to a value; false, and nothing is changed, where the sum leaves 128 bits.
    #[must_use]
    #[inline]
    pub fn add(&mut self, row: usize, delta: i128) -> bool {
        if let Some(code) = self.step.code(delta) {
            let added = match &mut self.codes {
                Codes::Zero(_) => code == 0,
                Codes::I8(values) => add(values, row, code, i8::checked_add),
                Codes::I16(values) => add(values, row, code, i16::checked_add),
                Codes::I32(values) => add(values, row, code, i32::checked_add),
                Codes::I64(values) => add(values, row, code, i64::checked_add),
                // A code that fits may stand for a value that does not.
                Codes::I128(_) => false,
            };
            if added {
                return true;
            }
        }
        self.add_wide(row, delta)
    }

    fn add_wide(&mut self, row: usize, delta: i128) -> bool {
        let sum = self.get(row).checked_add(delta);
        if let Some(sum) = sum {
            self.set(row, sum);
        }
        sum.is_some()
    }

    /// Appends a zero.
    #[inline]
    pub fn grow(&mut self) {
        each_width!(&mut self.codes, zero len => *len += 1, values => append(values, 0));
    }

    /// Removes a value; the last one takes its place.
    pub fn swap_remove(&mut self, row: usize) {
        each_width!(&mut self.codes, zero len => *len -= 1, values => drop(values.swap_remove(row)));
    }

    /// Puts the values in another order: place `n` takes the value at `order[n]`.
    pub fn reorder(&mut self, order: &[u32]) {
        each_width!(&mut self.codes, zero _ => {}, values => {
            *values = order.iter().map(|&row| values[row as usize]).collect();
        });
    }

    /// Bytes of one code; 0 where all are zeros.
    pub fn code_bytes(&self) -> usize {
        fn of<T>(_: &[T]) -> usize {
            size_of::<T>()
        }
        each_width!(&self.codes, zero _ => 0, values => of(values))
    }

    pub fn bytes(&self) -> usize {
        each_width!(
            &self.codes,
            zero _ => 0,
            values => values.capacity() * size_of_val(&values[..1.min(values.len())])
        )
    }

    /// Makes room for a value that does not fit.
    #[cold]
    fn widen(&mut self, value: i128) {
        let old = std::mem::take(self);
        let step = if old.is_zero() { Step::of(value) } else { old.step.min(Step::of(value)) };
        let code = value / i128::from(step.size());
        // What was stored by a coarser step takes that many times the room.
        let values: Vec<i128> = (0..old.len()).map(|row| old.get(row) / i128::from(step.size())).collect();
        let (least, most) = values.iter().fold((code, code), |(a, b), &v| (a.min(v), b.max(v)));
        macro_rules! fits {
            ($width:ty) => {
                <$width>::try_from(least).is_ok() && <$width>::try_from(most).is_ok()
            };
        }
        macro_rules! narrowed {
            ($width:ty) => {
                values.into_iter().map(|value| value as $width).collect()
            };
        }
        let codes = if fits!(i8) {
            Codes::I8(narrowed!(i8))
        } else if fits!(i16) {
            Codes::I16(narrowed!(i16))
        } else if fits!(i32) {
            Codes::I32(narrowed!(i32))
        } else if fits!(i64) {
            Codes::I64(narrowed!(i64))
        } else {
            Codes::I128(values)
        };
        *self = Packed { step, codes };
    }
}

/// Writes a code where it fits.
#[inline]
fn put<T: TryFrom<i128>>(codes: &mut [T], row: usize, code: i128) -> bool {
    match T::try_from(code) {
        Ok(code) => {
            codes[row] = code;
            true
        }
        Err(_) => false,
    }
}

/// Adds a code where the sum fits.
#[inline]
fn add<T: TryFrom<i128> + Copy>(codes: &mut [T], row: usize, code: i128, sum: fn(T, T) -> Option<T>) -> bool {
    match T::try_from(code).ok().and_then(|code| sum(codes[row], code)) {
        Some(sum) => {
            codes[row] = sum;
            true
        }
        None => false,
    }
}

/// Appends, growing by an eighth: millions of columns that doubled would waste half of the memory.
pub fn append<T>(values: &mut Vec<T>, value: T) {
    if values.len() == values.capacity() {
        values.reserve_exact((values.len() / 8).max(4));
    }
    values.push(value);
}
