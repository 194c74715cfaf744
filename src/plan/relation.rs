//! A relation's SQL as look-ups: rows of one source, each joined with at most one row of other relations.
//!
//! That is the shape of everything between base rows and aggregates here, and it needs no join operator:
//! a changed row is evaluated by itself, with scalars over its own columns and the rows it looks up.

use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::{BinaryExpr, Expr, Join, JoinType, LogicalPlan, Operator};
use hashbrown::HashMap;

use super::scalar::{Scalar, compile};
use crate::dictionary::Dictionary;
use crate::error::{Error, Result};

/// Rows of one source with what they look up.
#[derive(Debug, Clone)]
pub struct Relation {
    /// The base table or relation whose rows it has.
    pub source: String,
    pub lookups: Vec<Lookup>,
    /// What the scalars below read: the scalar column `c` is the input `inputs[c]`.
    pub inputs: Vec<Input>,
    /// A row belongs to the relation where this is true.
    pub filter: Scalar,
    pub names: Vec<String>,
    pub columns: Vec<Scalar>,
}

/// A column of the source's row, or of the row found by a look-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Input {
    /// `None` is the source itself, else a place in the look-ups.
    pub lookup: Option<usize>,
    pub column: usize,
}

/// At most one row of another relation, by its unique key.
#[derive(Debug, Clone, PartialEq)]
pub struct Lookup {
    pub relation: String,
    /// Columns of that relation and what they must equal; none of them is null then. Empty for a relation
    /// of one row.
    pub keys: Vec<(usize, Scalar)>,
}

impl Relation {
    pub fn column(&self, name: &str) -> usize {
        self.names
            .iter()
            .position(|known| known == name)
            .unwrap_or_else(|| panic!("the relation has no column {name}"))
    }
}

/// Reads the typed plan of a relation; a union gives several.
///
/// A scan of a relation in `inline` is replaced by that relation's own look-ups.
///
/// # Errors
/// `Unsupported` for a plan of another shape.
pub fn relations(
    plan: &LogicalPlan,
    names: &mut Dictionary,
    inline: &HashMap<String, Vec<Relation>>,
) -> Result<Vec<Relation>> {
    match plan {
        LogicalPlan::TableScan(scan) => {
            let name = scan.table_name.to_string();
            if let Some(known) = inline.get(&name) {
                return Ok(known.clone());
            }
            let fields = scan.source.schema();
            let count = fields.fields().len();
            Ok(vec![Relation {
                source: name,
                lookups: Vec::new(),
                inputs: (0..count).map(|column| Input { lookup: None, column }).collect(),
                filter: Scalar::TRUE,
                names: fields.fields().iter().map(|field| field.name().clone()).collect(),
                columns: (0..count).map(Scalar::Column).collect(),
            }])
        }
        LogicalPlan::SubqueryAlias(alias) => relations(&alias.input, names, inline),
        LogicalPlan::Projection(projection) => {
            let mut all = relations(&projection.input, names, inline)?;
            for relation in &mut all {
                let columns = projection
                    .expr
                    .iter()
                    .map(|expr| compile(expr, projection.input.schema(), &relation.columns, names))
                    .collect::<Result<_>>()?;
                relation.columns = columns;
                relation.names =
                    projection.schema.fields().iter().map(|field| field.name().clone()).collect();
            }
            Ok(all)
        }
        LogicalPlan::Filter(filter) => {
            let mut all = relations(&filter.input, names, inline)?;
            for relation in &mut all {
                let predicate = compile(&filter.predicate, filter.input.schema(), &relation.columns, names)?;
                let before = std::mem::replace(&mut relation.filter, Scalar::TRUE);
                relation.filter = if before == Scalar::TRUE {
                    predicate
                } else {
                    Scalar::And(Box::new(before), Box::new(predicate))
                };
            }
            Ok(all)
        }
        LogicalPlan::Join(join) => {
            let all = relations(&join.left, names, inline)?;
            all.into_iter().map(|relation| look_up(relation, join, names)).collect()
        }
        LogicalPlan::Union(union) => {
            let mut all = Vec::new();
            for input in &union.inputs {
                all.extend(relations(input, names, inline)?);
            }
            Ok(all)
        }
        other => Err(Error::unsupported(format!("a relation has no {}", other.display()))),
    }
}

/// A relation that also looks up the right side of a join.
pub fn look_up(mut relation: Relation, join: &Join, names: &mut Dictionary) -> Result<Relation> {
    let conditions = conditions(&join.on, join.filter.as_ref());
    if join.join_type != JoinType::Left && !(join.join_type == JoinType::Inner && conditions.is_empty()) {
        return Err(Error::unsupported(format!("a look-up is a LEFT JOIN, not {}", join.join_type)));
    }
    let (name, fields) = looked_up(&join.right)?;
    let keys = conditions
        .iter()
        .map(|(a, b)| {
            let (key, value) = match place(a, join.right.schema()) {
                Some(key) => (key, b),
                None => (place(b, join.right.schema()).ok_or_else(|| no_key(b))?, a),
            };
            Ok((key, compile(value, join.left.schema(), &relation.columns, names)?))
        })
        .collect::<Result<_>>()?;
    let lookup = relation.lookups.len();
    relation.lookups.push(Lookup { relation: name, keys });
    for (column, field) in fields.into_iter().enumerate() {
        relation.columns.push(Scalar::Column(relation.inputs.len()));
        relation.inputs.push(Input { lookup: Some(lookup), column });
        relation.names.push(field);
    }
    Ok(relation)
}

/// The equalities of a join.
fn conditions(on: &[(Expr, Expr)], filter: Option<&Expr>) -> Vec<(Expr, Expr)> {
    let mut all = on.to_vec();
    let mut open: Vec<&Expr> = filter.into_iter().collect();
    while let Some(expr) = open.pop() {
        match expr {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
                open.extend([left.as_ref(), right])
            }
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
                all.push((left.as_ref().clone(), right.as_ref().clone()));
            }
            // Relations of one row are joined ON TRUE.
            Expr::Literal(ScalarValue::Boolean(Some(true)), _) => {}
            // What is no equality matches no key column below and is refused there.
            other => all.push((other.clone(), other.clone())),
        }
    }
    all
}

fn looked_up(plan: &LogicalPlan) -> Result<(String, Vec<String>)> {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => looked_up(&alias.input),
        LogicalPlan::TableScan(scan) => {
            let fields = scan.source.schema().fields().iter().map(|field| field.name().clone()).collect();
            Ok((scan.table_name.to_string(), fields))
        }
        other => {
            Err(Error::unsupported(format!("a look-up reads a named relation, not {}", other.display())))
        }
    }
}

fn place(expr: &Expr, schema: &DFSchema) -> Option<usize> {
    match expr {
        Expr::Column(column) => schema.maybe_index_of_column(column),
        _ => None,
    }
}

fn no_key(expr: &Expr) -> Error {
    Error::unsupported(format!("a look-up compares a key column, not {expr}"))
}
