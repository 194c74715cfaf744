//! A user's SELECT in its incremental forms: what is kept of rows, what is applied last, what is merged.
//!
//! The core of a view is its innermost aggregation over rows with look-ups. A sum over rows of
//! `h(row)·g(looked up)` equals, among rows that look up the same, `g·(sum of h)`: sums of `h` are kept by
//! what rows are grouped and looked up by, and `g` is applied to them. Other aggregates whose states merge are
//! kept by partition. What stands around the core (HAVING, expressions, ORDER BY, LIMIT, windows) is a plan
//! over its groups. A SELECT of another shape has no form here, and the reason is said.

mod expression;
mod order;
mod rows;
mod split;
mod text;

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DFSchemaRef};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Distinct, Expr, ExprSchemable, LogicalPlan, Projection};
use hashbrown::HashMap;

use super::relation::{Input, Lookup, Relation};
use super::scalar::Scalar;
use crate::dictionary::Dictionary;
use crate::error::{Error, Result};
use crate::schema::{Schema, Type};
pub use order::ordered;
pub use rows::{Early, NET, Net, Program, unique_key};
use rows::{Flat, Reader, columns_of};
pub use split::has_value;
use split::{Side, Split, and, side, when};
pub use text::text;

/// The innermost aggregation of a SELECT.
#[derive(Debug, Clone)]
pub struct Core {
    pub input: Arc<LogicalPlan>,
    pub groups: Vec<Expr>,
    pub aggregates: Vec<Expr>,
    /// Its rows: the groups, then the aggregates.
    pub schema: DFSchemaRef,
}

/// How one aggregate is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Measure {
    Count(usize),
    /// The sum and how many values it has: of none it is null.
    Sum(usize, usize),
    Average(usize, usize),
    /// Among the aggregates of the merged form.
    Merged(usize),
}

/// Sums of products.
#[derive(Debug, Clone)]
pub struct Factored {
    pub program: Program,
    /// Over the program's columns: which rows are added up, by what, and what is added up of them.
    pub filter: Scalar,
    pub keys: Vec<Scalar>,
    pub kept: Vec<Scalar>,
    /// Each finds a row by scalars over what is looked up before (the `inputs`), then the keys.
    pub late: Vec<Lookup>,
    pub inputs: Vec<Input>,
    pub groups: Vec<Scalar>,
    /// Sums of `kept[k]·g`; the first is the number of rows.
    pub sums: Vec<Vec<(usize, Scalar)>>,
    /// What the inputs are called, for people.
    pub names: Vec<String>,
}

/// Aggregates by partition: their values of rows, which include all they look up.
#[derive(Debug, Clone)]
pub struct Merged {
    pub program: Program,
    pub filter: Scalar,
    pub groups: Vec<Scalar>,
    pub aggregates: Vec<MergedAggregate>,
}

#[derive(Debug, Clone)]
pub struct MergedAggregate {
    pub function: AggregateFunction,
    pub filter: Scalar,
    pub arguments: Vec<Scalar>,
    pub types: Vec<DataType>,
}

/// The incremental form of a core.
#[derive(Debug, Clone)]
pub struct Form {
    pub factored: Option<Factored>,
    pub merged: Option<Merged>,
    pub measures: Vec<Measure>,
    /// By measure, why it is kept as it is.
    pub reasons: Vec<String>,
}

/// Which forms may be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    Any,
    Factored,
    Merged,
}

/// What the engine knows that SQL may read.
pub struct Known<'a> {
    pub schema: &'a Schema,
    /// Shipped relations over base rows, such as `leg`.
    pub shipped: &'a HashMap<String, Vec<Relation>>,
}

/// Aggregates whose states merge to the same bits in whatever order of rows and partitions.
const MERGING: [&str; 10] =
    ["sum", "count", "avg", "min", "max", "median", "bool_and", "bool_or", "bit_and", "bit_or"];

