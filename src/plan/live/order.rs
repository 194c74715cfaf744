//! The order of a SELECT's rows, made total: rows that its ORDER BY leaves equal stand by their columns.
//!
//! So LIMIT takes the same rows whatever computes them.

use std::sync::Arc;

use datafusion::logical_expr::{Expr, LogicalPlan, Sort, SortExpr};

use super::rows::columns_of;
use crate::error::Result;

/// The plan with a total order where its rows have one, and whether they do.
///
/// # Errors
/// `Internal` where DataFusion does not take a node back.
pub fn ordered(plan: &LogicalPlan) -> Result<(LogicalPlan, bool)> {
    match plan {
        LogicalPlan::Sort(sort) => {
            let mut keys = sort.expr.clone();
            keys.extend(by_columns(&sort.input));
            let sort = Sort { expr: keys, input: Arc::clone(&sort.input), fetch: sort.fetch };
            Ok((LogicalPlan::Sort(sort), true))
        }
        LogicalPlan::Limit(limit) => {
            let (mut input, is_ordered) = ordered(&limit.input)?;
            if !is_ordered {
                let expr = by_columns(&input).collect();
                input = LogicalPlan::Sort(Sort { expr, input: Arc::new(input), fetch: None });
            }
            Ok((plan.with_new_exprs(plan.expressions(), vec![input])?, is_ordered))
        }
        LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) | LogicalPlan::Filter(_) => {
            let (input, is_ordered) = ordered(plan.inputs()[0])?;
            if !is_ordered {
                return Ok((plan.clone(), false));
            }
            Ok((plan.with_new_exprs(plan.expressions(), vec![input])?, true))
        }
        _ => Ok((plan.clone(), false)),
    }
}

fn by_columns(plan: &LogicalPlan) -> impl Iterator<Item = SortExpr> + use<> {
    columns_of(plan.schema()).into_iter().map(|column: Expr| column.sort(true, false))
}
