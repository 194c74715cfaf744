//! A value over a row and what it looks up, as disjoint pieces that are sums of `h(row)·g(looked up)`.
//!
//! SQL leaves a row out of SUM where its value is null, and a value is null where any part of it is. So a
//! piece says when it holds and which products make its value then; it counts where all of them have
//! values. Pieces of one value exclude each other: whatever holds in none of them is null.
//! Conditions are split at AND, OR and NOT, in three-valued logic; what compares a row with what it looks
//! up is refused, as is any other function of both.

use crate::datum::NULL;
use crate::error::{Error, Result};
use crate::plan::relation::Input;
use crate::plan::scalar::Scalar;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Neither: a constant.
    None,
    Row,
    LookedUp,
    Both,
}

/// What a scalar over these inputs reads.
pub(super) fn side(scalar: &Scalar, inputs: &[Input]) -> Side {
    let (mut row, mut looked_up) = (false, false);
    scalar.columns(&mut |column| match inputs[column].lookup {
        None => row = true,
        Some(_) => looked_up = true,
    });
    match (row, looked_up) {
        (false, false) => Side::None,
        (true, false) => Side::Row,
        (false, true) => Side::LookedUp,
        (true, true) => Side::Both,
    }
}

/// Where a value is what its products add up to.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub row: Scalar,
    pub looked_up: Scalar,
    pub products: Vec<(Scalar, Scalar)>,
}

/// `a AND b` without what is always true.
pub(super) fn and(a: Scalar, b: Scalar) -> Scalar {
    match (a, b) {
        (Scalar::Const(1), other) | (other, Scalar::Const(1)) => other,
        (Scalar::Const(0), _) | (_, Scalar::Const(0)) => Scalar::Const(0),
        (a, b) if a == b => a,
        (a, b) => Scalar::And(Box::new(a), Box::new(b)),
    }
}

/// Whether a value is there. Of arithmetic it is that its parts are: a result beyond 128 bits is no null of SQL
/// but an overflow, and shows as a value that counts and is not there.
pub fn has_value(of: &Scalar) -> Scalar {
    value_is_there(of, &|_| false)
}

fn value_is_there(of: &Scalar, required: &dyn Fn(usize) -> bool) -> Scalar {
    match of {
        Scalar::Const(value) => Scalar::Const((*value != NULL).into()),
        Scalar::Column(column) if required(*column) => Scalar::TRUE,
        Scalar::Add(a, b) | Scalar::Subtract(a, b) | Scalar::Multiply(a, b) => {
            and(value_is_there(a, required), value_is_there(b, required))
        }
        Scalar::Negate(a) => value_is_there(a, required),
        of => Scalar::Not(Box::new(Scalar::IsNull(Box::new(of.clone())))),
    }
}

/// A value where a condition holds, 0 elsewhere.
pub(super) fn when(condition: Scalar, value: Scalar) -> Scalar {
    match condition {
        Scalar::Const(1) => value,
        Scalar::Const(_) => Scalar::Const(0),
        condition => Scalar::Case(vec![(condition, value)], Box::new(Scalar::Const(0))),
    }
}

/// What is asked of a condition, whose value may also be null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Truth {
    True,
    NotTrue,
    False,
    NotFalse,
}

impl Truth {
    fn otherwise(self) -> Truth {
        match self {
            Truth::True => Truth::NotTrue,
            Truth::NotTrue => Truth::True,
            Truth::False => Truth::NotFalse,
            Truth::NotFalse => Truth::False,
        }
    }

    /// The same asked of the condition's negation.
    fn negated(self) -> Truth {
        match self {
            Truth::True => Truth::False,
            Truth::False => Truth::True,
            Truth::NotTrue => Truth::NotFalse,
            Truth::NotFalse => Truth::NotTrue,
        }
    }

    fn of(self, condition: Scalar) -> Scalar {
        let or = |condition, null| Scalar::Coalesce(vec![condition, Scalar::Const(null)]);
        let not = |condition| Scalar::Not(Box::new(condition));
        match self {
            Truth::True => condition,
            Truth::NotTrue => not(or(condition, 0)),
            Truth::False => not(condition),
            Truth::NotFalse => or(condition, 1),
        }
        .fold_constants()
    }
}

/// A condition, or a factor, on rows and one on what is looked up.
type Rectangle = (Scalar, Scalar);

/// What the products of two values make of each other.
type Together = dyn Fn(&[Rectangle], &[Rectangle]) -> Vec<Rectangle>;

