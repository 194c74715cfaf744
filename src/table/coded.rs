//! A run of a column's values in as few bits as they need, each of them found at once.
//!
//! A value is a code of as many bits as the run's widest needs: `base + step · code`, or the place in a
//! palette of few values. So whole lots, cents, names and times of a day take one to four bytes, and a
//! constant takes none. A value that does not fit has the run coded anew with room to spare on its side, so
//! that a column whose values wander is coded anew O(log span) times. Any datum fits: at worst it takes 16
//! bytes.
//! Cost: a read is a load, a shift and a multiplication; a write that fits divides besides.

use crate::datum::{Datum, NULL};
use crate::prefetch::prefetch;

/// Bits of a code that one load of eight bytes has, wherever the code begins in its first byte.
const SHORT_BITS_MAX: u32 = 56;
/// Bits of a code that one load of sixteen bytes has; wider codes begin with a byte.
const LONG_BITS_MAX: u32 = 120;
/// Values of a palette: more save less than they take.
const PALETTE_MAX: usize = 16;
/// No value, in a palette.
const NONE: i64 = i64::MIN;

#[derive(Debug, Clone)]
pub struct Coded {
    len: u32,
    /// Bits of a code: none where all values are one.
    bits: u32,
    coding: Coding,
    /// Codes one after another, the lowest bits first, and as much as a load takes behind them.
    bytes: Vec<u8>,
}

#[derive(Debug, Clone)]
enum Coding {
    /// `base + step · code`; where there are nulls, the greatest code is none. A loose one was made with room
    /// for values that may never come.
    Steps {
        base: Datum,
        step: u64,
        nulls: bool,
        loose: bool,
    },
    Palette(Vec<i64>),
}

/// On which side a run's coding has room for values that are not there yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spare {
    None,
    Below,
    Above,
}

impl Default for Coded {
    fn default() -> Coded {
        let coding = Coding::Steps { base: 0, step: 1, nulls: false, loose: false };
        Coded { len: 0, bits: 0, coding, bytes: Vec::new() }
    }
}

impl Coded {
    /// A run in as few bits as its values need.
    pub fn new(values: &[Datum]) -> Coded {
        if values.is_empty() {
            return Coded::default();
        }
        let (low, high, nulls) = bounds(values);
        let (coding, bits) = steps(values, low, high, nulls, Spare::None);
        Coded::of_few(values, bits).unwrap_or_else(|| Coded::with(values, coding, bits))
    }

    /// An empty run for values like those of this one.
    pub fn like(&self) -> Coded {
        Coded { len: 0, bits: self.bits, coding: self.coding.clone(), bytes: Vec::new() }
    }

    #[inline]
    pub fn get(&self, row: usize) -> Datum {
        assert!(row < self.len as usize, "row {row} of {}", self.len);
        match self.coding {
            // The product of two words is shorter work than that of two double words.
            Coding::Steps { base, step, nulls: false, .. } if self.bits <= SHORT_BITS_MAX => {
                base.wrapping_add((u128::from(self.short(row)) * u128::from(step)) as i128)
            }
            _ => self.value(self.code(row)),
        }
    }

    /// Appends all values.
    pub fn read(&self, into: &mut Vec<Datum>) {
        let len = self.len as usize;
        match &self.coding {
            Coding::Steps { base, step, nulls: false, .. } if self.bits <= SHORT_BITS_MAX => {
                let value = |row| base.wrapping_add(self.short(row).wrapping_mul(*step).into());
                into.extend((0..len).map(value));
            }
            _ => into.extend((0..len).map(|row| self.value(self.code(row)))),
        }
    }