/// The core of a SELECT, and the nodes around it.
///
/// # Errors
/// `Unsupported` where it aggregates nothing, or reads another query within an expression.
pub fn core(plan: &LogicalPlan) -> Result<Core> {
    let mut core = None;
    let mut node = plan;
    loop {
        for expr in node.expressions() {
            refuse(&expr)?;
        }
        match node {
            LogicalPlan::Aggregate(aggregate) => {
                core = Some(Core {
                    input: Arc::clone(&aggregate.input),
                    groups: aggregate.group_expr.clone(),
                    aggregates: aggregate.aggr_expr.clone(),
                    schema: Arc::clone(&aggregate.schema),
                });
            }
            LogicalPlan::Distinct(Distinct::All(input)) => {
                core = Some(Core {
                    input: Arc::clone(input),
                    groups: columns_of(input.schema()),
                    aggregates: Vec::new(),
                    schema: Arc::clone(input.schema()),
                });
            }
            LogicalPlan::Projection(_)
            | LogicalPlan::Filter(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Limit(_)
            | LogicalPlan::Window(_)
            | LogicalPlan::SubqueryAlias(_) => {}
            _ => break,
        }
        match node.inputs().as_slice() {
            [input] => node = input,
            _ => break,
        }
    }
    core.ok_or_else(|| match plan.exists(|node| Ok(matches!(node, LogicalPlan::Window(_)))) {
        Ok(true) => Error::unsupported("window function over rows: whole query"),
        _ => Error::unsupported("rows without an aggregate: whole query"),
    })
}

fn refuse(expr: &Expr) -> Result<()> {
    let mut refused = None;
    let _ = expr.apply(|expr| {
        let reason = match expr {
            Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) | Expr::SetComparison(_) => {
                "a subquery within an expression: whole query"
            }
            Expr::GroupingSet(_) => "grouping sets: whole query",
            _ => return Ok(TreeNodeRecursion::Continue),
        };
        refused = Some(Error::unsupported(reason));
        Ok(TreeNodeRecursion::Stop)
    });
    refused.map_or(Ok(()), Err)
}

/// The plan around a core, over `groups` in its place.
///
/// # Errors
/// `Unsupported` where a node does not take it.
pub fn around(plan: &LogicalPlan, core: &Core, groups: &LogicalPlan) -> Result<LogicalPlan> {
    if is_core(plan, core) {
        return Ok(groups.clone());
    }
    let inputs = plan.inputs();
    let [input] = inputs.as_slice() else {
        return Err(Error::internal("the core of a view is not where it was found"));
    };
    Ok(plan.with_new_exprs(plan.expressions(), vec![around(input, core, groups)?])?)
}

/// The column by which the rows of a plan around a core are told from each other.
pub const GROUP: &str = "(group)";

/// The plan around a core where each of its groups makes at most one row by itself; the number of the group
/// is then the last column.
///
/// # Errors
/// As [`around`].
pub fn around_each(plan: &LogicalPlan, core: &Core, groups: &LogicalPlan) -> Result<Option<LogicalPlan>> {
    if is_core(plan, core) {
        return Ok(Some(groups.clone()));
    }
    let mut exprs = plan.expressions();
    match plan {
        LogicalPlan::Projection(_) => exprs.push(Expr::Column(GROUP.into())),
        LogicalPlan::Filter(_) | LogicalPlan::SubqueryAlias(_) => {}
        _ => return Ok(None),
    }
    let Some(input) = around_each(plan.inputs()[0], core, groups)? else { return Ok(None) };
    Ok(Some(match plan {
        LogicalPlan::Projection(_) => LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input))?),
        _ => plan.with_new_exprs(exprs, vec![input])?,
    }))
}

fn is_core(plan: &LogicalPlan, core: &Core) -> bool {
    match plan {
        LogicalPlan::Aggregate(aggregate) => Arc::ptr_eq(&aggregate.input, &core.input),
        LogicalPlan::Distinct(Distinct::All(input)) => Arc::ptr_eq(input, &core.input),
        _ => false,
    }
}

