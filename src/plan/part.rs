//! A part of a grouped view in its incremental form: what is kept for rows, what is applied last.
//!
//! A sum over rows of `h(row)·g(instrument)` equals a sum over instruments of `g·(sum of h)`. Every
//! aggregate of a part is split into such products; `h` reads legs or their nets, `g` only relations that
//! are the same for every account. Prices are among the latter, so they come last.
//! `GREATEST(0, h·g)` is split by the signs of both: it equals `h⁺·g⁺ + h⁻·g⁻`.
//! What decides which row of a relation is looked up, or which rows are added up together, has to be known
//! of each row: look-ups that keys of others read, or inner groups, belong to the row and so to `h`.

use std::sync::Arc;

use datafusion::common::DFSchema;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan};
use hashbrown::HashMap;

use super::relation::{Input, Lookup, Relation, relations};
use super::scalar::{Comparison, Scalar, compile};
use crate::datum::NULL;
use crate::dictionary::Dictionary;
use crate::error::{Error, Result};

/// Aggregates over legs at one grain.
#[derive(Debug, Clone)]
pub struct Part {
    /// The columns of a leg by which rows are netted before `h` is applied; `None` where `h` is linear.
    pub net_by: Option<Vec<usize>>,
    /// Columns that a row has beside those of its leg, and which are numbered after these.
    pub beside: Vec<Beside>,
    /// The rows that count, where that is known of a row by itself.
    pub filter: Option<Scalar>,
    pub factored: Factored,
    /// What the part's rows are: functions of the aggregates.
    pub outputs: Vec<(String, Scalar)>,
    /// Aggregates over the groups of an inner factored part, if the part nests one.
    pub nested: Option<Nested>,
}

/// A column of the row of a relation that a leg finds by one of its own columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beside {
    pub relation: String,
    /// The column of a leg that it is found by.
    pub by: usize,
    pub column: usize,
}

/// Sums of products, and least and greatest values of what is present.
#[derive(Debug, Clone, Default)]
pub struct Factored {
    /// What is kept for each pair of instruments: sums of `h` over legs, or over nets.
    /// The scalar column `c` is column `c` of a leg, or beside it; of a net, only netted and net-by columns
    /// are read.
    pub kept: Vec<Scalar>,
    /// What the `g` below read: the scalar column `c` is the input `inputs[c]` of the look-ups.
    pub inputs: Vec<Input>,
    pub lookups: Vec<Lookup>,
    pub aggregates: Vec<Applied>,
}

/// One aggregate, from what is kept and what is applied last.
#[derive(Debug, Clone)]
pub enum Applied {
    /// The sum over pairs of `kept[k]·g`.
    Sum(Vec<(usize, Scalar)>),
    /// The least (or greatest) `g` over the pairs whose `kept[k]` is not 0.
    Least(usize, Scalar),
    Greatest(usize, Scalar),
}

/// An inner aggregation that sees prices itself, and aggregates over its groups.
#[derive(Debug, Clone)]
pub struct Nested {
    /// The columns of the inner groups: of legs, or beside them.
    pub by: Vec<usize>,
    /// The inner output row: the `by` columns, then functions of the inner aggregates.
    pub row: Vec<Scalar>,
    /// Summed over the inner groups; reads the inner output row.
    pub sums: Vec<Scalar>,
    /// Of what is kept for inner groups, what has to be more than 0 for a group to add anything.
    pub presence: Option<usize>,
    pub guard: Option<Guard>,
}

/// Inner aggregates that count only where a condition on the others holds, so that elsewhere they need not
/// be known.
#[derive(Debug, Clone)]
pub struct Guard {
    /// By inner aggregate.
    pub guarded: Vec<bool>,
    /// They count where any of these is true; over the columns of inner groups, then the aggregates.
    pub conditions: Vec<Scalar>,
}