pub(super) struct Split<'a> {
    pub inputs: &'a [Input],
    /// By input: it is never null.
    pub required: &'a [bool],
}

impl Split<'_> {
    fn side(&self, scalar: &Scalar) -> Side {
        side(scalar, self.inputs)
    }

    fn has_value(&self, of: &Scalar) -> Scalar {
        value_is_there(of, &|column| self.required[column])
    }

    /// The condition on rows under which a piece counts, and that on what is looked up.
    pub fn counts(&self, piece: &Piece) -> (Scalar, Scalar) {
        let mut all = (piece.row.clone(), piece.looked_up.clone());
        for (h, g) in &piece.products {
            all = (and(all.0, self.has_value(h)), and(all.1, self.has_value(g)));
        }
        all
    }

    /// The pieces of a value where a condition holds.
    ///
    /// # Errors
    /// `Unsupported` with what mixes rows and what they look up otherwise than in products.
    pub fn pieces(&self, condition: &Scalar, value: &Scalar) -> Result<Vec<Piece>> {
        let pieces = self.value(value)?;
        Ok(within(&self.rectangles(condition, Truth::True)?, &pieces))
    }

    fn value(&self, value: &Scalar) -> Result<Vec<Piece>> {
        let whole = |h: Scalar, g: Scalar| {
            vec![Piece { row: Scalar::TRUE, looked_up: Scalar::TRUE, products: vec![(h, g)] }]
        };
        match self.side(value) {
            Side::None | Side::Row => return Ok(whole(value.clone(), Scalar::Const(1))),
            Side::LookedUp => return Ok(whole(Scalar::Const(1), value.clone())),
            Side::Both => {}
        }
        Ok(match value {
            Scalar::Multiply(a, b) => cross(&self.value(a)?, &self.value(b)?, &|a, b| {
                let product = |a: &Rectangle, b: &Rectangle| (multiply(&a.0, &b.0), multiply(&a.1, &b.1));
                a.iter().flat_map(|a| b.iter().map(move |b| product(a, b))).collect()
            }),
            Scalar::Add(a, b) => {
                cross(&self.value(a)?, &self.value(b)?, &|a, b| a.iter().chain(b).cloned().collect())
            }
            Scalar::Subtract(a, b) => {
                return self.value(&Scalar::Add(a.clone(), Box::new(Scalar::Negate(b.clone()))));
            }
            Scalar::Negate(a) => {
                let mut pieces = self.value(a)?;
                for (h, _) in pieces.iter_mut().flat_map(|piece| &mut piece.products) {
                    *h = Scalar::Negate(Box::new(h.clone())).fold_constants();
                }
                pieces
            }
            Scalar::Case(branches, otherwise) => {
                let mut open: Vec<Rectangle> = vec![(Scalar::TRUE, Scalar::TRUE)];
                let mut pieces = Vec::new();
                for (condition, value) in branches {
                    let holds = both(&open, &self.rectangles(condition, Truth::True)?);
                    pieces.extend(within(&holds, &self.value(value)?));
                    open = both(&open, &self.rectangles(condition, Truth::NotTrue)?);
                }
                pieces.extend(within(&open, &self.value(otherwise)?));
                pieces
            }
            Scalar::Coalesce(all) => {
                let (last, first) = all.split_last().expect("COALESCE of something");
                let branch = |one: &Scalar| {
                    let known = Scalar::Not(Box::new(Scalar::IsNull(Box::new(one.clone()))));
                    (known, one.clone())
                };
                return self.value(&Scalar::Case(first.iter().map(branch).collect(), Box::new(last.clone())));
            }
            Scalar::Greatest(all) | Scalar::Least(all) => match all.as_slice() {
                [product, Scalar::Const(0)] | [Scalar::Const(0), product] => self.signed(value, product)?,
                _ => return Err(Error::unsupported("GREATEST and LEAST compare a product with 0 only")),
            },
            _ => return Err(Error::unsupported("it is no sum of products of rows and what they look up")),
        })
    }

    /// `GREATEST(h·g, 0)` is `h⁺·g⁺ + h⁻·g⁻`, and 0 where the product is null: GREATEST and LEAST skip nulls.
    fn signed(&self, value: &Scalar, product: &Scalar) -> Result<Vec<Piece>> {
        let zero = || vec![(Scalar::Const(0), Scalar::Const(1))];
        let positive = |of: &Scalar| Scalar::Greatest(vec![of.clone(), Scalar::Const(0)]).fold_constants();
        let negative = |of: &Scalar| Scalar::Least(vec![of.clone(), Scalar::Const(0)]).fold_constants();
        let pieces = self.value(product)?;
        let [Piece { row: Scalar::Const(1), looked_up: Scalar::Const(1), products }] = pieces.as_slice()
        else {
            return Err(Error::unsupported("GREATEST and LEAST compare a product without conditions with 0"));
        };
        let [(h, g)] = products.as_slice() else {
            return Err(Error::unsupported("the sign of a sum is not that of its products"));
        };
        let products = match value {
            Scalar::Greatest(_) => vec![(positive(h), positive(g)), (negative(h), negative(g))],
            _ => vec![(positive(h), negative(g)), (negative(h), positive(g))],
        };
        let (h_known, g_known) = (self.has_value(h), self.has_value(g));
        let no_h = Truth::False.of(h_known.clone());
        let no_g = Truth::False.of(g_known.clone());
        Ok(vec![
            Piece { row: h_known.clone(), looked_up: g_known, products },
            Piece { row: no_h, looked_up: Scalar::TRUE, products: zero() },
            Piece { row: h_known, looked_up: no_g, products: zero() },
        ])
    }

    /// A condition as disjoint pairs of one on rows and one on what is looked up.
    fn rectangles(&self, condition: &Scalar, truth: Truth) -> Result<Vec<Rectangle>> {
        match self.side(condition) {
            Side::None | Side::Row => return Ok(vec![(truth.of(condition.clone()), Scalar::TRUE)]),
            Side::LookedUp => return Ok(vec![(Scalar::TRUE, truth.of(condition.clone()))]),
            Side::Both => {}
        }
        let all_or_any = matches!(truth, Truth::True | Truth::NotFalse);
        match condition {
            Scalar::Not(a) => self.rectangles(a, truth.negated()),
            // All of AND are true, none of OR is false.
            Scalar::And(a, b) if all_or_any => {
                Ok(both(&self.rectangles(a, truth)?, &self.rectangles(b, truth)?))
            }
            Scalar::Or(a, b) if !all_or_any => {
                Ok(both(&self.rectangles(a, truth)?, &self.rectangles(b, truth)?))
            }
            Scalar::And(a, b) | Scalar::Or(a, b) => {
                let mut all = self.rectangles(a, truth)?;
                let rest = both(&self.rectangles(a, truth.otherwise())?, &self.rectangles(b, truth)?);
                all.extend(rest);
                Ok(all)
            }
            Scalar::Compare(..) => {
                Err(Error::unsupported("a condition compares a row with what it looks up"))
            }
            _ => Err(Error::unsupported("a condition reads a row and what it looks up together")),
        }
    }
}