/// Reads a core.
///
/// # Errors
/// `Unsupported` with the reason where no allowed form is there.
pub fn form(core: &Core, known: &Known, names: &mut Dictionary, allowed: Allowed) -> Result<Form> {
    let mut best: Option<(Factored, Vec<Measure>, Vec<String>)> = None;
    let mut why = None;
    if allowed != Allowed::Merged {
        for early in [Early::Nothing, Early::Declared] {
            match factored(core, known, names, early) {
                Ok(found) => {
                    let left = |measures: &[Measure]| {
                        measures.iter().filter(|measure| matches!(measure, Measure::Merged(_))).count()
                    };
                    if best.as_ref().is_none_or(|best| left(&found.1) < left(&best.1)) {
                        best = Some(found);
                    }
                }
                Err(error) => drop(why.get_or_insert(error)),
            }
        }
    }
    let Some((factored, mut measures, mut reasons)) = best else {
        if allowed == Allowed::Factored {
            return Err(why.expect("a form or a reason"));
        }
        let all: Vec<usize> = (0..core.aggregates.len()).collect();
        let merged = merged(core, known, names, &all)?;
        let reason = match why {
            Some(error) => format!("{}: by partition, merged", error.message),
            None => "by partition, merged".to_owned(),
        };
        return Ok(Form {
            factored: None,
            merged: Some(merged),
            measures: all.iter().map(|&at| Measure::Merged(at)).collect(),
            reasons: vec![reason; all.len()],
        });
    };
    let left: Vec<usize> =
        (0..measures.len()).filter(|&at| matches!(measures[at], Measure::Merged(_))).collect();
    if left.is_empty() {
        return Ok(Form { factored: Some(factored), merged: None, measures, reasons });
    }
    if allowed == Allowed::Factored {
        return Err(Error::unsupported(reasons.swap_remove(left[0])));
    }
    let merged = merged(core, known, names, &left)?;
    for (place, &at) in left.iter().enumerate() {
        measures[at] = Measure::Merged(place);
        reasons[at].push_str(": by partition, merged");
    }
    Ok(Form { factored: Some(factored), merged: Some(merged), measures, reasons })
}

/// What is kept of rows while a form is read.
struct Keep<'a> {
    flat: &'a Flat,
    keys: Vec<Scalar>,
    kept: Vec<Scalar>,
    late_inputs: Vec<Option<usize>>,
    late: usize,
}

impl Keep<'_> {
    fn of_row(&self, scalar: &Scalar) -> Scalar {
        scalar.substitute(&mut |at| Scalar::Column(self.flat.inputs[at].column)).fold_constants()
    }

    fn keep(&mut self, h: &Scalar) -> usize {
        let h = self.of_row(h);
        self.kept.iter().position(|known| *known == h).unwrap_or_else(|| {
            self.kept.push(h);
            self.kept.len() - 1
        })
    }

    fn key(&mut self, of_row: &Scalar) -> Scalar {
        let key = self.of_row(of_row);
        let at = self.keys.iter().position(|known| *known == key).unwrap_or(self.keys.len());
        if at == self.keys.len() {
            self.keys.push(key);
        }
        Scalar::Column(self.late + at)
    }

    /// A scalar over what is looked up late and the keys.
    fn last(&mut self, scalar: &Scalar) -> Scalar {
        if side(scalar, &self.flat.inputs) == Side::Row {
            return self.key(scalar);
        }
        let mut read = Vec::new();
        scalar.columns(&mut |at| read.push(at));
        let mut places = HashMap::new();
        for at in read {
            let place = match self.late_inputs[at] {
                Some(place) => Scalar::Column(place),
                None => self.key(&Scalar::Column(at)),
            };
            places.insert(at, place);
        }
        scalar.substitute(&mut |at| places[&at].clone())
    }
}

type Found = (Factored, Vec<Measure>, Vec<String>);