/// Reads the typed plan of a part.
///
/// # Errors
/// `Unsupported`, with the aggregate that cannot be split.
pub fn part(plan: &LogicalPlan, names: &mut Dictionary) -> Result<Part> {
    let (outputs, aggregate) = outer(plan)?;
    let (filter, input) = match aggregate.input.as_ref() {
        LogicalPlan::Filter(filter) => (Some(filter), filter.input.as_ref()),
        input => (None, input),
    };
    if let Some(inner) = inner_aggregate(input)
        && matches!(inner.1.input.as_ref(), LogicalPlan::Join(_) | LogicalPlan::Filter(_))
    {
        return nested(plan, &outputs, aggregate, filter.map(|f| &f.predicate), input, names);
    }
    let net_by_aggregate = innermost(input).and_then(inner_aggregate);
    let mut inline = HashMap::new();
    let net_by = match net_by_aggregate {
        None => None,
        Some((projection, inner)) => {
            let (keys, relation) = net(projection, inner, names)?;
            inline.insert(NET.to_owned(), vec![relation]);
            Some(keys)
        }
    };
    let mut relation = match &net_by {
        None => relations(input, names, &inline)?.remove(0),
        Some(_) => relations_over_net(input, names, &inline[NET])?,
    };
    let beside = of_the_row(&mut relation, &[])?;
    let filter = filter
        .map(|filter| compile(&filter.predicate, filter.input.schema(), &relation.columns, names))
        .transpose()?;
    let of_rows = filter.as_ref().and_then(|filter| of_rows(filter, &relation.inputs));
    let mut factored = factor(&aggregate.aggr_expr, aggregate.input.schema(), &relation, filter, names)?;
    factored.lookups = relation.lookups.clone();
    let columns: Vec<_> = (0..aggregate.aggr_expr.len()).map(Scalar::Column).collect();
    let outputs = finish(&outputs, &aggregate.schema, &columns, names)?;
    Ok(Part { net_by, beside, filter: of_rows, factored, outputs, nested: None })
}

/// Makes the look-ups that the keys of others read, or these scalars, part of the row: their columns become
/// columns beside those of the leg.
fn of_the_row(relation: &mut Relation, read: &[Scalar]) -> Result<Vec<Beside>> {
    let inputs = &mut relation.inputs;
    let legs = inputs.iter().filter(|input| input.lookup.is_none()).count();
    let mut told = vec![false; relation.lookups.len()];
    let keys = relation.lookups.iter().flat_map(|lookup| lookup.keys.iter().map(|(_, key)| key));
    for scalar in keys.chain(read) {
        scalar.columns(&mut |input| {
            if let Some(lookup) = inputs[input].lookup {
                told[lookup] = true;
            }
        });
    }
    let mut by = Vec::with_capacity(told.len());
    for (lookup, &told) in relation.lookups.iter().zip(&told) {
        by.push(match lookup.keys.as_slice() {
            [(_, Scalar::Column(input))] if told && inputs[*input].lookup.is_none() => inputs[*input].column,
            _ if !told => 0,
            _ => {
                let name = &lookup.relation;
                return Err(Error::unsupported(format!("a row finds its {name} by one column of its leg")));
            }
        });
    }
    let mut beside = Vec::new();
    for input in inputs.iter_mut() {
        match input.lookup {
            Some(lookup) if told[lookup] => {
                let relation = relation.lookups[lookup].relation.clone();
                beside.push(Beside { relation, by: by[lookup], column: input.column });
                *input = Input { lookup: None, column: legs + beside.len() - 1 };
            }
            Some(lookup) => {
                let before = told[..lookup].iter().filter(|&&told| told).count();
                input.lookup = Some(lookup - before);
            }
            None => {}
        }
    }
    let mut told = told.iter();
    relation.lookups.retain(|_| !told.next().expect("one for each look-up"));
    Ok(beside)
}

/// A condition over columns of rows, if it reads nothing else.
fn of_rows(filter: &Scalar, inputs: &[Input]) -> Option<Scalar> {
    let mut free = true;
    filter.columns(&mut |input| free &= inputs[input].lookup.is_none());
    free.then(|| filter.substitute(&mut |input| Scalar::Column(inputs[input].column)))
}

const NET: &str = "(net)";

/// The part's output expressions and its aggregation.
fn outer(plan: &LogicalPlan) -> Result<(Vec<Expr>, &Aggregate)> {
    match plan {
        LogicalPlan::Projection(projection) => match projection.input.as_ref() {
            LogicalPlan::Aggregate(aggregate) => Ok((projection.expr.clone(), aggregate)),
            other => Err(Error::unsupported(format!("a part aggregates, but here is {}", other.display()))),
        },
        other => {
            Err(Error::unsupported(format!("a part ends in a projection, but here is {}", other.display())))
        }
    }
}

fn aggregate_of(expr: &Expr) -> Result<&AggregateFunction> {
    match expr {
        Expr::Alias(alias) => aggregate_of(&alias.expr),
        Expr::AggregateFunction(aggregate) => Ok(aggregate),
        other => Err(Error::unsupported(format!("{other} is no aggregate"))),
    }
}

