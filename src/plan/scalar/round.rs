//! Rounded products at 64 bits: the common case of [`crate::datum::round_product`], to the same bits.
//!
//! Factors are integers of 64 bits, with whole powers of ten taken out; their product has 128, and is divided
//! by a power of ten with two multiplications by its reciprocal. Where a factor or product has more, this
//! says so and the caller takes the way that always works.
//! Source: Möller and Granlund, Improved division by invariant integers (2011), algorithm 4.

use super::lane::{Lane, NONE, narrow};
use crate::datum::{Datum, NULL, power_of_ten};

/// Digits that are split off a value of more than 64 bits: a factor of an instrument has 20 after the point,
/// of which a price scale or a multiplier needs the first two or so.
const SPLIT: u8 = 18;

/// The most digits a power of ten of 64 bits has.
const SHIFT_MAX: usize = 19;

/// A power of ten, shifted to its full 64 bits, with its reciprocal.
#[derive(Clone, Copy)]
struct Divisor {
    normal: u64,
    /// ⌊(2¹²⁸ − 1) ÷ normal⌋ − 2⁶⁴.
    reciprocal: u64,
    shift: u32,
}

impl Divisor {
    const fn new(value: u64) -> Divisor {
        let shift = value.leading_zeros();
        let normal = value << shift;
        Divisor { normal, reciprocal: (u128::MAX / normal as u128 - (1 << 64)) as u64, shift }
    }

    #[inline(always)]
    fn value(&self) -> u64 {
        self.normal >> self.shift
    }

    /// Quotient and remainder of a value whose upper half is less than the divisor.
    #[inline(always)]
    fn divide(&self, value: u128) -> (u64, u64) {
        let value = value << self.shift;
        let (high, low) = ((value >> 64) as u64, value as u64);
        let estimate = u128::from(self.reciprocal) * u128::from(high) + value;
        let mut quotient = ((estimate >> 64) as u64).wrapping_add(1);
        let mut rest = low.wrapping_sub(quotient.wrapping_mul(self.normal));
        if rest > estimate as u64 {
            quotient = quotient.wrapping_sub(1);
            rest = rest.wrapping_add(self.normal);
        }
        if rest >= self.normal {
            quotient = quotient.wrapping_add(1);
            rest -= self.normal;
        }
        (quotient, rest >> self.shift)
    }
}

const DIVISORS: [Divisor; SHIFT_MAX + 1] = {
    let mut divisors = [Divisor::new(1); SHIFT_MAX + 1];
    let mut at = 1;
    while at <= SHIFT_MAX {
        divisors[at] = Divisor::new(power_of_ten(at as u8) as u64);
        at += 1;
    }
    divisors
};

/// Divides by `10^shift` and rounds half to even; `None` for a shift of more than 38, and where a quotient on
/// the way has more than 64 bits.
#[inline(always)]
fn divide_half_even(value: u128, shift: usize) -> Option<u64> {
    if shift > SHIFT_MAX {
        // In two steps: what is left of the first only tells whether a half is one exactly.
        let (quotient, below) = divide(value, SHIFT_MAX)?;
        let (quotient, rest) = divide(quotient.into(), shift - SHIFT_MAX)?;
        let other = DIVISORS[shift - SHIFT_MAX].value() - rest;
        let half = rest == other && (below > 0 || quotient & 1 == 1);
        return quotient.checked_add(u64::from(rest > other || half));
    }
    let (quotient, rest) = divide(value, shift)?;
    let other = DIVISORS[shift].value() - rest;
    quotient.checked_add(u64::from(rest > other || rest == other && quotient & 1 == 1))
}

/// Quotient by `10^shift` and remainder.
#[inline(always)]
fn divide(value: u128, shift: usize) -> Option<(u64, u64)> {
    let divisor = DIVISORS.get(shift)?;
    (((value >> 64) as u64) < divisor.value()).then(|| divisor.divide(value))
}

