//! The FROM and WHERE of a live view: rows of one source, with what they look up.
//!
//! The source is base rows, a union of them, a shipped relation over them such as `leg`, or the nets of an
//! inner GROUP BY. A join is a look-up where it names the whole unique key of a relation that is the same for
//! every account. What is looked up early is part of the row: where it changes, rows are read again. What is
//! looked up late is not: it is applied to sums of rows.

use datafusion::common::{DFSchema, DFSchemaRef, JoinType, NullEquality, ScalarValue};
use datafusion::logical_expr::{Aggregate, BinaryExpr, Distinct, Expr, Join, LogicalPlan, Operator};
use hashbrown::HashMap;

use super::expression::prepared;
use super::split::{and, has_value};
use crate::datum::NULL;
use crate::dictionary::Dictionary;
use crate::error::{Error, Result};
use crate::plan::relation::{Input, Lookup, Relation};
use crate::plan::scalar::{Comparison, Scalar, compile};
use crate::schema::{Schema, Type};

/// Rows of a source, in columns that the scalars of a view number.
#[derive(Debug, Clone)]
pub struct Program {
    /// Whose rows they are, if not base rows.
    pub net: Option<Box<Net>>,
    /// Each branch of a union with its early look-ups; of nets there is one.
    pub branches: Vec<Relation>,
    pub width: usize,
    /// By column: it reads the ids of a table with many rows, which have codes of their own.
    pub ids: Vec<bool>,
    /// By column: it is never null.
    pub required: Vec<bool>,
    /// What columns are called, for people.
    pub names: Vec<String>,
}

/// Sums of rows by key: the rows of an inner GROUP BY.
#[derive(Debug, Clone)]
pub struct Net {
    pub rows: Program,
    pub filter: Scalar,
    pub keys: Vec<Scalar>,
    pub kept: Vec<Scalar>,
    /// The net's columns, over its keys and what is kept.
    pub columns: Vec<Scalar>,
}

/// Rows with late look-ups: what scalars of the view read is `inputs`.
#[derive(Debug, Clone)]
pub(super) struct Flat {
    pub program: Program,
    pub inputs: Vec<Input>,
    pub late: Vec<Lookup>,
    pub filter: Scalar,
    pub columns: Vec<Scalar>,
    /// What the columns that are looked up late are called.
    pub names: Vec<String>,
}

/// The source of a branch whose rows are nets.
pub const NET: &str = "(net)";

/// Which look-ups are part of the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Early {
    Nothing,
    /// What is declared rather than quoted: instruments, accounts, the day.
    Declared,
    All,
}

const DECLARED: [&str; 5] = ["base.instrument", "base.account", "instrument", "account", "system.day"];

impl Early {
    fn has(self, relation: &str) -> bool {
        match self {
            Early::Nothing => false,
            Early::Declared => DECLARED.contains(&relation),
            Early::All => true,
        }
    }
}

/// The columns of a relation that name one row of it, if live views can look it up.
pub fn unique_key(schema: &Schema, relation: &str) -> Option<Vec<usize>> {
    match relation {
        "fx" | "instrument" | "account" | "quote" | "unit" => Some(vec![0]),
        "fx_between" => Some(vec![0, 1]),
        "system.day" => Some(Vec::new()),
        base => schema.find(base).filter(|table| table.partition.is_none()).map(|table| table.key.clone()),
    }
}

/// What reading a plan takes.
pub(super) struct Reader<'a> {
    pub schema: &'a Schema,
    /// Shipped relations over base rows.
    pub shipped: &'a HashMap<String, Vec<Relation>>,
    pub names: &'a mut Dictionary,
    pub early: Early,
}