fn finish(
    outputs: &[Expr],
    schema: &Arc<DFSchema>,
    columns: &[Scalar],
    names: &mut Dictionary,
) -> Result<Vec<(String, Scalar)>> {
    let one = |expr: &Expr, names: &mut Dictionary| {
        Ok((expr.schema_name().to_string(), compile(expr, schema, columns, names)?))
    };
    outputs.iter().map(|expr| one(expr, names)).collect()
}

/// What the look-ups of a part start from.
fn innermost(plan: &LogicalPlan) -> Option<&LogicalPlan> {
    match plan {
        LogicalPlan::Join(join) => innermost(&join.left),
        other => Some(other),
    }
}

fn inner_aggregate(plan: &LogicalPlan) -> Option<(&[Expr], &Aggregate)> {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => inner_aggregate(&alias.input),
        LogicalPlan::Projection(projection) => match projection.input.as_ref() {
            LogicalPlan::Aggregate(aggregate) => Some((&projection.expr, aggregate)),
            _ => None,
        },
        _ => None,
    }
}

/// A netting: its key columns, and its rows as columns of a leg (a netted column stands for its net).
fn net(projection: &[Expr], aggregate: &Aggregate, names: &mut Dictionary) -> Result<(Vec<usize>, Relation)> {
    let mut legs = relations(&aggregate.input, names, &HashMap::new())?.remove(0);
    let mut columns = Vec::new();
    let mut keys = Vec::new();
    for expr in &aggregate.group_expr {
        match compile(expr, aggregate.input.schema(), &legs.columns, names)? {
            Scalar::Column(column) => keys.push(column),
            _ => return Err(Error::unsupported(format!("legs are netted by their columns, not by {expr}"))),
        }
        columns.push(Scalar::Column(keys[keys.len() - 1]));
    }
    for expr in &aggregate.aggr_expr {
        let AggregateFunction { func, params } = aggregate_of(expr)?;
        let summed = compile(&params.args[0], aggregate.input.schema(), &legs.columns, names)?;
        if func.name() != "sum" || !matches!(summed, Scalar::Column(_)) {
            return Err(Error::unsupported(format!("a net is the sum of a column, not {expr}")));
        }
        columns.push(summed);
    }
    if legs.filter != Scalar::TRUE {
        return Err(Error::unsupported("nets are of all legs; put the condition after the netting"));
    }
    let outputs = projection
        .iter()
        .map(|expr| compile(expr, &aggregate.schema, &columns, names))
        .collect::<Result<Vec<_>>>()?;
    legs.names = projection.iter().map(|expr| expr.schema_name().to_string()).collect();
    legs.columns = outputs;
    Ok((keys, legs))
}

/// As [`relations`], where the first source is a netting.
fn relations_over_net(plan: &LogicalPlan, names: &mut Dictionary, net: &[Relation]) -> Result<Relation> {
    match plan {
        LogicalPlan::Join(join) => {
            let left = relations_over_net(&join.left, names, net)?;
            super::relation::look_up(left, join, names)
        }
        _ => Ok(net[0].clone()),
    }
}

/// Splits aggregates over a relation of legs with look-ups.
fn factor(
    aggregates: &[Expr],
    schema: &DFSchema,
    relation: &Relation,
    filter: Option<Scalar>,
    names: &mut Dictionary,
) -> Result<Factored> {
    let mut split = Split { inputs: &relation.inputs, kept: Vec::new() };
    let mut applied = Vec::new();
    for expr in aggregates {
        let AggregateFunction { func, params } = aggregate_of(expr)?;
        let mut condition = filter.clone();
        if let Some(when) = &params.filter {
            let when = compile(when, schema, &relation.columns, names)?;
            condition = Some(match condition {
                None => when,
                Some(filter) => Scalar::And(Box::new(filter), Box::new(when)),
            });
        }
        let value = match func.name() {
            "count" => Scalar::Const(1),
            _ => compile(&params.args[0], schema, &relation.columns, names)?,
        };
        applied.push(match func.name() {
            "sum" | "count" => {
                let value = match condition {
                    None => value,
                    Some(condition) => when(condition, value),
                };
                Applied::Sum(split.products(&value)?)
            }
            name @ ("min" | "max") => {
                let present = split.products(&when(condition.unwrap_or(Scalar::TRUE), Scalar::Const(1)))?;
                let [(kept, _)] = present.as_slice() else {
                    return Err(Error::unsupported(format!("{expr} depends on more than presence")));
                };
                if split.side(&value) == Side::Row {
                    return Err(Error::unsupported(format!("{expr} reads rows; only sums of rows are kept")));
                }
                if name == "min" { Applied::Least(*kept, value) } else { Applied::Greatest(*kept, value) }
            }
            other => return Err(Error::unsupported(format!("{other} is not maintained by sums"))),
        });
    }
    // What is kept reads columns of legs; the rest reads what is looked up.
    let kept =
        split.kept.iter().map(|h| h.substitute(&mut |c| Scalar::Column(relation.inputs[c].column))).collect();
    Ok(Factored { kept, inputs: relation.inputs.clone(), lookups: Vec::new(), aggregates: applied })
}