fn factored(core: &Core, known: &Known, names: &mut Dictionary, early: Early) -> Result<Found> {
    let mut reader = Reader { schema: known.schema, shipped: known.shipped, names, early };
    let flat = reader.flat(&core.input)?;
    let schema = core.input.schema();
    let mut late_inputs = Vec::with_capacity(flat.inputs.len());
    let mut inputs = Vec::new();
    for input in &flat.inputs {
        late_inputs.push(input.lookup.is_some().then_some(inputs.len()));
        inputs.extend(input.lookup.is_some().then_some(*input));
    }
    let late = inputs.len();
    let mut keep = Keep { flat: &flat, keys: Vec::new(), kept: Vec::new(), late_inputs, late };
    let lookups = flat.late.iter().map(|lookup| {
        let keys = lookup.keys.iter().map(|(key, scalar)| (*key, keep.last(scalar))).collect();
        Lookup { relation: lookup.relation.clone(), keys }
    });
    let lookups = lookups.collect();
    let mut groups = Vec::with_capacity(core.groups.len());
    for group in &core.groups {
        refuse(group)?;
        let scalar = reader.compile(group, schema, &flat.columns)?;
        groups.push(keep.last(&scalar));
    }
    // What is asked of rows alone is asked before they are added up.
    let (mut of_rows, mut rest) = (Scalar::TRUE, Scalar::TRUE);
    for condition in parts_of(&flat.filter) {
        match side(condition, &flat.inputs) {
            Side::Row => of_rows = and(of_rows, keep.of_row(condition)),
            _ => rest = and(rest, condition.clone()),
        }
    }
    let required: Vec<bool> = flat
        .inputs
        .iter()
        .map(|input| input.lookup.is_none() && flat.program.required[input.column])
        .collect();
    let split = Split { inputs: &flat.inputs, required: &required };
    let counts = |keep: &mut Keep, pieces: &[split::Piece]| -> Vec<(usize, Scalar)> {
        let count = |piece: &split::Piece| {
            let (row, looked_up) = split.counts(piece);
            let g = keep.last(&when(looked_up, Scalar::Const(1)));
            (keep.keep(&when(row, Scalar::Const(1))), g)
        };
        pieces.iter().map(count).collect()
    };
    let mut sums: Vec<Vec<(usize, Scalar)>> = Vec::new();
    let rows = split.pieces(&rest, &Scalar::Const(1))?;
    sums.push(counts(&mut keep, &rows));
    let (mut measures, mut reasons) = (Vec::new(), Vec::new());
    for expr in &core.aggregates {
        let AggregateFunction { func, params } = aggregate_of(expr)?;
        let name = func.name();
        let mut one = || -> Result<(Measure, String)> {
            if params.distinct && !matches!(name, "min" | "max") || !params.order_by.is_empty() {
                return Err(Error::unsupported(format!("{name} of distinct values is no sum")));
            }
            if !matches!(name, "sum" | "count" | "avg") {
                return Err(Error::unsupported(format!("{name} is no sum")));
            }
            let mut condition = rest.clone();
            if let Some(filter) = &params.filter {
                condition = and(condition, reader.compile(filter, schema, &flat.columns)?);
            }
            let value = reader.compile(&params.args[0], schema, &flat.columns)?;
            let pieces = split.pieces(&condition, &value)?;
            let mut add = |sum: Vec<(usize, Scalar)>| {
                sums.iter().position(|known| *known == sum).unwrap_or_else(|| {
                    sums.push(sum);
                    sums.len() - 1
                })
            };
            let counted = add(counts(&mut keep, &pieces));
            if name == "count" {
                return Ok((Measure::Count(counted), "a count is a sum".to_owned()));
            }
            let value_type = params.args[0].get_type(schema.as_ref())?;
            if !matches!(value_type, DataType::Decimal128(..) | DataType::Int64) {
                return Err(Error::unsupported(format!("{name} of {value_type} is not exact")));
            }
            let mut products = Vec::new();
            for piece in &pieces {
                let (row, looked_up) = split.counts(piece);
                for (h, g) in &piece.products {
                    let kept = keep.keep(&when(row.clone(), h.clone()));
                    products.push((kept, keep.last(&when(looked_up.clone(), g.clone()))));
                }
            }
            let terms = products.len();
            let sum = add(products);
            let mixed = side(&value, &flat.inputs) == Side::Both;
            let what = match (mixed, terms) {
                (false, _) if side(&value, &flat.inputs) == Side::LookedUp => "count × looked up".to_owned(),
                (false, _) => "sum of rows".to_owned(),
                (true, 1) => "sum of products".to_owned(),
                (true, _) => format!("sum of {terms} products"),
            };
            let reason = format!("{what}: {}", params.args[0]);
            Ok((
                if name == "sum" { Measure::Sum(sum, counted) } else { Measure::Average(sum, counted) },
                reason,
            ))
        };
        match one() {
            Ok((measure, reason)) => {
                measures.push(measure);
                reasons.push(reason);
            }
            Err(error) => {
                measures.push(Measure::Merged(usize::MAX));
                reasons.push(error.message);
            }
        }
    }
    let Keep { keys, kept, .. } = keep;
    flat.program.without_ids(keys.iter().chain(&kept).chain([&of_rows]))?;
    let factored = Factored {
        program: flat.program,
        filter: of_rows,
        keys,
        kept,
        late: lookups,
        inputs,
        groups,
        sums,
        names: flat.names,
    };
    Ok((factored, measures, reasons))
}