impl Program {
    /// A look-up as part of the row, its keys over the columns before; returns where its columns begin.
    fn look_up(&mut self, relation: &str, keys: &[(usize, Scalar)], fields: &[String]) -> usize {
        for branch in &mut self.branches {
            let keys = keys
                .iter()
                .map(|(column, key)| (*column, key.substitute(&mut |at| branch.columns[at].clone())))
                .collect();
            let lookup = branch.lookups.len();
            branch.lookups.push(Lookup { relation: relation.to_owned(), keys });
            for column in 0..fields.len() {
                branch.columns.push(Scalar::Column(branch.inputs.len()));
                branch.inputs.push(Input { lookup: Some(lookup), column });
            }
        }
        let width = self.width;
        self.ids.resize(width + fields.len(), false);
        self.required.resize(width + fields.len(), false);
        self.names.extend(fields.iter().map(|field| format!("{relation}.{field}")));
        self.width += fields.len();
        width
    }

    /// # Errors
    /// `Unsupported` where a scalar over the columns reads ids by their values.
    pub(super) fn without_ids<'a>(&self, scalars: impl IntoIterator<Item = &'a Scalar>) -> Result<()> {
        let mut reads = false;
        scalars.into_iter().for_each(|scalar| scalar.columns_by_value(&mut |at| reads |= self.ids[at]));
        if reads {
            return Err(Error::unsupported("ids of orders and movements are read by whole queries only"));
        }
        Ok(())
    }
}

/// One side of joins.
enum Item {
    Rows,
    /// A relation to look up, and its fields.
    Target {
        name: String,
        fields: Vec<String>,
    },
}

