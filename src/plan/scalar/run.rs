//! The steps of a program computed over lanes: at 64 bits, and at 128 where a row needs it.
//!
//! Loops at 64 bits have no branch a row: a result that does not fit is noted for the whole batch, which is then
//! computed once more at 128. Both give the same datums, so which one ran is nothing a reader can tell.

use super::lane::{Lane, NONE, narrow};
use super::program::{Id, Register, Scratch, Step};
use super::round::{Factors, product_of_row, products};
use super::{Comparison, and, greater, lesser, multiply, negate, not, or, strict, within};
use crate::datum::{Datum, NULL, round_quotient};

/// Computes the steps of an order with the widest vectors that the processor has; the bits are the same.
pub(super) fn compute(steps: &[Step], scratch: &mut Scratch, inputs: &[Lane], len: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("bmi2")
        {
            // SAFETY: the processor has what the function is compiled for.
            return unsafe { compute_avx512(steps, scratch, inputs, len) };
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi2") {
            // SAFETY: as above.
            return unsafe { compute_avx2(steps, scratch, inputs, len) };
        }
    }
    compute_steps(steps, scratch, inputs, len);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,bmi2")]
fn compute_avx512(steps: &[Step], scratch: &mut Scratch, inputs: &[Lane], len: usize) {
    compute_steps(steps, scratch, inputs, len);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi2")]
fn compute_avx2(steps: &[Step], scratch: &mut Scratch, inputs: &[Lane], len: usize) {
    compute_steps(steps, scratch, inputs, len);
}

#[inline(always)]
fn compute_steps(steps: &[Step], scratch: &mut Scratch, inputs: &[Lane], len: usize) {
    let Scratch { order, registers_of, registers, is_wide, factors, .. } = scratch;
    for &(step, register) in order.iter() {
        // A step never writes to a register that it reads.
        let mut into = std::mem::take(&mut registers[register as usize]);
        let lanes = Lanes { steps, registers_of, registers, inputs, len };
        lanes.compute(&steps[step as usize], &mut into, &mut is_wide[step as usize], factors);
        registers[register as usize] = into;
    }
}

/// The lanes of steps that were computed.
pub(super) struct Lanes<'a> {
    pub(super) steps: &'a [Step],
    pub(super) registers_of: &'a [u16],
    pub(super) registers: &'a [Register],
    pub(super) inputs: &'a [Lane<'a>],
    pub(super) len: usize,
}

/// A lane at 64 bits.
#[derive(Clone, Copy)]
enum Short<'a> {
    One(i64),
    Each(&'a [i64]),
}

/// What a step at 64 bits says of a row: 0, or any bit where its result has more. No branch and no flag, so that
/// many rows are computed at once.
type Misfit = i64;

const FITS: Misfit = 0;