fn merged(core: &Core, known: &Known, names: &mut Dictionary, which: &[usize]) -> Result<Merged> {
    let mut reader = Reader { schema: known.schema, shipped: known.shipped, names, early: Early::All };
    let flat = reader.flat(&core.input)?;
    let schema = core.input.schema();
    let mut groups = Vec::new();
    for group in &core.groups {
        refuse(group)?;
        groups.push(reader.compile(group, schema, &flat.columns)?);
    }
    let mut aggregates = Vec::new();
    for &at in which {
        let function = aggregate_of(&core.aggregates[at])?;
        let params = &function.params;
        let name = function.func.name();
        if !MERGING.contains(&name) || !params.order_by.is_empty() || params.null_treatment.is_some() {
            return Err(Error::unsupported(format!("{name} depends on the order of rows: whole query")));
        }
        if params.distinct && matches!(name, "sum" | "avg" | "median") {
            return Err(Error::unsupported(format!("{name} of distinct values: whole query")));
        }
        let mut arguments = Vec::new();
        let mut types = Vec::new();
        for argument in &params.args {
            let data_type = argument.get_type(schema.as_ref())?;
            if type_of(&data_type).is_none() {
                return Err(Error::unsupported(format!("{name} of {data_type}: whole query")));
            }
            arguments.push(reader.compile(argument, schema, &flat.columns)?);
            types.push(data_type);
        }
        let filter = match &params.filter {
            None => Scalar::TRUE,
            Some(filter) => reader.compile(filter, schema, &flat.columns)?,
        };
        aggregates.push(MergedAggregate { function: function.clone(), filter, arguments, types });
    }
    let Flat { program, inputs, filter, .. } = flat;
    let over =
        |scalar: &Scalar| scalar.substitute(&mut |at| Scalar::Column(inputs[at].column)).fold_constants();
    let filter = over(&filter);
    let groups: Vec<Scalar> = groups.iter().map(over).collect();
    for aggregate in &mut aggregates {
        aggregate.filter = over(&aggregate.filter);
        aggregate.arguments = aggregate.arguments.iter().map(over).collect();
    }
    let read = aggregates.iter().flat_map(|one| one.arguments.iter().chain([&one.filter]));
    program.without_ids(groups.iter().chain(read).chain([&filter]))?;
    Ok(Merged { program, filter, groups, aggregates })
}

fn parts_of(condition: &Scalar) -> Vec<&Scalar> {
    match condition {
        Scalar::And(a, b) => parts_of(a).into_iter().chain(parts_of(b)).collect(),
        Scalar::Const(1) => Vec::new(),
        other => vec![other],
    }
}

fn aggregate_of(expr: &Expr) -> Result<&AggregateFunction> {
    match expr {
        Expr::Alias(alias) => aggregate_of(&alias.expr),
        Expr::AggregateFunction(aggregate) => Ok(aggregate),
        other => Err(Error::unsupported(format!("{other} is no aggregate"))),
    }
}

/// The type by which datums of a column are told, if they have one.
pub fn type_of(data_type: &DataType) -> Option<Type> {
    use datafusion::arrow::datatypes::TimeUnit;
    match data_type {
        DataType::Utf8 => Some(Type::Text),
        DataType::Decimal128(precision, scale) if *scale >= 0 => {
            Some(Type::Decimal { precision: *precision, scale: *scale as u8 })
        }
        DataType::Date32 => Some(Type::Date),
        DataType::Timestamp(TimeUnit::Microsecond, None) => Some(Type::Timestamp),
        DataType::Int64 => Some(Type::Integer),
        DataType::Boolean => Some(Type::Boolean),
        _ => None,
    }
}

/// Whether all columns of a core's rows have datums.
pub fn typed(schema: &DFSchema, groups: usize) -> Result<Vec<Type>> {
    let fields = schema.fields().iter().take(groups);
    let one = |field: &Arc<datafusion::arrow::datatypes::Field>| {
        type_of(field.data_type())
            .ok_or_else(|| Error::unsupported(format!("groups by {}: whole query", field.data_type())))
    };
    fields.map(one).collect()
}
