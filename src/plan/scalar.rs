//! SQL scalar expressions compiled for the tick: exact, without planning, names or strings.
//!
//! A [`Scalar`] is a typed DataFusion expression turned into arithmetic on datums. It is evaluated over
//! whole columns, so the cost of walking the tree is shared by the rows; one row costs a few nanoseconds
//! a node. The oracle runs the same SQL in DataFusion itself, so the two check each other.
//! A result that needs more than 128 bits is no value, never a wrong one.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::expr::{BinaryExpr, InList, ScalarFunction};
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, Operator};

use super::function;
use crate::datum::{Datum, NULL, power_of_ten, round_product, round_quotient};
use crate::dictionary::Dictionary;
use crate::error::{Error, Result};

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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A column while it is computed: borrowed, computed, or the same value everywhere.
#[derive(Debug)]
pub enum Lane<'a> {
    Const(Datum),
    Borrowed(&'a [Datum]),
    Owned(Vec<Datum>),
}

impl Lane<'_> {
    #[inline]
    pub fn get(&self, row: usize) -> Datum {
        match self {
            Lane::Const(datum) => *datum,
            Lane::Borrowed(values) => values[row],
            Lane::Owned(values) => values[row],
        }
    }

    /// The lane as a column of `len` values.
    pub fn into_vec(self, len: usize) -> Vec<Datum> {
        match self {
            Lane::Const(datum) => vec![datum; len],
            Lane::Borrowed(values) => values.to_vec(),
            Lane::Owned(values) => values,
        }
    }
}

impl Scalar {
    pub const TRUE: Scalar = Scalar::Const(1);

    /// Evaluates over `len` rows whose column `c` is `columns[c]`; unused columns may be empty.
    ///
    /// Booleans are 0, 1 or [`NULL`].
    pub fn evaluate<'a>(&self, columns: &'a [Vec<Datum>], len: usize) -> Lane<'a> {
        let unary = |of: &Scalar, f: &dyn Fn(Datum) -> Datum| map1(of.evaluate(columns, len), len, f);
        match self {
            Scalar::Column(column) => Lane::Borrowed(&columns[*column]),
            Scalar::Const(datum) => Lane::Const(*datum),
            Scalar::Add(a, b) => map2(a.evaluate(columns, len), b.evaluate(columns, len), len, |a, b| {
                strict(a, b, |a, b| a.checked_add(b))
            }),
            Scalar::Subtract(a, b) => {
                map2(a.evaluate(columns, len), b.evaluate(columns, len), len, |a, b| {
                    strict(a, b, |a, b| a.checked_sub(b))
                })
            }
            Scalar::Multiply(a, b) => {
                map2(a.evaluate(columns, len), b.evaluate(columns, len), len, |a, b| strict(a, b, multiply))
            }
            Scalar::Negate(a) => unary(a, &negate),
            Scalar::Compare(comparison, a, b) => {
                let (a, b) = (a.evaluate(columns, len), b.evaluate(columns, len));
                let comparison = *comparison;
                map2(a, b, len, |a, b| comparison.of(a, b))
            }
            Scalar::And(a, b) => map2(a.evaluate(columns, len), b.evaluate(columns, len), len, and),
            Scalar::Or(a, b) => map2(a.evaluate(columns, len), b.evaluate(columns, len), len, or),
            Scalar::Not(a) => unary(a, &not),
            Scalar::IsNull(a) => unary(a, &|a| Datum::from(a == NULL)),
            Scalar::Same(a, b) => {
                map2(a.evaluate(columns, len), b.evaluate(columns, len), len, |a, b| Datum::from(a == b))
            }
            Scalar::In(a, list) => unary(a, &|a| within(a, list)),
            Scalar::Case(branches, otherwise) => case(branches, otherwise, columns, len),
            Scalar::Coalesce(all) => fold(all, columns, len, |a, b| if a == NULL { b } else { a }),
            Scalar::Greatest(all) => fold(all, columns, len, greater),
            Scalar::Least(all) => fold(all, columns, len, lesser),
            Scalar::RoundProduct(factors, scale) => {
                let lanes: Vec<(Lane, u8)> =
                    factors.iter().map(|(f, s)| (f.evaluate(columns, len), *s)).collect();
                let mut values = vec![(0, 0); lanes.len()];
                let result = (0..len).map(|row| {
                    for (value, (lane, scale)) in values.iter_mut().zip(&lanes) {
                        *value = (lane.get(row), *scale);
                    }
                    rounded(&values, *scale)
                });
                Lane::Owned(result.collect())
            }
            Scalar::RoundQuotient(a, b, scale) => {
                let (top, bottom) = (a.0.evaluate(columns, len), b.0.evaluate(columns, len));
                let (top_scale, bottom_scale, scale) = (a.1, b.1, *scale);
                map2(top, bottom, len, |a, b| {
                    strict(a, b, |a, b| round_quotient((a, top_scale), (b, bottom_scale), scale))
                })
            }
        }
    }

    /// The value for one row: as [`Self::evaluate`], without a column in between.
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
        if constant { Scalar::Const(self.evaluate(&[], 1).get(0)) } else { self }
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