impl<'a> Lanes<'a> {
    #[inline(always)]
    pub(super) fn get(&self, step: Id) -> Lane<'a> {
        match &self.steps[step as usize] {
            Step::Input(input) => self.inputs[*input],
            Step::Const(datum) => Lane::Const(*datum),
            _ => {
                let register = &self.registers[self.registers_of[step as usize] as usize];
                if register.is_wide {
                    Lane::Wide(&register.wide[..self.len])
                } else {
                    Lane::Narrow(&register.narrow[..self.len])
                }
            }
        }
    }

    #[inline(always)]
    fn short(&self, lane: Lane<'a>) -> Option<Short<'a>> {
        match lane {
            Lane::Const(datum) => narrow(datum).map(Short::One),
            Lane::Narrow(values) => Some(Short::Each(&values[..self.len])),
            Lane::Wide(_) => None,
        }
    }

    /// Computes a step; `is_wide` is what it was the last time, and becomes what it is now.
    #[inline(always)]
    fn compute(&self, step: &Step, into: &mut Register, is_wide: &mut bool, factors: &mut Factors) {
        let get = |id: &Id| self.get(*id);
        into.is_wide = *is_wide;
        match step {
            Step::Input(_) | Step::Const(_) => unreachable!("these are no steps of an order"),
            Step::Add(a, b) => self.binary(
                [get(a), get(b)],
                into,
                |a, b| {
                    let sum = a.wrapping_add(b);
                    // Both signs are other than the sum's.
                    strict_narrow(a, b, sum, (a ^ sum) & (b ^ sum))
                },
                |a, b| strict(a, b, |a, b| a.checked_add(b)),
            ),
            Step::Subtract(a, b) => self.binary(
                [get(a), get(b)],
                into,
                |a, b| {
                    let rest = a.wrapping_sub(b);
                    strict_narrow(a, b, rest, (a ^ b) & (a ^ rest))
                },
                |a, b| strict(a, b, |a, b| a.checked_sub(b)),
            ),
            Step::Multiply(a, b) => self.binary(
                [get(a), get(b)],
                into,
                |a, b| {
                    let (product, over) = a.overflowing_mul(b);
                    strict_narrow(a, b, product, -i64::from(over))
                },
                |a, b| strict(a, b, multiply),
            ),
            // The negative of no value is no value at 64 bits, too.
            Step::Negate(a) => self.unary(get(a), into, |a| (a.wrapping_neg(), FITS), negate),
            Step::Compare(comparison, a, b) => {
                let lanes = [get(a), get(b)];
                // Outside the loop, so that each is compiled by itself.
                match comparison {
                    Comparison::Equal => self.compare(lanes, into, |a, b| a == b, |a, b| a == b),
                    Comparison::NotEqual => self.compare(lanes, into, |a, b| a != b, |a, b| a != b),
                    Comparison::Less => self.compare(lanes, into, |a, b| a < b, |a, b| a < b),
                    Comparison::LessOrEqual => self.compare(lanes, into, |a, b| a <= b, |a, b| a <= b),
                    Comparison::Greater => self.compare(lanes, into, |a, b| a > b, |a, b| a > b),
                    Comparison::GreaterOrEqual => self.compare(lanes, into, |a, b| a >= b, |a, b| a >= b),
                }
            }
            Step::And(a, b) => self.binary(
                [get(a), get(b)],
                into,
                |a, b| {
                    let some = if a == NONE || b == NONE { NONE } else { 1 };
                    (if a == 0 || b == 0 { 0 } else { some }, FITS)
                },
                and,
            ),
            Step::Or(a, b) => self.binary(
                [get(a), get(b)],
                into,
                |a, b| {
                    let some = if a == NONE || b == NONE { NONE } else { 0 };
                    (if a == 1 || b == 1 { 1 } else { some }, FITS)
                },
                or,
            ),
            Step::Not(a) => {
                self.unary(get(a), into, |a| (if a == NONE { NONE } else { 1 - a }, FITS), not);
            }
            Step::IsNull(a) => {
                self.unary(get(a), into, |a| (i64::from(a == NONE), FITS), |a| Datum::from(a == NULL))
            }
            Step::Same(a, b) => self.binary(
                [get(a), get(b)],
                into,
                |a, b| (i64::from(a == b), FITS),
                |a, b| Datum::from(a == b),
            ),
            Step::In(a, list) => self.within(get(a), list, into),
            Step::Choose(condition, a, b) => self.choose(get(condition), [get(a), get(b)], into),
            Step::Coalesce(a, b) => self.binary(
                [get(a), get(b)],
                into,
                |a, b| (if a == NONE { b } else { a }, FITS),
                |a, b| if a == NULL { b } else { a },
            ),
            Step::Greatest(a, b) => self.binary([get(a), get(b)], into, |a, b| (a.max(b), FITS), greater),
            Step::Least(a, b) => self.binary(
                [get(a), get(b)],
                into,
                |a, b| (if a == NONE || b != NONE && b < a { b } else { a }, FITS),
                lesser,
            ),
            Step::RoundProduct(of, scale) => self.round(of, *scale, into, factors),
            Step::RoundQuotient((a, a_scale), (b, b_scale), scale) => {
                let (a, b) = (get(a), get(b));
                let (a_scale, b_scale) = (*a_scale, *b_scale);
                self.rows(into, |row| {
                    strict(a.get(row), b.get(row), |a, b| round_quotient((a, a_scale), (b, b_scale), *scale))
                });
            }
        }
        *is_wide = into.is_wide;
    }

    /// A step of one lane: at 64 bits where all rows fit, else at 128.
    #[inline(always)]
    fn unary(
        &self,
        a: Lane,
        into: &mut Register,
        short: impl Fn(i64) -> (i64, Misfit),
        wide: impl Fn(Datum) -> Datum,
    ) {
        if let Some(a) = self.short(a) {
            let out = into.narrow(self.len);
            let mut misfit = FITS;
            match a {
                Short::Each(a) => out.iter_mut().zip(a).for_each(|(out, &a)| {
                    let (value, more) = short(a);
                    *out = value;
                    misfit |= more;
                }),
                Short::One(a) => {
                    let (value, more) = short(a);
                    out.fill(value);
                    misfit = more;
                }
            }
            if misfit == FITS {
                return;
            }
        }
        self.rows(into, |row| wide(a.get(row)));
    }

    /// As [`Self::unary`], of two lanes.
    #[inline(always)]
    fn binary(
        &self,
        [a, b]: [Lane; 2],
        into: &mut Register,
        short: impl Fn(i64, i64) -> (i64, Misfit),
        wide: impl Fn(Datum, Datum) -> Datum,
    ) {
        if !into.is_wide
            && let (Some(a), Some(b)) = (self.short(a), self.short(b))
        {
            let out = into.narrow(self.len);
            let mut misfit = FITS;
            match (a, b) {
                (Short::Each(a), Short::Each(b)) => {
                    for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
                        let (value, more) = short(a, b);
                        *out = value;
                        misfit |= more;
                    }
                }
                (Short::Each(a), Short::One(b)) => {
                    for (out, &a) in out.iter_mut().zip(a) {
                        let (value, more) = short(a, b);
                        *out = value;
                        misfit |= more;
                    }
                }
                (Short::One(a), Short::Each(b)) => {
                    for (out, &b) in out.iter_mut().zip(b) {
                        let (value, more) = short(a, b);
                        *out = value;
                        misfit |= more;
                    }
                }
                (Short::One(a), Short::One(b)) => {
                    let (value, more) = short(a, b);
                    out.fill(value);
                    misfit = more;
                }
            }
            if misfit == FITS {
                return;
            }
        }
        self.rows(into, |row| wide(a.get(row), b.get(row)));
    }

    #[inline(always)]
    fn compare(
        &self,
        lanes: [Lane; 2],
        into: &mut Register,
        short: impl Fn(i64, i64) -> bool,
        wide: impl Fn(Datum, Datum) -> bool,
    ) {
        self.binary(
            lanes,
            into,
            |a, b| {
                let holds = i64::from(short(a, b));
                (if a == NONE || b == NONE { NONE } else { holds }, FITS)
            },
            |a, b| if a == NULL || b == NULL { NULL } else { Datum::from(wide(a, b)) },
        );
    }

    #[inline(always)]
    fn within(&self, a: Lane, list: &[Datum], into: &mut Register) {
        let Some(Short::Each(values)) = self.short(a) else {
            return self.rows(into, |row| within(a.get(row), list));
        };
        let out = into.narrow(self.len);
        out.fill(0);
        // One member after another: no member that no value at 64 bits can be is among them.
        for member in list.iter().filter(|&&member| member != NULL).filter_map(|&member| narrow(member)) {
            for (out, &a) in out.iter_mut().zip(values) {
                *out |= i64::from(a == member);
            }
        }
        for (out, &a) in out.iter_mut().zip(values) {
            *out = if a == NONE { NONE } else { *out };
        }
    }

    #[inline(always)]
    fn choose(&self, condition: Lane, [a, b]: [Lane; 2], into: &mut Register) {
        let lanes = (self.short(condition), self.short(a), self.short(b));
        let (Some(Short::Each(condition)), Some(a), Some(b)) = lanes else {
            return self.rows(into, |row| if condition.get(row) == 1 { a.get(row) } else { b.get(row) });
        };
        let out = into.narrow(self.len);
        match (a, b) {
            (Short::Each(a), Short::Each(b)) => {
                for (((out, &is), &a), &b) in out.iter_mut().zip(condition).zip(a).zip(b) {
                    *out = if is == 1 { a } else { b };
                }
            }
            (Short::Each(a), Short::One(b)) => {
                for ((out, &is), &a) in out.iter_mut().zip(condition).zip(a) {
                    *out = if is == 1 { a } else { b };
                }
            }
            (Short::One(a), Short::Each(b)) => {
                for ((out, &is), &b) in out.iter_mut().zip(condition).zip(b) {
                    *out = if is == 1 { a } else { b };
                }
            }
            (Short::One(a), Short::One(b)) => {
                for (out, &is) in out.iter_mut().zip(condition) {
                    *out = if is == 1 { a } else { b };
                }
            }
        }
    }

    #[inline(always)]
    fn round(&self, of: &[(Id, u8)], scale: u8, into: &mut Register, room: &mut Factors) {
        // As many as a product of SQL has; an array saves an allocation a step.
        const FEW: usize = 8;
        let lanes: Vec<(Lane, u8)>;
        let mut few = [(Lane::Const(NULL), 0); FEW];
        let lanes: &[(Lane, u8)] = if of.len() <= FEW {
            few.iter_mut().zip(of).for_each(|(lane, &(id, scale))| *lane = (self.get(id), scale));
            &few[..of.len()]
        } else {
            lanes = of.iter().map(|&(id, scale)| (self.get(id), scale)).collect();
            &lanes
        };
        if !into.is_wide && products(lanes, scale, room, into.narrow(self.len)) {
            return;
        }
        self.rows(into, |row| product_of_row(lanes, row, scale, room));
    }

    /// Rows at any width, one by one; the lane is narrow again where all fit.
    #[inline(never)]
    fn rows(&self, into: &mut Register, mut value: impl FnMut(usize) -> Datum) {
        into.is_wide = true;
        into.wide.clear();
        let mut fits = true;
        into.wide.extend((0..self.len).map(|row| {
            let value = value(row);
            fits &= narrow(value).is_some();
            value
        }));
        if fits {
            let Register { narrow: out, wide, is_wide } = into;
            *is_wide = false;
            out.clear();
            out.extend(wide.iter().map(|&value| if value == NULL { NONE } else { value as i64 }));
        }
    }
}

impl Register {
    /// Its values at 64 bits, to be written.
    #[inline(always)]
    fn narrow(&mut self, len: usize) -> &mut [i64] {
        self.is_wide = false;
        if self.narrow.len() < len {
            self.narrow.resize(len, NONE);
        }
        &mut self.narrow[..len]
    }
}

/// A result at 64 bits, unless a side has no value, or it has no place there: `over` is negative then.
#[inline(always)]
fn strict_narrow(a: i64, b: i64, result: i64, over: i64) -> (i64, Misfit) {
    let none = a == NONE || b == NONE;
    let misfit = over >> 63 | -i64::from(result == NONE);
    (if none { NONE } else { result }, if none { FITS } else { misfit })
}