/// A factor as an integer of 64 bits and the power of ten taken out of it; `None` where that is not whole.
#[inline(always)]
fn split(value: Datum) -> Option<(i64, u8)> {
    if let Some(short) = narrow(value) {
        return Some((short, 0));
    }
    let (quotient, rest) = divide(value.unsigned_abs(), SPLIT.into())?;
    let short = i64::try_from(quotient).ok().filter(|_| rest == 0)?;
    Some((if value < 0 { -short } else { short }, SPLIT))
}

/// Factors that are multiplied row by row at 64 bits; more are multiplied the other way.
const FACTORS_MAX: usize = 5;

/// Room for factors that have to be laid out.
#[derive(Debug, Default)]
pub struct Factors {
    /// Factor by factor, those that are no lanes of 64 bits as they stand.
    values: [Vec<i64>; FACTORS_MAX],
    /// By row: the powers of ten taken out of its factors; [`NOT_SHORT`] where one has more than 64 bits.
    zeros: Vec<u8>,
    /// The factors of one row.
    row: Vec<(Datum, u8)>,
}

const NOT_SHORT: u8 = u8::MAX;

/// Writes the rounded products of rows, [`NONE`] where a factor has no value, each at 64 bits; false where one
/// has more.
#[inline(always)]
pub fn products(lanes: &[(Lane, u8)], scale: u8, room: &mut Factors, out: &mut [i64]) -> bool {
    let len = out.len();
    let mut shift = -i32::from(scale);
    // What each factor is: a lane as it stands, or the next of those laid out.
    let mut places: [Option<&[i64]>; FACTORS_MAX] = [None; FACTORS_MAX];
    let (mut count, mut has_zeros) = (0, false);
    room.zeros.clear();
    for (lane, digits) in lanes {
        shift += i32::from(*digits);
        if count == FACTORS_MAX {
            return false;
        }
        match *lane {
            Lane::Const(NULL) => {
                out.fill(NONE);
                return true;
            }
            Lane::Const(datum) => {
                let Some((value, zeros)) = split(datum).map(without_zeros) else { return false };
                shift -= i32::from(zeros);
                if value == 1 {
                    continue;
                }
                room.values[count].clear();
                room.values[count].resize(len, value);
            }
            Lane::Narrow(values) => places[count] = Some(&values[..len]),
            Lane::Wide(values) => {
                has_zeros = true;
                room.zeros.resize(len, 0);
                room.values[count].clear();
                // Most factors of an instrument are those of the one before.
                let (mut last, mut known) = (NULL, Some((NONE, 0)));
                room.values[count].extend(values[..len].iter().zip(&mut room.zeros).map(|(&value, all)| {
                    if value != last {
                        (last, known) = (value, split(value));
                    }
                    let (value, zeros) = known.unwrap_or((0, NOT_SHORT));
                    *all = all.saturating_add(zeros);
                    value
                }));
            }
        }
        count += 1;
    }
    let Factors { values, zeros, row } = room;
    let factor = |at: usize| places[at].unwrap_or(&values[at]);
    let mut rest = |at: usize| narrow(product_wide(lanes, at, scale, row));
    let zeros = has_zeros.then_some(zeros.as_slice());
    match count {
        1 => each([factor(0)], shift, zeros, out, &mut rest),
        2 => each([factor(0), factor(1)], shift, zeros, out, &mut rest),
        3 => each([factor(0), factor(1), factor(2)], shift, zeros, out, &mut rest),
        4 => each([0, 1, 2, 3].map(factor), shift, zeros, out, &mut rest),
        5 => each([0, 1, 2, 3, 4].map(factor), shift, zeros, out, &mut rest),
        _ => false,
    }
}