#[inline]
fn map1<'a>(a: Lane<'a>, len: usize, f: &dyn Fn(Datum) -> Datum) -> Lane<'a> {
    match a {
        Lane::Const(a) => Lane::Const(f(a)),
        Lane::Borrowed(a) => Lane::Owned(a[..len].iter().map(|&a| f(a)).collect()),
        Lane::Owned(mut a) => {
            for value in &mut a {
                *value = f(*value);
            }
            Lane::Owned(a)
        }
    }
}

#[inline]
fn map2<'a>(a: Lane<'a>, b: Lane<'a>, len: usize, f: impl Fn(Datum, Datum) -> Datum) -> Lane<'a> {
    match (a, b) {
        (Lane::Const(a), Lane::Const(b)) => Lane::Const(f(a, b)),
        (Lane::Owned(mut a), b) => {
            for (row, value) in a.iter_mut().enumerate() {
                *value = f(*value, b.get(row));
            }
            Lane::Owned(a)
        }
        (a, Lane::Owned(mut b)) => {
            for (row, value) in b.iter_mut().enumerate() {
                *value = f(a.get(row), *value);
            }
            Lane::Owned(b)
        }
        (a, b) => Lane::Owned((0..len).map(|row| f(a.get(row), b.get(row))).collect()),
    }
}

fn fold<'a>(
    all: &[Scalar],
    columns: &'a [Vec<Datum>],
    len: usize,
    f: impl Fn(Datum, Datum) -> Datum,
) -> Lane<'a> {
    let mut result = all[0].evaluate(columns, len);
    for one in &all[1..] {
        result = map2(result, one.evaluate(columns, len), len, &f);
    }
    result
}

fn case<'a>(
    branches: &[(Scalar, Scalar)],
    otherwise: &Scalar,
    columns: &'a [Vec<Datum>],
    len: usize,
) -> Lane<'a> {
    let mut result = otherwise.evaluate(columns, len);
    for (condition, value) in branches.iter().rev() {
        let condition = condition.evaluate(columns, len);
        if let Lane::Const(condition) = condition {
            if condition == 1 {
                result = value.evaluate(columns, len);
            }
            continue;
        }
        let value = value.evaluate(columns, len);
        let mut chosen = result.into_vec(len);
        for (row, chosen) in chosen.iter_mut().enumerate() {
            if condition.get(row) == 1 {
                *chosen = value.get(row);
            }
        }
        result = Lane::Owned(chosen);
    }
    result
}

/// Compiles a typed expression. `columns` are the compiled columns of its input, in the order of `schema`.
///
/// Text constants get a code of `names`, so that they compare with columns as integers.
///
/// # Errors
/// `Unsupported` for an expression that has no exact counterpart here.
pub fn compile(expr: &Expr, schema: &DFSchema, columns: &[Scalar], names: &mut Dictionary) -> Result<Scalar> {
    Compiler { schema, columns, names }.compile(expr).map(Scalar::fold_constants)
}

struct Compiler<'a> {
    schema: &'a DFSchema,
    columns: &'a [Scalar],
    names: &'a mut Dictionary,
}

