//! SQL scalar expressions compiled for the tick: exact, without planning, names or strings.
//!
//! A [`Scalar`] is a typed DataFusion expression turned into arithmetic on datums ([`compile`]). The scalars
//! of a relation are compiled once more, together, into a [`Program`], which evaluates them over columns:
//! so the cost of walking a tree is shared by the rows, and what scalars share is computed once. A single row
//! is evaluated by [`Scalar::value`].
//! The oracle runs the same SQL in DataFusion itself, so the two check each other.
//! A result that needs more than 128 bits is no value, never a wrong one.

mod compile;
mod lane;
mod program;
mod round;
mod run;

pub use compile::{compile, scale_of};
pub use lane::{Lane, NONE, Values};
pub use program::{BATCH_ROWS, Outputs, Program, Scratch};

use crate::datum::{Datum, NULL, round_product, round_quotient};

#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    Column(usize),
    Const(Datum),
    Add(Box<Scalar>, Box<Scalar>),
    Subtract(Box<Scalar>, Box<Scalar>),
    Multiply(Box<Scalar>, Box<Scalar>),
    Negate(Box<Scalar>),
    Compare(Comparison, Box<Scalar>, Box<Scalar>),
    And(Box<Scalar>, Box<Scalar>),
    Or(Box<Scalar>, Box<Scalar>),
    Not(Box<Scalar>),
    IsNull(Box<Scalar>),
    /// Equal, where null equals null; never null.
    Same(Box<Scalar>, Box<Scalar>),
    In(Box<Scalar>, Vec<Datum>),
    /// The first branch whose condition is true, else the last.
    Case(Vec<(Scalar, Scalar)>, Box<Scalar>),
    Coalesce(Vec<Scalar>),
    Greatest(Vec<Scalar>),
    Least(Vec<Scalar>),
    /// The exact product of factors with their scales, rounded half to even to a scale.
    RoundProduct(Vec<(Scalar, u8)>, u8),
    /// A quotient of two values with their scales, rounded half to even to a scale.
    RoundQuotient(Box<(Scalar, u8)>, Box<(Scalar, u8)>, u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Scalar {
    pub const TRUE: Scalar = Scalar::Const(1);

    /// The value for one row, whose column `c` is `row[c]`.
    ///
    /// Booleans are 0, 1 or [`NULL`]. A [`Program`] computes the same for many rows.
    pub fn value(&self, row: &[Datum]) -> Datum {
        match self {
            Scalar::Column(column) => row[*column],
            Scalar::Const(datum) => *datum,
            Scalar::Add(a, b) => strict(a.value(row), b.value(row), |a, b| a.checked_add(b)),
            Scalar::Subtract(a, b) => strict(a.value(row), b.value(row), |a, b| a.checked_sub(b)),
            Scalar::Multiply(a, b) => strict(a.value(row), b.value(row), multiply),
            Scalar::Negate(a) => negate(a.value(row)),
            Scalar::Compare(comparison, a, b) => comparison.of(a.value(row), b.value(row)),
            Scalar::And(a, b) => match a.value(row) {
                0 => 0,
                a => and(a, b.value(row)),
            },
            Scalar::Or(a, b) => match a.value(row) {
                1 => 1,
                a => or(a, b.value(row)),
            },
            Scalar::Not(a) => not(a.value(row)),
            Scalar::IsNull(a) => Datum::from(a.value(row) == NULL),
            Scalar::Same(a, b) => Datum::from(a.value(row) == b.value(row)),
            Scalar::In(a, list) => within(a.value(row), list),
            Scalar::Case(branches, otherwise) => {
                let branch = branches.iter().find(|(condition, _)| condition.value(row) == 1);
                branch.map_or(otherwise.as_ref(), |(_, value)| value).value(row)
            }
            Scalar::Coalesce(all) => all.iter().map(|a| a.value(row)).find(|&a| a != NULL).unwrap_or(NULL),
            Scalar::Greatest(all) => all.iter().map(|a| a.value(row)).fold(NULL, greater),
            Scalar::Least(all) => all.iter().map(|a| a.value(row)).fold(NULL, lesser),
            Scalar::RoundProduct(factors, scale) => {
                let values: Vec<(Datum, u8)> = factors.iter().map(|(f, s)| (f.value(row), *s)).collect();
                rounded(&values, *scale)
            }
            Scalar::RoundQuotient(a, b, scale) => strict(a.0.value(row), b.0.value(row), |top, bottom| {
                round_quotient((top, a.1), (bottom, b.1), *scale)
            }),
        }
    }

    /// Whether the value over a sum of rows is the sum of the values, for rows that agree in the columns
    /// that `same` names.
    pub fn is_linear(&self, same: &dyn Fn(usize) -> bool) -> bool {
        match self {
            Scalar::Column(column) => !same(*column),
            Scalar::Const(value) => *value == 0,
            Scalar::Negate(a) => a.is_linear(same),
            Scalar::Add(a, b) | Scalar::Subtract(a, b) => a.is_linear(same) && b.is_linear(same),
            Scalar::Case(branches, otherwise) => {
                let mut agreed = true;
                branches
                    .iter()
                    .for_each(|(condition, _)| condition.columns(&mut |column| agreed &= same(column)));
                agreed && branches.iter().all(|(_, value)| value.is_linear(same)) && otherwise.is_linear(same)
            }
            _ => false,
        }
    }

    /// Calls `f` for each column used.
    pub fn columns(&self, f: &mut impl FnMut(usize)) {
        match self {
            Scalar::Column(column) => f(*column),
            Scalar::Const(_) => {}
            Scalar::Add(a, b)
            | Scalar::Subtract(a, b)
            | Scalar::Multiply(a, b)
            | Scalar::Compare(_, a, b)
            | Scalar::And(a, b)
            | Scalar::Or(a, b)
            | Scalar::Same(a, b) => {
                a.columns(f);
                b.columns(f);
            }
            Scalar::Negate(a) | Scalar::Not(a) | Scalar::IsNull(a) | Scalar::In(a, _) => a.columns(f),
            Scalar::Case(branches, otherwise) => {
                for (condition, value) in branches {
                    condition.columns(f);
                    value.columns(f);
                }
                otherwise.columns(f);
            }
            Scalar::Coalesce(all) | Scalar::Greatest(all) | Scalar::Least(all) => {
                for one in all {
                    one.columns(f);
                }
            }
            Scalar::RoundProduct(factors, _) => {
                for (factor, _) in factors {
                    factor.columns(f);
                }
            }
            Scalar::RoundQuotient(a, b, _) => {
                a.0.columns(f);
                b.0.columns(f);
            }
        }
    }

    /// Calls `f` for each column of which more is read than whether it has a value.
    pub fn columns_by_value(&self, f: &mut dyn FnMut(usize)) {
        match self {
            Scalar::Column(column) => f(*column),
            Scalar::Const(_) => {}
            Scalar::IsNull(a) if matches!(a.as_ref(), Scalar::Column(_)) => {}
            Scalar::Add(a, b)
            | Scalar::Subtract(a, b)
            | Scalar::Multiply(a, b)
            | Scalar::Compare(_, a, b)
            | Scalar::And(a, b)
            | Scalar::Or(a, b)
            | Scalar::Same(a, b) => {
                a.columns_by_value(f);
                b.columns_by_value(f);
            }
            Scalar::Negate(a) | Scalar::Not(a) | Scalar::IsNull(a) | Scalar::In(a, _) => {
                a.columns_by_value(f)
            }
            Scalar::Case(branches, otherwise) => {
                for (condition, value) in branches {
                    condition.columns_by_value(f);
                    value.columns_by_value(f);
                }
                otherwise.columns_by_value(f);
            }
            Scalar::Coalesce(all) | Scalar::Greatest(all) | Scalar::Least(all) => {
                all.iter().for_each(|one| one.columns_by_value(f));
            }
            Scalar::RoundProduct(factors, _) => factors.iter().for_each(|(one, _)| one.columns_by_value(f)),
            Scalar::RoundQuotient(a, b, _) => {
                a.0.columns_by_value(f);
                b.0.columns_by_value(f);
            }
        }
    }

    /// The expression with each column replaced.
    pub fn substitute(&self, with: &mut impl FnMut(usize) -> Scalar) -> Scalar {
        let pair = |a: &Scalar, b: &Scalar, with: &mut _| {
            (Box::new(a.substitute(with)), Box::new(b.substitute(with)))
        };
        match self {
            Scalar::Column(column) => with(*column),
            Scalar::Const(datum) => Scalar::Const(*datum),
            Scalar::Add(a, b) => {
                let (a, b) = pair(a, b, with);
                Scalar::Add(a, b)
            }
            Scalar::Subtract(a, b) => {
                let (a, b) = pair(a, b, with);
                Scalar::Subtract(a, b)
            }
            Scalar::Multiply(a, b) => {
                let (a, b) = pair(a, b, with);
                Scalar::Multiply(a, b)
            }
            Scalar::Compare(comparison, a, b) => {
                let (a, b) = pair(a, b, with);
                Scalar::Compare(*comparison, a, b)
            }
            Scalar::And(a, b) => {
                let (a, b) = pair(a, b, with);
                Scalar::And(a, b)
            }
            Scalar::Or(a, b) => {
                let (a, b) = pair(a, b, with);
                Scalar::Or(a, b)
            }
            Scalar::Same(a, b) => {
                let (a, b) = pair(a, b, with);
                Scalar::Same(a, b)
            }
            Scalar::Negate(a) => Scalar::Negate(Box::new(a.substitute(with))),
            Scalar::Not(a) => Scalar::Not(Box::new(a.substitute(with))),
            Scalar::IsNull(a) => Scalar::IsNull(Box::new(a.substitute(with))),
            Scalar::In(a, list) => Scalar::In(Box::new(a.substitute(with)), list.clone()),
            Scalar::Case(branches, otherwise) => Scalar::Case(
                branches.iter().map(|(c, v)| (c.substitute(with), v.substitute(with))).collect(),
                Box::new(otherwise.substitute(with)),
            ),
            Scalar::Coalesce(all) => Scalar::Coalesce(all.iter().map(|a| a.substitute(with)).collect()),
            Scalar::Greatest(all) => Scalar::Greatest(all.iter().map(|a| a.substitute(with)).collect()),
            Scalar::Least(all) => Scalar::Least(all.iter().map(|a| a.substitute(with)).collect()),
            Scalar::RoundProduct(factors, scale) => {
                Scalar::RoundProduct(factors.iter().map(|(f, s)| (f.substitute(with), *s)).collect(), *scale)
            }
            Scalar::RoundQuotient(a, b, scale) => Scalar::RoundQuotient(
                Box::new((a.0.substitute(with), a.1)),
                Box::new((b.0.substitute(with), b.1)),
                *scale,
            ),
        }
    }

    /// Replaces what is the same for every row by its value.
    pub fn fold_constants(self) -> Scalar {
        let mut constant = true;
        self.columns(&mut |_| constant = false);
        if constant { Scalar::Const(self.value(&[])) } else { self }
    }
}

impl Comparison {
    #[inline]
    fn of(self, a: Datum, b: Datum) -> Datum {
        if a == NULL || b == NULL { NULL } else { Datum::from(self.holds(a, b)) }
    }

    #[inline]
    fn holds(self, a: Datum, b: Datum) -> bool {
        match self {
            Comparison::Equal => a == b,
            Comparison::NotEqual => a != b,
            Comparison::Less => a < b,
            Comparison::LessOrEqual => a <= b,
            Comparison::Greater => a > b,
            Comparison::GreaterOrEqual => a >= b,
        }
    }
}

#[inline]
fn strict(a: Datum, b: Datum, f: impl Fn(Datum, Datum) -> Option<Datum>) -> Datum {
    if a == NULL || b == NULL { NULL } else { f(a, b).unwrap_or(NULL) }
}

#[inline]
fn negate(a: Datum) -> Datum {
    if a == NULL { NULL } else { -a }
}

#[inline]
fn and(a: Datum, b: Datum) -> Datum {
    match (a, b) {
        (0, _) | (_, 0) => 0,
        (NULL, _) | (_, NULL) => NULL,
        _ => 1,
    }
}

#[inline]
fn or(a: Datum, b: Datum) -> Datum {
    match (a, b) {
        (1, _) | (_, 1) => 1,
        (NULL, _) | (_, NULL) => NULL,
        _ => 0,
    }
}

#[inline]
fn not(a: Datum) -> Datum {
    if a == NULL { NULL } else { 1 - a }
}

#[inline]
fn within(a: Datum, list: &[Datum]) -> Datum {
    if a == NULL { NULL } else { Datum::from(list.contains(&a)) }
}

/// The greater of two values, of which either may be none; no value is the least there is.
#[inline]
fn greater(a: Datum, b: Datum) -> Datum {
    a.max(b)
}

/// The lesser of two values, of which either may be none.
#[inline]
fn lesser(a: Datum, b: Datum) -> Datum {
    if a == NULL || b != NULL && b < a { b } else { a }
}

fn rounded(factors: &[(Datum, u8)], scale: u8) -> Datum {
    if factors.iter().any(|(value, _)| *value == NULL) {
        return NULL;
    }
    round_product(factors, scale).unwrap_or(NULL)
}

/// A product, by the short way where both factors have 64 bits.
#[inline]
pub fn multiply(a: Datum, b: Datum) -> Option<Datum> {
    match (i64::try_from(a), i64::try_from(b)) {
        (Ok(a), Ok(b)) => Some(i128::from(a) * i128::from(b)),
        _ => a.checked_mul(b),
    }
}