fn when(condition: Scalar, value: Scalar) -> Scalar {
    if condition == Scalar::TRUE {
        value
    } else {
        Scalar::Case(vec![(condition, value)], Box::new(Scalar::Const(0)))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// Neither: a constant.
    None,
    Row,
    Broadcast,
    Both,
}

struct Split<'a> {
    inputs: &'a [Input],
    kept: Vec<Scalar>,
}

impl Split<'_> {
    fn side(&self, scalar: &Scalar) -> Side {
        let (mut row, mut broadcast) = (false, false);
        scalar.columns(&mut |column| match self.inputs[column].lookup {
            None => row = true,
            Some(_) => broadcast = true,
        });
        match (row, broadcast) {
            (false, false) => Side::None,
            (true, false) => Side::Row,
            (false, true) => Side::Broadcast,
            (true, true) => Side::Both,
        }
    }

    /// A value as a sum of `kept[k]·g`. A factor that is null makes its product count nothing, as in SUM.
    fn products(&mut self, value: &Scalar) -> Result<Vec<(usize, Scalar)>> {
        let products = self.split(value)?;
        Ok(products.into_iter().map(|(h, g)| (self.keep(h), g)).collect())
    }

    fn keep(&mut self, h: Scalar) -> usize {
        self.kept.iter().position(|kept| *kept == h).unwrap_or_else(|| {
            self.kept.push(h);
            self.kept.len() - 1
        })
    }

    fn split(&self, value: &Scalar) -> Result<Vec<(Scalar, Scalar)>> {
        match self.side(value) {
            Side::None | Side::Row => return Ok(vec![(value.clone(), Scalar::Const(1))]),
            Side::Broadcast => return Ok(vec![(Scalar::Const(1), value.clone())]),
            Side::Both => {}
        }
        match value {
            Scalar::Multiply(a, b) => {
                let (a, b) = (self.split(a)?, self.split(b)?);
                let product = |(ah, ag): &(Scalar, Scalar), (bh, bg): &(Scalar, Scalar)| {
                    (multiply(ah.clone(), bh.clone()), multiply(ag.clone(), bg.clone()))
                };
                Ok(a.iter().flat_map(|a| b.iter().map(move |b| product(a, b))).collect())
            }
            Scalar::Negate(a) => {
                let negative = |(h, g)| (Scalar::Negate(Box::new(h)), g);
                Ok(self.split(a)?.into_iter().map(negative).collect())
            }
            Scalar::Case(branches, otherwise) => {
                let mut products = Vec::new();
                for (at, branch) in branches.iter().enumerate() {
                    for (h, g) in self.split(&branch.1)? {
                        let (row, broadcast) = self.condition(&branches[..at], Some(&branch.0))?;
                        products.push((when(row, h), when(broadcast, g)));
                    }
                }
                if **otherwise != Scalar::Const(0) && **otherwise != Scalar::Const(NULL) {
                    for (h, g) in self.split(otherwise)? {
                        let (row, broadcast) = self.condition(branches, None)?;
                        products.push((when(row, h), when(broadcast, g)));
                    }
                }
                Ok(products)
            }
            Scalar::Greatest(all) | Scalar::Least(all) => match all.as_slice() {
                [Scalar::Multiply(h, g), Scalar::Const(0)]
                    if self.side(h) == Side::Row && self.side(g) == Side::Broadcast =>
                {
                    let positive = |of: &Scalar| Scalar::Greatest(vec![of.clone(), Scalar::Const(0)]);
                    let negative = |of: &Scalar| Scalar::Least(vec![of.clone(), Scalar::Const(0)]);
                    // GREATEST and LEAST skip nulls: without a price there is no product at all.
                    let known = |of: Scalar| when(Scalar::Not(Box::new(Scalar::IsNull(g.clone()))), of);
                    Ok(match value {
                        Scalar::Greatest(_) => {
                            vec![(positive(h), known(positive(g))), (negative(h), known(negative(g)))]
                        }
                        _ => vec![(positive(h), known(negative(g))), (negative(h), known(positive(g)))],
                    })
                }
                _ => Err(Error::unsupported(
                    "GREATEST and LEAST are split where they compare a product with 0",
                )),
            },
            _ => Err(Error::unsupported(format!("{value:?} is no sum of products of rows and prices"))),
        }
    }

    /// A condition after others that failed, as one of rows and one of what is looked up.
    fn condition(&self, failed: &[(Scalar, Scalar)], holds: Option<&Scalar>) -> Result<(Scalar, Scalar)> {
        let (mut row, mut broadcast) = (Scalar::TRUE, Scalar::TRUE);
        let mut open: Vec<Scalar> = holds.into_iter().cloned().collect();
        for (condition, _) in failed {
            // A condition that is null has failed too.
            let held = Scalar::Coalesce(vec![condition.clone(), Scalar::Const(0)]);
            open.push(Scalar::Not(Box::new(held)));
        }
        while let Some(condition) = open.pop() {
            let side = match self.side(&condition) {
                Side::Both => match condition {
                    Scalar::And(a, b) => {
                        open.extend([*a, *b]);
                        continue;
                    }
                    _ => {
                        return Err(Error::unsupported(
                            "a condition on rows and prices together is split at AND only",
                        ));
                    }
                },
                Side::Row => &mut row,
                Side::None | Side::Broadcast => &mut broadcast,
            };
            let before = std::mem::replace(side, Scalar::TRUE);
            *side = if before == Scalar::TRUE {
                condition
            } else {
                Scalar::And(Box::new(before), Box::new(condition))
            };
        }
        Ok((row, broadcast))
    }
}