impl Reader<'_> {
    /// # Errors
    /// `Unsupported` for a plan of another shape, with what does not fit.
    pub fn flat(&mut self, plan: &LogicalPlan) -> Result<Flat> {
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(&scan.table_name.to_string()),
            LogicalPlan::SubqueryAlias(alias) => self.flat(&alias.input),
            LogicalPlan::Projection(projection) => {
                let mut flat = self.flat(&projection.input)?;
                let compiled = projection
                    .expr
                    .iter()
                    .map(|expr| self.compile(expr, projection.input.schema(), &flat.columns))
                    .collect::<Result<_>>()?;
                flat.columns = compiled;
                Ok(flat)
            }
            LogicalPlan::Filter(_) => self.joined(plan),
            LogicalPlan::Join(join) if inner(join) => self.joined(plan),
            LogicalPlan::Join(join) if join.join_type == JoinType::Left => self.left(join),
            LogicalPlan::Join(join) => {
                Err(Error::unsupported(format!("a {} JOIN is no look-up", join.join_type)))
            }
            LogicalPlan::Union(union) => self.union(&union.inputs),
            LogicalPlan::Aggregate(aggregate) => self.net(aggregate),
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let (schema, groups) = (input.schema().clone(), columns_of(input.schema()));
                self.net_of(input, &schema, &groups, &[])
            }
            other => Err(Error::unsupported(format!("{} is no source of rows", title(other)))),
        }
    }

    pub fn compile(&mut self, expr: &Expr, schema: &DFSchema, columns: &[Scalar]) -> Result<Scalar> {
        compile(&prepared(expr, schema)?, schema, columns, self.names)
    }

    fn scan(&mut self, name: &str) -> Result<Flat> {
        let branches = if let Some(branches) = self.shipped.get(name) {
            branches.clone()
        } else if let Some(table) = self.schema.find(name) {
            vec![Relation {
                source: table.name.clone(),
                lookups: Vec::new(),
                inputs: (0..table.columns.len()).map(|column| Input { lookup: None, column }).collect(),
                filter: Scalar::TRUE,
                names: table.columns.iter().map(|column| column.name.clone()).collect(),
                columns: (0..table.columns.len()).map(Scalar::Column).collect(),
            }]
        } else {
            return Err(Error::unsupported(format!("the rows of {name} are computed, not fed")));
        };
        Ok(self.of_branches(branches))
    }

    fn of_branches(&self, branches: Vec<Relation>) -> Flat {
        let width = branches[0].columns.len();
        let mut ids = vec![false; width];
        let mut required = vec![true; width];
        for branch in &branches {
            let table = self.schema.table(&branch.source);
            for (required, column) in required.iter_mut().zip(&branch.columns) {
                *required &= match column {
                    Scalar::Const(value) => *value != NULL,
                    Scalar::Column(input) => {
                        let Input { lookup, column } = branch.inputs[*input];
                        lookup.is_none() && !table.columns[column].nullable
                    }
                    _ => false,
                };
            }
            for (id, column) in ids.iter_mut().zip(&branch.columns) {
                column.columns_by_value(&mut |input| {
                    let Input { lookup, column } = branch.inputs[input];
                    *id |= lookup.is_none() && table.columns[column].data_type == Type::Id;
                });
            }
        }
        Flat {
            program: Program { net: None, names: branches[0].names.clone(), branches, width, ids, required },
            inputs: (0..width).map(|column| Input { lookup: None, column }).collect(),
            late: Vec::new(),
            filter: Scalar::TRUE,
            columns: (0..width).map(Scalar::Column).collect(),
            names: Vec::new(),
        }
    }

    /// Inner joins and conditions, in whatever order they are written.
    fn joined(&mut self, plan: &LogicalPlan) -> Result<Flat> {
        let (mut parts, mut conditions) = (Vec::new(), Vec::new());
        gather(plan, &mut parts, &mut conditions);
        let items: Vec<Item> = parts.iter().map(|part| self.item(part)).collect();
        if !items.iter().any(|item| matches!(item, Item::Rows)) {
            // Only relations that are the same for every account: the one that the others are found by.
            let mut last = Error::unsupported("nothing is read");
            for at in 0..parts.len() {
                let mut items: Vec<Item> = parts.iter().map(|part| self.item(part)).collect();
                items[at] = Item::Rows;
                match self.join(plan.schema(), &parts, &items, &conditions) {
                    Ok(flat) => return Ok(flat),
                    Err(error) => last = error,
                }
            }
            return Err(last);
        }
        if items.iter().filter(|item| matches!(item, Item::Rows)).count() > 1 {
            return Err(Error::unsupported("two sources of rows are joined with each other"));
        }
        self.join(plan.schema(), &parts, &items, &conditions)
    }

    fn item(&self, plan: &LogicalPlan) -> Item {
        match target(plan) {
            Some((name, fields)) if unique_key(self.schema, &name).is_some() => Item::Target { name, fields },
            _ => Item::Rows,
        }
    }

    fn join(
        &mut self,
        schema: &DFSchemaRef,
        parts: &[&LogicalPlan],
        items: &[Item],
        conditions: &[Expr],
    ) -> Result<Flat> {
        let mut starts = Vec::with_capacity(parts.len());
        let mut width = 0;
        for part in parts {
            starts.push(width);
            width += part.schema().fields().len();
        }
        let item_of = |column: usize| starts.partition_point(|&start| start <= column) - 1;
        let driver = items.iter().position(|item| matches!(item, Item::Rows)).expect("one drives");
        let mut flat = self.flat(parts[driver])?;
        let mut columns = vec![Scalar::Const(NULL); width];
        columns[starts[driver]..][..flat.columns.len()].clone_from_slice(&flat.columns);
        let mut attached = vec![false; items.len()];
        attached[driver] = true;
        let conditions = conditions.iter().map(|one| prepared(one, schema)).collect::<Result<Vec<_>>>()?;
        let mut used = vec![false; conditions.len()];
        while attached.contains(&false) {
            let mut found = None;
            'items: for (at, item) in items.iter().enumerate().filter(|(at, _)| !attached[*at]) {
                let Item::Target { name, .. } = item else { continue };
                let mut keys = Vec::new();
                let mut by = Vec::new();
                for key in unique_key(self.schema, name).expect("targets have one") {
                    let place = starts[at] + key;
                    let value = conditions.iter().enumerate().find_map(|(number, condition)| {
                        let value = equals(condition, schema, place)?;
                        let reads = value.column_refs();
                        let known = reads.iter().all(|column| {
                            schema.index_of_column(column).is_ok_and(|index| attached[item_of(index)])
                        });
                        known.then_some((number, value))
                    });
                    let Some((number, value)) = value else { continue 'items };
                    by.push(number);
                    keys.push((key, value));
                }
                found = Some((at, keys, by));
                break;
            }
            let Some((at, keys, by)) = found else {
                let missing = items.iter().zip(&attached).find_map(|(item, attached)| match item {
                    Item::Target { name, .. } if !attached => Some(name.as_str()),
                    _ => None,
                });
                let name = missing.unwrap_or("a relation");
                return Err(Error::unsupported(format!("{name} is not joined on its whole key")));
            };
            let Item::Target { name, fields } = &items[at] else { unreachable!("only targets are found") };
            let keys = keys
                .into_iter()
                .map(|(key, value)| Ok((key, self.compile(value, schema, &columns)?)))
                .collect::<Result<Vec<_>>>()?;
            let first = keys.first().map(|(key, _)| *key);
            let looked_up = self.attach(&mut flat, name, keys, fields)?;
            if let Some(key) = first {
                flat.filter = and(flat.filter.clone(), has_value(&looked_up[key]));
            }
            columns[starts[at]..][..looked_up.len()].clone_from_slice(&looked_up);
            attached[at] = true;
            by.into_iter().for_each(|number| used[number] = true);
        }
        for (condition, _) in conditions.iter().zip(&used).filter(|(_, used)| !**used) {
            let condition = self.compile(condition, schema, &columns)?;
            flat.filter = and(flat.filter.clone(), condition);
        }
        flat.columns = columns;
        Ok(flat)
    }

    /// Adds a look-up, as part of the row or late; returns its columns.
    fn attach(
        &mut self,
        flat: &mut Flat,
        name: &str,
        keys: Vec<(usize, Scalar)>,
        names: &[String],
    ) -> Result<Vec<Scalar>> {
        let fields = names.len();
        let start = flat.inputs.len();
        if self.early.has(name) {
            let mut of_row = true;
            keys.iter()
                .for_each(|(_, key)| key.columns(&mut |at| of_row &= flat.inputs[at].lookup.is_none()));
            if !of_row {
                return Err(Error::unsupported(format!("{name} is found by what is looked up late")));
            }
            let by_column = |at: usize| Scalar::Column(flat.inputs[at].column);
            let keys: Vec<_> =
                keys.iter().map(|(key, value)| (*key, value.substitute(&mut { by_column }))).collect();
            flat.program.without_ids(keys.iter().map(|(_, key)| key))?;
            let first = flat.program.look_up(name, &keys, names);
            flat.inputs.extend((first..first + fields).map(|column| Input { lookup: None, column }));
        } else {
            let lookup = flat.late.len();
            flat.names.extend(names.iter().map(|field| format!("{name}.{field}")));
            flat.late.push(Lookup { relation: name.to_owned(), keys });
            flat.inputs.extend((0..fields).map(|column| Input { lookup: Some(lookup), column }));
        }
        Ok((start..start + fields).map(Scalar::Column).collect())
    }

    fn left(&mut self, join: &Join) -> Result<Flat> {
        let mut flat = self.flat(&join.left)?;
        let Some((name, fields)) = target(&join.right) else {
            return Err(Error::unsupported("a LEFT JOIN looks up a named relation, not another query"));
        };
        let Some(unique) = unique_key(self.schema, &name) else {
            return Err(Error::unsupported(format!("{name} has no key that a join could find one row by")));
        };
        let left_width = join.left.schema().fields().len();
        let mut conditions: Vec<Expr> = join.on.iter().map(|(a, b)| a.clone().eq(b.clone())).collect();
        join.filter.iter().for_each(|filter| conjuncts(filter, &mut conditions));
        let conditions =
            conditions.iter().map(|one| prepared(one, &join.schema)).collect::<Result<Vec<_>>>()?;
        let mut used = vec![false; conditions.len()];
        let mut columns = flat.columns.clone();
        columns.resize(left_width + fields.len(), Scalar::Const(NULL));
        let mut keys = Vec::new();
        for key in unique {
            let value = conditions.iter().enumerate().find_map(|(number, condition)| {
                let value = equals(condition, &join.schema, left_width + key)?;
                let of_left = value
                    .column_refs()
                    .iter()
                    .all(|column| join.schema.index_of_column(column).is_ok_and(|index| index < left_width));
                of_left.then_some((number, value))
            });
            let Some((number, value)) = value else {
                return Err(Error::unsupported(format!("{name} is not joined on its whole key")));
            };
            used[number] = true;
            keys.push((key, self.compile(value, &join.schema, &columns)?));
        }
        let looked_up = self.attach(&mut flat, &name, keys, &fields)?;
        columns[left_width..].clone_from_slice(&looked_up);
        let mut condition = Scalar::TRUE;
        for (one, _) in conditions.iter().zip(&used).filter(|(_, used)| !**used) {
            condition = and(condition, self.compile(one, &join.schema, &columns)?);
        }
        if condition != Scalar::TRUE {
            // A row that is found and does not fit is none.
            for column in &mut columns[left_width..] {
                let found = (condition.clone(), column.clone());
                *column = Scalar::Case(vec![found], Box::new(Scalar::Const(NULL)));
            }
        }
        flat.columns = columns;
        Ok(flat)
    }

    /// Everything that rows look up is part of them in here.
    fn whole(&mut self, plan: &LogicalPlan) -> Result<Flat> {
        let before = std::mem::replace(&mut self.early, Early::All);
        let flat = self.flat(plan);
        self.early = before;
        flat
    }

    fn union(&mut self, inputs: &[std::sync::Arc<LogicalPlan>]) -> Result<Flat> {
        let mut all = Vec::new();
        for input in inputs {
            let flat = self.whole(input)?;
            if flat.program.net.is_some() {
                return Err(Error::unsupported("a union of inner GROUP BYs is no source of rows"));
            }
            for mut branch in flat.program.branches.iter().cloned() {
                let before = std::mem::take(&mut branch.columns);
                let over = |scalar: &Scalar| {
                    let of_program = scalar.substitute(&mut |at| Scalar::Column(flat.inputs[at].column));
                    of_program.substitute(&mut |at| before[at].clone())
                };
                branch.filter = and(branch.filter.clone(), over(&flat.filter));
                branch.columns = flat.columns.iter().map(over).collect();
                branch.names = input.schema().fields().iter().map(|field| field.name().clone()).collect();
                all.push(branch);
            }
        }
        Ok(self.of_branches(all))
    }

    fn net(&mut self, aggregate: &Aggregate) -> Result<Flat> {
        let schema = aggregate.input.schema().clone();
        self.net_of(&aggregate.input, &schema, &aggregate.group_expr, &aggregate.aggr_expr)
    }

    fn net_of(
        &mut self,
        input: &LogicalPlan,
        schema: &DFSchema,
        groups: &[Expr],
        aggregates: &[Expr],
    ) -> Result<Flat> {
        let flat = self.whole(input)?;
        let over = |scalar: Scalar| scalar.substitute(&mut |at| Scalar::Column(flat.inputs[at].column));
        let mut keys = Vec::new();
        for group in groups {
            keys.push(over(self.compile(group, schema, &flat.columns)?));
        }
        if keys.is_empty() {
            return Err(Error::unsupported("an inner aggregate without GROUP BY has a row even of nothing"));
        }
        let mut kept: Vec<Scalar> = Vec::new();
        let mut keep = |h: Scalar| {
            let at = kept.iter().position(|known| *known == h).unwrap_or(kept.len());
            if at == kept.len() {
                kept.push(h);
            }
            Scalar::Column(keys.len() + at)
        };
        let mut columns: Vec<Scalar> = (0..keys.len()).map(Scalar::Column).collect();
        for expr in aggregates {
            let function = super::aggregate_of(expr)?;
            let params = &function.params;
            let name = function.func.name();
            if params.distinct || !params.order_by.is_empty() || !matches!(name, "sum" | "count") {
                return Err(Error::unsupported(format!("{name} in an inner GROUP BY is no net")));
            }
            let mut condition = Scalar::TRUE;
            if let Some(filter) = &params.filter {
                condition = over(self.compile(filter, schema, &flat.columns)?);
            }
            let value = over(self.compile(&params.args[0], schema, &flat.columns)?);
            let counted = and(condition, has_value(&value));
            let count = keep(super::split::when(counted.clone(), Scalar::Const(1)));
            columns.push(match name {
                "count" => count,
                _ => {
                    let sum = keep(super::split::when(counted, value));
                    let none =
                        Scalar::Compare(Comparison::Equal, Box::new(count), Box::new(Scalar::Const(0)));
                    Scalar::Case(vec![(none, Scalar::Const(NULL))], Box::new(sum))
                }
            });
        }
        let filter = over(flat.filter.clone());
        flat.program.without_ids(keys.iter().chain(&kept).chain([&filter]))?;
        let width = columns.len();
        let names: Vec<String> =
            groups.iter().chain(aggregates).map(|expr| expr.schema_name().to_string()).collect();
        let net = Net { rows: flat.program, filter, keys, kept, columns };
        let branch = Relation {
            source: NET.to_owned(),
            lookups: Vec::new(),
            inputs: (0..width).map(|column| Input { lookup: None, column }).collect(),
            filter: Scalar::TRUE,
            names: Vec::new(),
            columns: (0..width).map(Scalar::Column).collect(),
        };
        Ok(Flat {
            program: Program {
                net: Some(Box::new(net)),
                branches: vec![branch],
                width,
                ids: vec![false; width],
                required: vec![false; width],
                names: names.clone(),
            },
            inputs: (0..width).map(|column| Input { lookup: None, column }).collect(),
            late: Vec::new(),
            filter: Scalar::TRUE,
            columns: (0..width).map(Scalar::Column).collect(),
            names: Vec::new(),
        })
    }
}