impl Compiler<'_> {
    fn compile(&mut self, expr: &Expr) -> Result<Scalar> {
        let boxed = |scalar| Box::new(scalar);
        Ok(match expr {
            Expr::Alias(alias) => self.compile(&alias.expr)?,
            Expr::Column(column) => self.columns[self.schema.index_of_column(column)?].clone(),
            Expr::Literal(value, _) => Scalar::Const(self.constant(value)?),
            Expr::BinaryExpr(binary) => self.binary(expr, binary)?,
            Expr::Not(a) => Scalar::Not(boxed(self.compile(a)?)),
            Expr::Negative(a) => Scalar::Negate(boxed(self.compile(a)?)),
            Expr::IsNull(a) => Scalar::IsNull(boxed(self.compile(a)?)),
            Expr::IsNotNull(a) => Scalar::Not(boxed(Scalar::IsNull(boxed(self.compile(a)?)))),
            Expr::InList(InList { expr, list, negated }) => {
                let mut values = Vec::with_capacity(list.len());
                for value in list {
                    match self.compile(value)? {
                        Scalar::Const(datum) => values.push(datum),
                        _ => return Err(unsupported(value)),
                    }
                }
                let within = Scalar::In(boxed(self.compile(expr)?), values);
                if *negated { Scalar::Not(boxed(within)) } else { within }
            }
            Expr::Case(case) => {
                let mut branches = Vec::with_capacity(case.when_then_expr.len());
                for (when, then) in &case.when_then_expr {
                    let condition = match &case.expr {
                        None => self.compile(when)?,
                        Some(of) => Scalar::Compare(
                            Comparison::Equal,
                            boxed(self.compile(of)?),
                            boxed(self.compile(when)?),
                        ),
                    };
                    branches.push((condition, self.compile(then)?));
                }
                let otherwise = match &case.else_expr {
                    Some(otherwise) => self.compile(otherwise)?,
                    None => Scalar::Const(NULL),
                };
                Scalar::Case(branches, boxed(otherwise))
            }
            Expr::Cast(cast) => self.cast(cast)?,
            Expr::ScalarFunction(call) => self.call(call)?,
            other => return Err(unsupported(other)),
        })
    }

    fn binary(&mut self, whole: &Expr, binary: &BinaryExpr) -> Result<Scalar> {
        let (a, b) = (self.compile(&binary.left)?, self.compile(&binary.right)?);
        let compare = |comparison, a, b| Scalar::Compare(comparison, Box::new(a), Box::new(b));
        let (left, right) = (self.scale(&binary.left)?, self.scale(&binary.right)?);
        Ok(match binary.op {
            Operator::And => Scalar::And(Box::new(a), Box::new(b)),
            Operator::Or => Scalar::Or(Box::new(a), Box::new(b)),
            Operator::Multiply => {
                if self.scale(whole)? != left + right {
                    return Err(unsupported(whole));
                }
                Scalar::Multiply(Box::new(a), Box::new(b))
            }
            Operator::Plus | Operator::Minus => {
                let to = self.scale(whole)?;
                let (a, b) = (Box::new(rescale(a, left, to)?), Box::new(rescale(b, right, to)?));
                if binary.op == Operator::Plus { Scalar::Add(a, b) } else { Scalar::Subtract(a, b) }
            }
            operator => {
                let to = left.max(right);
                let (a, b) = (rescale(a, left, to)?, rescale(b, right, to)?);
                match operator {
                    Operator::Eq => compare(Comparison::Equal, a, b),
                    Operator::NotEq => compare(Comparison::NotEqual, a, b),
                    Operator::Lt => compare(Comparison::Less, a, b),
                    Operator::LtEq => compare(Comparison::LessOrEqual, a, b),
                    Operator::Gt => compare(Comparison::Greater, a, b),
                    Operator::GtEq => compare(Comparison::GreaterOrEqual, a, b),
                    Operator::IsNotDistinctFrom => Scalar::Same(Box::new(a), Box::new(b)),
                    Operator::IsDistinctFrom => Scalar::Not(Box::new(Scalar::Same(Box::new(a), Box::new(b)))),
                    _ => return Err(unsupported(whole)),
                }
            }
        })
    }

    fn cast(&mut self, cast: &Cast) -> Result<Scalar> {
        if let Expr::Literal(value, _) = cast.expr.as_ref() {
            let value = value.cast_to(cast.field.data_type())?;
            return Ok(Scalar::Const(self.constant(&value)?));
        }
        let from = cast.expr.get_type(self.schema)?;
        let to = cast.field.data_type();
        let inner = self.compile(&cast.expr)?;
        match (scale_of(&from), scale_of(to)) {
            (Some(from), Some(to)) => rescale(inner, from, to),
            _ if same_kind(&from, to) => Ok(inner),
            _ => Err(Error::unsupported(format!("no exact cast from {from} to {to}"))),
        }
    }

    fn call(&mut self, call: &ScalarFunction) -> Result<Scalar> {
        let name = call.func.name();
        let mut arguments = Vec::with_capacity(call.args.len());
        for argument in &call.args {
            arguments.push(self.compile(argument)?);
        }
        let scales = |compiler: &Self| {
            call.args.iter().map(|argument| compiler.scale(argument)).collect::<Result<Vec<_>>>()
        };
        if let Some(scale) = function::product_scale(name) {
            let scales = scales(self)?;
            return Ok(Scalar::RoundProduct(arguments.into_iter().zip(scales).collect(), scale));
        }
        if let Some(scale) = function::quotient_scale(name) {
            let scales = scales(self)?;
            let mut pairs = arguments.into_iter().zip(scales).map(Box::new);
            let (Some(a), Some(b)) = (pairs.next(), pairs.next()) else {
                return Err(Error::unsupported(name));
            };
            return Ok(Scalar::RoundQuotient(a, b, scale));
        }
        match name {
            "coalesce" => Ok(Scalar::Coalesce(arguments)),
            "greatest" => Ok(Scalar::Greatest(arguments)),
            "least" => Ok(Scalar::Least(arguments)),
            _ => Err(Error::unsupported(format!("the function {name} is not known to live views"))),
        }
    }

    /// Digits after the point; 0 for what is no decimal.
    fn scale(&self, expr: &Expr) -> Result<u8> {
        Ok(scale_of(&expr.get_type(self.schema)?).unwrap_or(0))
    }

    fn constant(&mut self, value: &ScalarValue) -> Result<Datum> {
        Ok(match value {
            value if value.is_null() => NULL,
            ScalarValue::Utf8(Some(text))
            | ScalarValue::Utf8View(Some(text))
            | ScalarValue::LargeUtf8(Some(text)) => Datum::from(self.names.intern(text)),
            ScalarValue::Boolean(Some(value)) => Datum::from(*value),
            ScalarValue::Int64(Some(value)) => Datum::from(*value),
            ScalarValue::Int32(Some(value)) => Datum::from(*value),
            ScalarValue::Date32(Some(value)) => Datum::from(*value),
            ScalarValue::TimestampMicrosecond(Some(value), _) => Datum::from(*value),
            ScalarValue::Decimal128(Some(value), ..) => *value,
            other => {
                return Err(Error::unsupported(format!("the constant {other} is not known to live views")));
            }
        })
    }
}