fn both(a: &[Rectangle], b: &[Rectangle]) -> Vec<Rectangle> {
    let meet = |a: &Rectangle, b: &Rectangle| (and(a.0.clone(), b.0.clone()), and(a.1.clone(), b.1.clone()));
    a.iter().flat_map(|a| b.iter().map(move |b| meet(a, b))).filter(possible).collect()
}

fn possible(rectangle: &Rectangle) -> bool {
    rectangle.0 != Scalar::Const(0) && rectangle.1 != Scalar::Const(0)
}

fn within(conditions: &[Rectangle], pieces: &[Piece]) -> Vec<Piece> {
    let mut all = Vec::new();
    for (row, looked_up) in conditions {
        for piece in pieces {
            let row = and(row.clone(), piece.row.clone());
            let looked_up = and(looked_up.clone(), piece.looked_up.clone());
            if row != Scalar::Const(0) && looked_up != Scalar::Const(0) {
                all.push(Piece { row, looked_up, products: piece.products.clone() });
            }
        }
    }
    all
}

fn cross(a: &[Piece], b: &[Piece], products: &Together) -> Vec<Piece> {
    let mut all = Vec::new();
    for a in a {
        for b in b {
            all.push(Piece {
                row: and(a.row.clone(), b.row.clone()),
                looked_up: and(a.looked_up.clone(), b.looked_up.clone()),
                products: products(&a.products, &b.products),
            });
        }
    }
    all
}

fn multiply(a: &Scalar, b: &Scalar) -> Scalar {
    match (a, b) {
        (Scalar::Const(1), other) | (other, Scalar::Const(1)) => other.clone(),
        (a, b) => Scalar::Multiply(Box::new(a.clone()), Box::new(b.clone())),
    }
}