fn multiply(a: Scalar, b: Scalar) -> Scalar {
    match (a, b) {
        (Scalar::Const(1), other) | (other, Scalar::Const(1)) => other,
        (a, b) => Scalar::Multiply(Box::new(a), Box::new(b)),
    }
}

/// A part whose inner aggregation reads prices.
fn nested(
    plan: &LogicalPlan,
    outputs: &[Expr],
    aggregate: &Aggregate,
    filter: Option<&Expr>,
    input: &LogicalPlan,
    names: &mut Dictionary,
) -> Result<Part> {
    let Some((projection, inner)) = inner_aggregate(input) else {
        return Err(Error::unsupported(format!("{} nests no aggregate", plan.display())));
    };
    let mut legs = relations(&inner.input, names, &HashMap::new())?.remove(0);
    let groups = inner
        .group_expr
        .iter()
        .map(|expr| compile(expr, inner.input.schema(), &legs.columns, names))
        .collect::<Result<Vec<_>>>()?;
    let beside = of_the_row(&mut legs, &groups)?;
    let mut by = Vec::new();
    for (group, expr) in groups.iter().zip(&inner.group_expr) {
        match group {
            Scalar::Column(column) => by.push(legs.inputs[*column].column),
            _ => return Err(Error::unsupported(format!("legs are grouped by their columns, not by {expr}"))),
        }
    }
    let counted = (legs.filter != Scalar::TRUE).then(|| legs.filter.clone());
    let of_rows = counted.as_ref().and_then(|filter| of_rows(filter, &legs.inputs));
    if of_rows.is_none() && counted.is_some() {
        return Err(Error::unsupported(
            "inner groups are of rows, so a condition within them reads no price",
        ));
    }
    let mut factored = factor(&inner.aggr_expr, inner.input.schema(), &legs, counted, names)?;
    factored.lookups = legs.lookups.clone();
    let columns: Vec<_> = (0..inner.schema.fields().len()).map(Scalar::Column).collect();
    let row = projection
        .iter()
        .map(|expr| compile(expr, &inner.schema, &columns, names))
        .collect::<Result<Vec<_>>>()?;
    let columns: Vec<_> = (0..row.len()).map(Scalar::Column).collect();
    let mut sums = Vec::new();
    for expr in &aggregate.aggr_expr {
        let AggregateFunction { func, params } = aggregate_of(expr)?;
        let schema = aggregate.input.schema();
        let mut condition = Scalar::TRUE;
        for expr in filter.into_iter().chain(params.filter.as_deref()) {
            let next = compile(expr, schema, &columns, names)?;
            condition = if condition == Scalar::TRUE {
                next
            } else {
                Scalar::And(Box::new(condition), Box::new(next))
            };
        }
        match func.name() {
            "count" => sums.push(when(condition, Scalar::Const(1))),
            "sum" => sums.push(when(condition, compile(&params.args[0], schema, &columns, names)?)),
            other => return Err(Error::unsupported(format!("{other} over inner groups is not maintained"))),
        }
    }
    let columns: Vec<_> = (0..sums.len()).map(Scalar::Column).collect();
    let outputs = finish(outputs, &aggregate.schema, &columns, names)?;
    let row_columns: Vec<_> = (0..row.len()).map(Scalar::Column).collect();
    let filter =
        filter.map(|filter| compile(filter, aggregate.input.schema(), &row_columns, names)).transpose()?;
    let presence = filter.and_then(|filter| presence(&filter, &row, by.len(), &factored));
    let guard = guard(&sums, &row, by.len(), factored.aggregates.len());
    let nested = Some(Nested { by, row, sums, presence, guard });
    Ok(Part { net_by: None, beside, filter: of_rows, factored, outputs, nested })
}