/// The products of rows by the short way, and by another where that does not do.
#[inline(always)]
fn each<const K: usize>(
    factors: [&[i64]; K],
    shift: i32,
    zeros: Option<&[u8]>,
    out: &mut [i64],
    rest: &mut dyn FnMut(usize) -> Option<i64>,
) -> bool {
    let mut fits = true;
    for (row, out) in out.iter_mut().enumerate() {
        let values = factors.map(|factor| factor[row]);
        let taken = zeros.map_or(0, |zeros| zeros[row]);
        let shift = shift - i32::from(taken);
        let short = if taken == NOT_SHORT { None } else { product(values, shift) };
        *out = match short {
            Some(value) => value,
            None => {
                let trimmed = if taken == NOT_SHORT { None } else { product_trimmed(values, shift) };
                match trimmed.or_else(|| rest(row)) {
                    Some(value) => value,
                    None => {
                        fits = false;
                        NONE
                    }
                }
            }
        };
    }
    fits
}

/// The product with some zeros taken out of each factor.
#[inline(never)]
fn product_trimmed<const K: usize>(values: [i64; K], shift: i32) -> Option<i64> {
    let mut taken = 0;
    let values = values.map(|value| {
        let (value, zeros) = without_zeros((value, 0));
        taken += i32::from(zeros);
        value
    });
    product(values, shift - taken)
}

/// A factor with powers of 10⁸ taken out: that much a whole number has behind its point, at least.
#[inline(always)]
fn without_zeros((value, zeros): (i64, u8)) -> (i64, u8) {
    let (mut value, mut zeros) = (value, zeros);
    if value == NONE || value == 0 {
        return (value, zeros);
    }
    while value % 100_000_000 == 0 {
        value /= 100_000_000;
        zeros += 8;
    }
    // A power of ten of its own is a factor of 1.
    const POWERS: [i64; 7] = [10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000];
    match POWERS.iter().position(|&power| power == value) {
        Some(at) => (1, zeros + at as u8 + 1),
        None => (value, zeros),
    }
}

/// The product of factors without a power of ten, `10^shift` times less and rounded; `None` where it, or
/// what comes on the way, is not to be had.
#[inline(always)]
fn product<const K: usize>(values: [i64; K], shift: i32) -> Option<i64> {
    if values.iter().fold(false, |none, &value| none | (value == NONE)) {
        return Some(NONE);
    }
    let negative = values.iter().fold(0, |sign, value| sign ^ value) < 0;
    let mut magnitude = u128::from(values[0].unsigned_abs());
    for value in &values[1..] {
        let value = value.unsigned_abs();
        magnitude = match u64::try_from(magnitude) {
            Ok(short) => u128::from(short) * u128::from(value),
            Err(_) => {
                let high = (magnitude >> 64) * u128::from(value);
                let low = (magnitude & u128::from(u64::MAX)) * u128::from(value);
                let high = high + (low >> 64);
                if high > u128::from(u64::MAX) >> 1 {
                    return None;
                }
                high << 64 | low & u128::from(u64::MAX)
            }
        };
    }
    let rounded = match usize::try_from(shift) {
        Ok(0) => u64::try_from(magnitude).ok()?,
        Ok(shift) => divide_half_even(magnitude, shift)?,
        Err(_) => {
            let power = DIVISORS.get(shift.unsigned_abs() as usize)?.value();
            u64::try_from(magnitude).ok()?.checked_mul(power)?
        }
    };
    let value = i64::try_from(rounded).ok()?;
    Some(if negative { -value } else { value })
}

/// The rounded product of a row's factors, by the way that always works.
fn product_wide(lanes: &[(Lane, u8)], row: usize, scale: u8, values: &mut Vec<(Datum, u8)>) -> Datum {
    values.clear();
    values.extend(lanes.iter().map(|(lane, scale)| (lane.get(row), *scale)));
    super::rounded(values, scale)
}

/// The same, with the caller's room.
pub fn product_of_row(lanes: &[(Lane, u8)], row: usize, scale: u8, room: &mut Factors) -> Datum {
    product_wide(lanes, row, scale, &mut room.row)
}