fn inner(join: &Join) -> bool {
    join.join_type == JoinType::Inner && join.null_equality == NullEquality::NullEqualsNothing
}

/// The parts of inner joins, and all their conditions.
fn gather<'p>(plan: &'p LogicalPlan, parts: &mut Vec<&'p LogicalPlan>, conditions: &mut Vec<Expr>) {
    match plan {
        LogicalPlan::Filter(filter) => {
            conjuncts(&filter.predicate, conditions);
            gather(&filter.input, parts, conditions);
        }
        LogicalPlan::Join(join) if inner(join) => {
            conditions.extend(join.on.iter().map(|(a, b)| a.clone().eq(b.clone())));
            join.filter.iter().for_each(|filter| conjuncts(filter, conditions));
            gather(&join.left, parts, conditions);
            gather(&join.right, parts, conditions);
        }
        other => parts.push(other),
    }
}

fn conjuncts(expr: &Expr, all: &mut Vec<Expr>) {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            conjuncts(left, all);
            conjuncts(right, all);
        }
        Expr::Literal(ScalarValue::Boolean(Some(true)), _) => {}
        other => all.push(other.clone()),
    }
}

/// What a column must equal by a condition.
fn equals<'e>(condition: &'e Expr, schema: &DFSchema, column: usize) -> Option<&'e Expr> {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = condition else { return None };
    let is_it = |expr: &Expr| match expr {
        Expr::Column(name) => schema.index_of_column(name).is_ok_and(|at| at == column),
        _ => false,
    };
    if is_it(left) {
        return Some(right);
    }
    is_it(right).then_some(left)
}

fn target(plan: &LogicalPlan) -> Option<(String, Vec<String>)> {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => target(&alias.input),
        LogicalPlan::TableScan(scan) => {
            let fields = scan.source.schema().fields().iter().map(|field| field.name().clone()).collect();
            Some((scan.table_name.to_string(), fields))
        }
        _ => None,
    }
}

/// All columns of a plan as expressions.
pub(super) fn columns_of(schema: &DFSchema) -> Vec<Expr> {
    schema.columns().into_iter().map(Expr::Column).collect()
}

/// What a node of a plan is called to a user.
fn title(plan: &LogicalPlan) -> String {
    let text = plan.display().to_string();
    text.split([':', ' ']).next().unwrap_or_default().to_owned()
}