/// The aggregates that sums over inner groups read only within branches of a CASE that is 0 otherwise.
fn guard(sums: &[Scalar], row: &[Scalar], by: usize, aggregates: usize) -> Option<Guard> {
    let mut read: Vec<Vec<Option<Scalar>>> = vec![Vec::new(); aggregates];
    for sum in sums {
        let sum = sum.substitute(&mut |column| row[column].clone());
        reads_behind(&sum, None, &mut |column, condition| {
            if let Some(aggregate) = column.checked_sub(by) {
                read[aggregate].push(condition.cloned());
            }
        });
    }
    let mut guarded: Vec<bool> =
        read.iter().map(|reads| !reads.is_empty() && reads.iter().all(Option::is_some)).collect();
    let of = |guarded: &[bool]| -> Vec<Scalar> {
        let mut conditions: Vec<Scalar> = Vec::new();
        for (reads, _) in read.iter().zip(guarded).filter(|(_, guarded)| **guarded) {
            for condition in reads.iter().flatten() {
                if !conditions.contains(condition) {
                    conditions.push(condition.clone());
                }
            }
        }
        conditions
    };
    // A condition has to be known where what it guards is not.
    loop {
        let conditions = of(&guarded);
        let mut needed = vec![false; aggregates];
        for condition in &conditions {
            condition.columns(&mut |column| {
                if let Some(aggregate) = column.checked_sub(by) {
                    needed[aggregate] = true;
                }
            });
        }
        let before = guarded.clone();
        guarded.iter_mut().zip(&needed).for_each(|(guarded, needed)| *guarded &= !needed);
        if guarded == before {
            return guarded.contains(&true).then_some(Guard { guarded, conditions });
        }
    }
}

/// Hands out each column that is read, with the condition of the innermost such branch around it.
fn reads_behind<'a>(
    scalar: &'a Scalar,
    condition: Option<&'a Scalar>,
    take: &mut dyn FnMut(usize, Option<&'a Scalar>),
) {
    if let Scalar::Case(branches, otherwise) = scalar
        && let ([(when, value)], Scalar::Const(0)) = (branches.as_slice(), otherwise.as_ref())
    {
        reads_behind(when, condition, take);
        reads_behind(value, Some(when), take);
        return;
    }
    scalar.columns(&mut |column| take(column, condition));
}

/// What is kept behind a filter of the form `sum > 0`, where the sum reads no price.
fn presence(filter: &Scalar, row: &[Scalar], by: usize, factored: &Factored) -> Option<usize> {
    let Scalar::Compare(Comparison::Greater, sum, zero) = filter else { return None };
    let (Scalar::Column(column), Scalar::Const(0)) = (sum.as_ref(), zero.as_ref()) else { return None };
    let Scalar::Column(inner) = row[*column] else { return None };
    match factored.aggregates.get(inner.checked_sub(by)?)? {
        Applied::Sum(products) => match products.as_slice() {
            [(kept, Scalar::Const(1))] => Some(*kept),
            _ => None,
        },
        _ => None,
    }
}