    pub fn len(&self) -> usize {
        self.len as usize
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Asks for the memory of a value that is read soon.
    #[inline]
    pub fn prefetch(&self, row: usize) {
        if let Some(byte) = self.bytes.get(row * self.bits as usize / 8) {
            prefetch(byte);
        }
    }

    #[inline]
    pub fn set(&mut self, row: usize, datum: Datum) {
        assert!(row < self.len as usize, "row {row} of {}", self.len);
        match self.encode(datum) {
            Some(code) => self.store(row, code),
            None if self.widen_palette(datum) => self.set(row, datum),
            None => {
                let mut values = self.values(0);
                values[row] = datum;
                self.recode(&values, datum);
            }
        }
    }

    /// Appends values: `data[n · width]` is the n-th.
    #[inline]
    pub fn append(&mut self, width: usize, mut data: &[Datum]) {
        if self.is_empty() && data.len() > width {
            *self = Coded::new(&data.iter().copied().step_by(width).collect::<Vec<_>>());
            return;
        }
        while let Some(&datum) = data.first() {
            let Some(code) = self.encode(datum) else {
                if self.widen_palette(datum) {
                    continue;
                }
                let mut values = self.values(data.len().div_ceil(width));
                values.extend(data.iter().copied().step_by(width));
                self.recode(&values, datum);
                return;
            };
            let row = self.len as usize;
            self.reserve(row + 1);
            self.len += 1;
            self.store(row, code);
            data = data.get(width..).unwrap_or_default();
        }
    }

    pub fn pop(&mut self) {
        self.len -= 1;
        if self.len == 0 {
            *self = Coded::default();
        }
    }

    /// Codes the run in as few bits as it needs, without room for more.
    pub fn settle(&mut self) {
        if let Coding::Steps { step, loose: true, .. } = self.coding {
            let values = self.values(0);
            let (low, high, nulls) = bounds(&values);
            let codes = high.wrapping_sub(low) as u128 / u128::from(step) + u128::from(nulls);
            let needed = if low > high { 0 } else { bits(codes) };
            if let Some(few) = Coded::of_few(&values, needed) {
                *self = few;
                return;
            }
            if needed < self.bits {
                let (coding, bits) = steps(&values, low, high, nulls, Spare::None);
                *self = Coded::with(&values, coding, bits);
                return;
            }
        }
        self.bytes.shrink_to_fit();
    }

    /// Bytes that it has allocated.
    pub fn bytes(&self) -> usize {
        let palette = match &self.coding {
            Coding::Palette(values) => values.capacity() * size_of::<i64>(),
            Coding::Steps { .. } => 0,
        };
        self.bytes.capacity() + palette
    }

    fn values(&self, more: usize) -> Vec<Datum> {
        let mut values = Vec::with_capacity(self.len() + more);
        self.read(&mut values);
        values
    }

    /// Codes values anew in steps, with room where one that did not fit lies: there may come more like it.
    fn recode(&mut self, values: &[Datum], misfit: Datum) {
        let spare = match self.coding {
            Coding::Palette(_) => Spare::None,
            Coding::Steps { .. } if self.is_empty() => Spare::None,
            Coding::Steps { base, .. } if misfit == NULL || misfit >= base => Spare::Above,
            Coding::Steps { .. } => Spare::Below,
        };
        let (low, high, nulls) = bounds(values);
        let (coding, bits) = steps(values, low, high, nulls, spare);
        *self = Coded::with(values, coding, bits);
    }

    /// Gives codes of a palette one bit more, so that there is room for a value; returns whether there is.
    fn widen_palette(&mut self, datum: Datum) -> bool {
        match &self.coding {
            Coding::Palette(values) if values.len() < PALETTE_MAX && narrow(datum).is_some() => {}
            _ => return false,
        }
        let codes: Vec<u64> = (0..self.len()).map(|row| self.short(row)).collect();
        self.bits += 1;
        self.bytes = vec![0; bytes(codes.len(), self.bits)];
        codes.iter().enumerate().for_each(|(row, &code)| self.store(row, code.into()));
        true
    }

    /// A run of few different values, where a palette of them takes less than codes of so many bits.
    fn of_few(values: &[Datum], bits: u32) -> Option<Coded> {
        if bits <= 1 {
            return None;
        }
        let mut palette: Vec<i64> = Vec::with_capacity(PALETTE_MAX);
        let mut codes: Vec<u8> = Vec::with_capacity(values.len());
        let (mut last, mut code) = (None, 0);
        for &datum in values {
            let value = narrow(datum)?;
            if last != Some(value) {
                last = Some(value);
                code = palette.iter().position(|&known| known == value).unwrap_or(palette.len());
                if code == palette.len() {
                    if code == PALETTE_MAX {
                        return None;
                    }
                    palette.push(value);
                }
            }
            codes.push(code as u8);
        }
        let fewer = (palette.len() - 1).checked_ilog2().map_or(0, |log| log + 1);
        if bits.saturating_sub(fewer) as usize * values.len() / 8 <= palette.len() * size_of::<i64>() {
            return None;
        }
        palette.shrink_to_fit();
        let mut coded = Coded::empty(values.len(), Coding::Palette(palette), fewer);
        codes.iter().enumerate().for_each(|(row, &code)| coded.store(row, code.into()));
        Some(coded)
    }

    /// A run whose codes are all to be written yet.
    fn empty(len: usize, coding: Coding, bits: u32) -> Coded {
        let bytes = if bits == 0 { Vec::new() } else { vec![0; bytes(len, bits)] };
        Coded { len: len as u32, bits, coding, bytes }
    }

    fn with(values: &[Datum], coding: Coding, bits: u32) -> Coded {
        let mut coded = Coded::empty(values.len(), coding, bits);
        if bits == 0 {
            return coded;
        }
        for (row, &datum) in values.iter().enumerate() {
            let code = coded.encode(datum).expect("a coding has its values");
            coded.store(row, code);
        }
        coded
    }

    /// Makes room for the codes of so many rows, and of half as many more.
    fn reserve(&mut self, rows: usize) {
        let wanted = bytes(rows, self.bits);
        if self.bits == 0 || wanted <= self.bytes.len() {
            return;
        }
        if wanted > self.bytes.capacity() {
            self.bytes.reserve_exact(wanted - self.bytes.len() + wanted / 2);
        }
        self.bytes.resize(wanted, 0);
    }

    #[inline]
    fn value(&self, code: u128) -> Datum {
        match &self.coding {
            Coding::Steps { nulls: true, .. } if code == mask(self.bits) => NULL,
            Coding::Steps { base, step, .. } => base.wrapping_add(code.wrapping_mul((*step).into()) as i128),
            Coding::Palette(values) => match values[code as usize] {
                NONE => NULL,
                value => value.into(),
            },
        }
    }

    /// The code of a value, where it has one.
    #[inline]
    fn encode(&mut self, datum: Datum) -> Option<u128> {
        match &mut self.coding {
            Coding::Steps { nulls, .. } if datum == NULL => nulls.then(|| mask(self.bits)),
            Coding::Steps { base, step, nulls, .. } => {
                if datum == *base {
                    return (self.bits > 0 || !*nulls).then_some(0);
                }
                if datum < *base {
                    return None;
                }
                let above = datum.wrapping_sub(*base) as u128;
                let code = match u64::try_from(above) {
                    _ if *step == 1 => above,
                    Ok(above) => {
                        let code = above / *step;
                        if code * *step != above {
                            return None;
                        }
                        code.into()
                    }
                    // A step is made for values that are all within 64 bits of each other.
                    Err(_) => return None,
                };
                let most = mask(self.bits);
                (code < most || (code == most && !*nulls)).then_some(code)
            }
            Coding::Palette(values) => {
                let wanted = narrow(datum)?;
                if let Some(code) = values.iter().position(|&value| value == wanted) {
                    return Some(code as u128);
                }
                // Where bits have room for one more.
                (values.len() < 1 << self.bits).then(|| {
                    values.push(wanted);
                    values.len() as u128 - 1
                })
            }
        }
    }

    #[inline]
    fn code(&self, row: usize) -> u128 {
        if self.bits <= SHORT_BITS_MAX { self.short(row).into() } else { self.long(row) }
    }

    #[inline]
    fn short(&self, row: usize) -> u64 {
        if self.bits == 0 {
            return 0;
        }
        let at = row * self.bits as usize;
        let word = &self.bytes[at / 8..][..8];
        let word = u64::from_le_bytes(word.try_into().expect("eight bytes"));
        word >> (at % 8) & !(u64::MAX << self.bits)
    }

    fn long(&self, row: usize) -> u128 {
        let at = row * self.bits as usize;
        let word = &self.bytes[at / 8..][..16];
        let word = u128::from_le_bytes(word.try_into().expect("sixteen bytes"));
        word >> (at % 8) & mask(self.bits)
    }

    #[inline]
    fn store(&mut self, row: usize, code: u128) {
        let at = row * self.bits as usize;
        if self.bits == 0 {
            return;
        }
        if self.bits <= SHORT_BITS_MAX {
            let bytes: &mut [u8; 8] = (&mut self.bytes[at / 8..][..8]).try_into().expect("eight bytes");
            let kept = u64::from_le_bytes(*bytes) & !(!(u64::MAX << self.bits) << (at % 8));
            *bytes = (kept | (code as u64) << (at % 8)).to_le_bytes();
        } else {
            let bytes: &mut [u8; 16] = (&mut self.bytes[at / 8..][..16]).try_into().expect("sixteen bytes");
            let kept = u128::from_le_bytes(*bytes) & !(mask(self.bits) << (at % 8));
            *bytes = (kept | code << (at % 8)).to_le_bytes();
        }
    }
}

/// The greatest code of so many bits.
#[inline]
fn mask(bits: u32) -> u128 {
    if bits >= 128 { u128::MAX } else { !(u128::MAX << bits) }
}

/// The bytes that so many codes take, with what a load may take behind the last.
fn bytes(rows: usize, bits: u32) -> usize {
    let behind = if bits <= SHORT_BITS_MAX { 8 } else { 16 };
    (rows * bits as usize).div_ceil(8) + behind
}

/// A value as palettes hold it.
fn narrow(datum: Datum) -> Option<i64> {
    match datum {
        NULL => Some(NONE),
        _ => i64::try_from(datum).ok().filter(|&value| value != NONE),
    }
}

/// The least and the greatest of all values there are, and whether there is none somewhere.
fn bounds(values: &[Datum]) -> (Datum, Datum, bool) {
    let (mut low, mut high, mut nulls) = (Datum::MAX, Datum::MIN, false);
    for &datum in values {
        if datum == NULL {
            nulls = true;
            continue;
        }
        low = low.min(datum);
        high = high.max(datum);
    }
    (low, high, nulls)
}

/// Bits of a code of which this is the greatest.
fn bits(most: u128) -> u32 {
    let bits = u128::BITS - most.leading_zeros();
    if bits > LONG_BITS_MAX { u128::BITS } else { bits }
}

/// The coding of values in steps, with room where it is wanted, and its bits.
fn steps(values: &[Datum], low: Datum, high: Datum, nulls: bool, spare: Spare) -> (Coding, u32) {
    if low > high {
        return (Coding::Palette(vec![NONE]), 0);
    }
    if low == high && !nulls {
        return (Coding::Steps { base: low, step: 1, nulls, loose: false }, 0);
    }
    // The difference of two values always fits unsigned.
    let span = high.wrapping_sub(low) as u128;
    let step = if span <= u64::MAX.into() { step(values, low) } else { 1 };
    let codes = span / u128::from(step);
    // Twice the span, and at least one code more.
    let room = codes.max(1).saturating_mul(step.into());
    let room = Datum::try_from(room).ok();
    let wider = match spare {
        Spare::None => None,
        Spare::Below => {
            room.and_then(|room| low.checked_sub(room)).filter(|&low| low != NULL).map(|low| (low, high))
        }
        Spare::Above => room.and_then(|room| high.checked_add(room)).map(|high| (low, high)),
    };
    // A code times its step is to fit 64 bits wherever a step is more than 1.
    let narrow =
        |&(low, high): &(Datum, Datum)| step == 1 || high.wrapping_sub(low) as u128 <= u64::MAX.into();
    let (base, top) = wider.filter(narrow).unwrap_or((low, high));
    let codes = top.wrapping_sub(base) as u128 / u128::from(step);
    // The greatest code is no value where there are nulls. It is none of theirs: the least datum is null.
    let loose = spare != Spare::None;
    (Coding::Steps { base, step, nulls, loose }, bits(codes.saturating_add(nulls.into())))
}

/// The greatest step that all values are whole steps above the least one.
fn step(values: &[Datum], low: Datum) -> u64 {
    let mut step = 0u64;
    for &datum in values {
        if datum == NULL {
            continue;
        }
        let above = datum.wrapping_sub(low) as u64;
        if step == 0 {
            step = above;
        } else if !above.is_multiple_of(step) {
            step = greatest_common_divisor(step, above);
        }
        if step == 1 {
            break;
        }
    }
    step.max(1)
}

fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
