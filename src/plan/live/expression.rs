//! A user's expression as the compiler of scalars reads it, or why it cannot.
//!
//! Texts are codes inside, which are equal where texts are but have another order: whatever orders texts is
//! refused here, so that it is never computed wrongly.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::expr::Between;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator};

use crate::error::{Error, Kind, Result};

/// # Errors
/// `Unsupported` for what orders texts.
pub(super) fn prepared(expr: &Expr, schema: &DFSchema) -> Result<Expr> {
    let checked = expr.clone().transform_up(|expr| {
        let expr = spelled_out(expr);
        if orders(&expr)
            && let Some(operands) = operands(&expr)
            && operands.iter().any(|one| is_text(one, schema))
        {
            return Err(DataFusionError::NotImplemented(format!("{expr} orders texts")));
        }
        Ok(Transformed::yes(expr))
    });
    checked.data().map_err(|error| match error {
        DataFusionError::NotImplemented(message) => Error::unsupported(message),
        other => Error::new(Kind::Unsupported, "BAD_SPEC", other.strip_backtrace()),
    })
}

/// BETWEEN and the like as the comparisons they stand for.
fn spelled_out(expr: Expr) -> Expr {
    match expr {
        Expr::Between(Between { expr, negated, low, high }) => {
            let within = expr.as_ref().clone().gt_eq(*low).and(expr.lt_eq(*high));
            if negated { Expr::Not(Box::new(within)) } else { within }
        }
        other => other,
    }
}

fn orders(expr: &Expr) -> bool {
    match expr {
        Expr::BinaryExpr(BinaryExpr { op, .. }) => {
            matches!(op, Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq | Operator::And)
        }
        Expr::ScalarFunction(call) => matches!(call.func.name(), "greatest" | "least"),
        _ => false,
    }
}

fn operands(expr: &Expr) -> Option<Vec<Expr>> {
    match expr {
        // BETWEEN became an AND whose comparisons were not walked.
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            let below = |side: &Expr| if orders(side) { operands(side) } else { None };
            Some([left, right].into_iter().filter_map(|side| below(side)).flatten().collect())
        }
        Expr::BinaryExpr(BinaryExpr { left, right, .. }) => Some(vec![(**left).clone(), (**right).clone()]),
        Expr::ScalarFunction(call) => Some(call.args.clone()),
        _ => None,
    }
}

fn is_text(expr: &Expr, schema: &DFSchema) -> bool {
    let found = expr.get_type(schema);
    matches!(found, Ok(DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8))
}
