//! DataFusion's typed expressions compiled to scalars.
//!
//! What has no exact counterpart is refused: a cast that would round, a function that is not ours, a
//! constant that is no datum.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::expr::{BinaryExpr, InList, ScalarFunction};
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, Operator};

use super::{Comparison, Scalar};
use crate::datum::{Datum, NULL, power_of_ten};
use crate::dictionary::Dictionary;
use crate::error::{Error, Result};
use crate::plan::function;

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