/// Digits after the point of a number; `None` for what is no exact number.
pub fn scale_of(data_type: &DataType) -> Option<u8> {
    match data_type {
        DataType::Decimal128(_, scale) if *scale >= 0 => Some(*scale as u8),
        DataType::Int64
        | DataType::Int32
        | DataType::Int16
        | DataType::Int8
        | DataType::UInt64
        | DataType::UInt32 => Some(0),
        _ => None,
    }
}

fn same_kind(a: &DataType, b: &DataType) -> bool {
    let text = |t: &DataType| matches!(t, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8);
    a == b
        || text(a) && text(b)
        || *a == DataType::Null
        || matches!((a, b), (DataType::Timestamp(..), DataType::Timestamp(..)))
}

/// More digits after the point, exactly; fewer would round and are refused.
fn rescale(scalar: Scalar, from: u8, to: u8) -> Result<Scalar> {
    Ok(match (from.cmp(&to), scalar) {
        (std::cmp::Ordering::Equal, scalar) => scalar,
        (std::cmp::Ordering::Less, Scalar::Const(NULL)) => Scalar::Const(NULL),
        (std::cmp::Ordering::Less, scalar) => {
            Scalar::Multiply(Box::new(scalar), Box::new(Scalar::Const(power_of_ten(to - from))))
                .fold_constants()
        }
        (std::cmp::Ordering::Greater, Scalar::Const(value)) if value % power_of_ten(from - to) == 0 => {
            Scalar::Const(value / power_of_ten(from - to))
        }
        (std::cmp::Ordering::Greater, _) => {
            return Err(Error::unsupported(format!(
                "a cast from {from} to {to} decimals would round; use a rounding function"
            )));
        }
    })
}

fn unsupported(expr: &Expr) -> Error {
    Error::unsupported(format!("the expression {expr} is not known to live views"))
}
