//! A grouped view as its file declares it: parts at their grains, and measures over them.
//!
//! The compiler's additions happen here, in the syntax tree: group fields go into a part's inner grain,
//! its output and its GROUP BY; the last SELECT joins the parts on them; `graded` becomes a value and a
//! quality, `per` a value or none by the fields of the level. It plans nothing and computes nothing.

use sqlparser::ast::{
    BinaryOperator, CaseWhen, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr,
    Ident, Join, JoinConstraint, JoinOperator, ObjectName, Query, Select, SelectItem, SetExpr, TableFactor,
    Value, VisitMut, VisitorMut, visit_relations,
};

use super::catalog::{Catalog, Parameters};
use crate::view::spec::Basis;

/// What follows a measure's name in the column of its quality.
pub const QUALITY: &str = "__quality";

/// Qualities as integers, in SQL and in the tick: `n > 0` is PARTIAL:n.
pub const QUALITY_OK: i64 = 0;
pub const QUALITY_STALE: i64 = -1;
pub const QUALITY_MISSING: i64 = -2;

/// The relation of legs as the parts name it, and with every group field beside it.
pub(super) const LEG: &str = "leg";
pub const GROUPED_LEG: &str = "grouped_leg";

#[derive(Debug, Clone)]
pub struct Measure {
    pub name: String,
    pub kind: MeasureKind,
    /// The exposure the measure belongs to; `None` is shown whatever the exposures.
    pub basis: Option<Basis>,
    /// It has a value only at levels with one of these fields in their path; with none named, at all.
    pub per: Vec<String>,
}

impl Measure {
    /// Whether the measure has a value at the level of these fields.
    pub fn is_defined<Field: AsRef<str>>(&self, fields: &[Field]) -> bool {
        self.per.is_empty() || self.per.iter().any(|per| fields.iter().any(|field| field.as_ref() == per))
    }
}

#[derive(Debug, Clone)]
pub enum MeasureKind {
    Plain(Expr),
    /// A value with a quality, from how many positions are behind it and how many lack a fresh price.
    Graded {
        value: Expr,
        positions: Expr,
        unpriced: Expr,
        stale: Expr,
    },
    /// The share of the total of another measure.
    Weight {
        of: String,
    },
}

/// A grouped view's parts and measures.
#[derive(Debug, Clone)]
pub struct GroupedView {
    /// The names of the parts; the first has every group.
    pub parts: Vec<String>,
    pub measures: Vec<Measure>,
    /// Columns of later parts that are null, and not 0, where the part has no row for a group.
    nullable: Vec<String>,
}

impl GroupedView {
    /// Reads a view's declaration.
    ///
    /// # Panics
    /// Where the file declares something that is no grouped view; a test reads every file.
    pub fn new(catalog: &Catalog, name: &str) -> GroupedView {
        let select = select_of(catalog.query(name));
        let from = &select.from[0];
        if let [SelectItem::Wildcard(_)] = select.projection.as_slice() {
            // `SELECT * FROM view`: the measures of another view.
            return GroupedView::new(catalog, &factor_name(&from.relation));
        }
        let mut parts = vec![factor_name(&from.relation)];
        parts.extend(from.joins.iter().map(|join| factor_name(&join.relation)));
        let mut nullable = Vec::new();
        for part in &parts {
            for item in &select_of(catalog.query(part)).projection {
                let (name, expr) = named(item);
                if let Expr::Function(function) = expr
                    && matches!(function.name.to_string().as_str(), "MIN" | "MAX")
                {
                    nullable.push(name);
                }
            }
        }
        let measures = select.projection.iter().map(measure).collect();
        GroupedView { parts, measures, nullable }
    }

    /// A part without group fields, over `leg`: what the tick's form is compiled from.
    pub fn part(&self, catalog: &Catalog, part: usize, parameters: &Parameters) -> Query {
        catalog.bound(&self.parts[part], parameters)
    }

    /// A part at one level, over `grouped_leg`: its first columns are the fields, `g0`, `g1`, ….
    pub fn part_by(&self, catalog: &Catalog, part: usize, fields: &[&str], parameters: &Parameters) -> Query {
        let mut query = self.part(catalog, part, parameters);
        let outer = select_of_mut(&mut query);
        let relation = &mut outer.from[0].relation;
        let source = match relation {
            TableFactor::Derived { subquery, alias, .. } => {
                let inner = select_of_mut(subquery);
                let legs = rename_leg(&mut inner.from[0].relation);
                for field in fields {
                    // A field that the part nets by is there already.
                    if inner.projection.iter().any(|item| named(item).0 == **field) {
                        continue;
                    }
                    let column = compound(&legs, field);
                    inner.projection.push(SelectItem::UnnamedExpr(column.clone()));
                    group_by(inner, column);
                }
                alias.as_ref().expect("a part names its subquery").name.value.clone()
            }
            table => rename_leg(table),
        };
        let mut projection = Vec::new();
        for (level, field) in fields.iter().enumerate() {
            let column = compound(&source, field);
            projection.push(SelectItem::ExprWithAlias {
                expr: column.clone(),
                alias: Ident::new(format!("g{level}")),
            });
            group_by(outer, column);
        }
        projection.append(&mut outer.projection);
        outer.projection = projection;
        query
    }

    /// Whether a part reads a relation.
    pub fn reads(&self, catalog: &Catalog, relation: &str) -> bool {
        let is_read = |part: &String| {
            let found = visit_relations(catalog.query(part), |name| match name.to_string() == relation {
                true => std::ops::ControlFlow::Break(()),
                false => std::ops::ControlFlow::Continue(()),
            });
            found.is_break()
        };
        self.parts.iter().any(is_read)
    }

    /// The measures over the parts of one level: `g0`, …, then each measure that is no weight, graded ones
    /// followed by their quality. Those without a value at the level are null, with nothing amiss.
    pub fn measures_by<Field: AsRef<str>>(&self, catalog: &Catalog, view: &str, fields: &[Field]) -> Query {
        self.measures_where(catalog, view, fields.len(), &|measure| measure.is_defined(fields))
    }

    /// The same over parts without groups, every measure as it is where it has a value.
    pub fn measures(&self, catalog: &Catalog, view: &str) -> Query {
        self.measures_where(catalog, view, 0, &|_| true)
    }

    fn measures_where(
        &self,
        catalog: &Catalog,
        view: &str,
        levels: usize,
        is_defined: &dyn Fn(&Measure) -> bool,
    ) -> Query {
        let mut query = catalog.query(view).clone();
        if let [SelectItem::Wildcard(_)] = select_of(&query).projection.as_slice() {
            let base = factor_name(&select_of(&query).from[0].relation);
            query = catalog.query(&base).clone();
        }
        let first = self.parts[0].clone();
        let select = select_of_mut(&mut query);
        for join in &mut select.from[0].joins {
            let part = factor_name(&join.relation);
            *join = left_join(join.relation.clone(), same_groups(&first, &part, levels));
        }
        let mut items = Vec::new();
        for level in 0..levels {
            let field = format!("g{level}");
            items
                .push(SelectItem::ExprWithAlias { expr: compound(&first, &field), alias: Ident::new(field) });
        }
        for (name, mut expr) in self.outputs_where(is_defined) {
            // A part without a row for a group has nothing to count there.
            let _ = expr.visit(&mut OrZero { nullable: &self.nullable });
            items.push(SelectItem::ExprWithAlias { expr, alias: Ident::new(name) });
        }
        select.projection = items;
        query
    }

    /// Every computed column with its expression over the parts' columns.
    fn outputs_where(&self, is_defined: &dyn Fn(&Measure) -> bool) -> Vec<(String, Expr)> {
        let mut outputs = Vec::new();
        for measure in &self.measures {
            let defined = is_defined(measure);
            // The expression stays for its type.
            let value = |expr: Expr| match defined {
                true => expr,
                false => case(vec![(Expr::Value(Value::Boolean(false).into()), expr)], null()),
            };
            match &measure.kind {
                MeasureKind::Plain(expr) => outputs.push((measure.name.clone(), value(expr.clone()))),
                MeasureKind::Weight { .. } => {}
                MeasureKind::Graded { value: graded, positions, unpriced, stale } => {
                    outputs.push((measure.name.clone(), value(graded_value(graded, positions, unpriced))));
                    let quality = match defined {
                        true => grade(positions, unpriced, stale),
                        false => number(QUALITY_OK),
                    };
                    outputs.push((format!("{}{QUALITY}", measure.name), quality));
                }
            }
        }
        outputs
    }
}

/// The query of `grouped_leg` with the given fields only, and the joins they need.
pub fn grouped_leg(catalog: &Catalog, fields: &[&str], portfolios: Option<&[String]>) -> Query {
    let mut query = catalog.query(GROUPED_LEG).clone();
    let select = select_of_mut(&mut query);
    let field_of = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(path)) => {
            Some((path[0].value.clone(), path[1].value.clone()))
        }
        _ => None,
    };
    select.projection.retain(|item| field_of(item).is_none_or(|(_, field)| fields.contains(&field.as_str())));
    let used: Vec<String> = select.projection.iter().filter_map(|item| Some(field_of(item)?.0)).collect();
    select.from[0].joins.retain(|join| used.contains(&factor_alias(&join.relation)));
    if let Some(portfolios) = portfolios {
        within_portfolios(&mut query, portfolios);
    }
    query
}

/// Keeps the legs of the chosen sleeves, in a query that reads `leg`.
pub fn within_portfolios(query: &mut Query, portfolios: &[String]) {
    let select = select_of_mut(query);
    let legs = factor_alias(&select.from[0].relation);
    let list = portfolios.iter().map(|name| text(name)).collect();
    select.selection =
        Some(Expr::InList { expr: Box::new(compound(&legs, "portfolio_id")), list, negated: false });
}

/// `CASE WHEN positions > 0 AND unpriced = positions THEN NULL ELSE value END`
fn graded_value(value: &Expr, positions: &Expr, unpriced: &Expr) -> Expr {
    let some = binary(positions.clone(), BinaryOperator::Gt, number(0));
    let all = binary(unpriced.clone(), BinaryOperator::Eq, positions.clone());
    let missing = binary(some, BinaryOperator::And, all);
    case(vec![(missing, null())], value.clone())
}

/// The quality as an integer: see [`QUALITY_OK`].
fn grade(positions: &Expr, unpriced: &Expr, stale: &Expr) -> Expr {
    let partial = binary(unpriced.clone(), BinaryOperator::Gt, number(0));
    let all = binary(
        partial.clone(),
        BinaryOperator::And,
        binary(unpriced.clone(), BinaryOperator::Eq, positions.clone()),
    );
    let old = binary(stale.clone(), BinaryOperator::Gt, number(0));
    case(
        vec![(all, number(QUALITY_MISSING)), (partial, unpriced.clone()), (old, number(QUALITY_STALE))],
        number(QUALITY_OK),
    )
}

/// Counts and sums of a part that has no row for a group are 0.
struct OrZero<'a> {
    nullable: &'a [String],
}

impl VisitorMut for OrZero<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> std::ops::ControlFlow<()> {
        let name = match expr {
            Expr::Identifier(name) => Some(name.value.clone()),
            Expr::CompoundIdentifier(path) => path.last().map(|name| name.value.clone()),
            _ => None,
        };
        if name.is_some_and(|name| !self.nullable.contains(&name)) {
            let column = std::mem::replace(expr, null());
            *expr = call("COALESCE", vec![column, number(0)]);
        }
        std::ops::ControlFlow::Continue(())
    }
}

fn measure(item: &SelectItem) -> Measure {
    let (name, expr) = named(item);
    let basis = Basis::ALL.into_iter().find(|basis| {
        let suffix = basis.name().to_lowercase();
        name == suffix
            || name.strip_suffix("_base").unwrap_or(&name).ends_with(&format!("_{suffix}"))
            || name == format!("{suffix}_base")
    });
    let (per, expr) = match expr {
        Expr::Function(function) if function.name.to_string() == "per" => {
            let mut per = arguments(function);
            let value = per.pop().expect("per takes fields and a value");
            (per.iter().map(Expr::to_string).collect(), value)
        }
        other => (Vec::new(), other.clone()),
    };
    let kind = match &expr {
        Expr::Function(function) if function.name.to_string() == "graded" => {
            let mut arguments = arguments(function).into_iter();
            let mut next = || arguments.next().expect("graded takes a value and three counts");
            MeasureKind::Graded { value: next(), positions: next(), unpriced: next(), stale: next() }
        }
        Expr::Function(function) if function.name.to_string() == "weight" => {
            MeasureKind::Weight { of: arguments(function)[0].to_string() }
        }
        other => MeasureKind::Plain(other.clone()),
    };
    Measure { name, kind, basis, per }
}

pub(super) fn arguments(function: &Function) -> Vec<Expr> {
    let FunctionArguments::List(list) = &function.args else { return Vec::new() };
    let argument = |argument: &FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => expr.clone(),
        other => panic!("a view's function takes expressions, not {other}"),
    };
    list.args.iter().map(argument).collect()
}

pub fn select_of(query: &Query) -> &Select {
    match query.body.as_ref() {
        SetExpr::Select(select) => select,
        other => panic!("a view's part is one SELECT, not {other}"),
    }
}

pub(super) fn select_of_mut(query: &mut Query) -> &mut Select {
    match query.body.as_mut() {
        SetExpr::Select(select) => select,
        other => panic!("a view's part is one SELECT, not {other}"),
    }
}

pub(super) fn factor_name(factor: &TableFactor) -> String {
    match factor {
        TableFactor::Table { name, .. } => name.to_string(),
        other => panic!("a view reads a named relation here, not {other}"),
    }
}

fn factor_alias(factor: &TableFactor) -> String {
    match factor {
        TableFactor::Table { alias: Some(alias), .. } => alias.name.value.clone(),
        other => factor_name(other),
    }
}

/// Makes a part read the legs with their group fields; returns the name its columns go by.
fn rename_leg(factor: &mut TableFactor) -> String {
    let source = factor_alias(factor);
    let TableFactor::Table { name, .. } = factor else { panic!("a part reads {LEG}") };
    assert_eq!(name.to_string(), LEG, "a part reads {LEG} first");
    *name = ObjectName::from(vec![Ident::new(GROUPED_LEG)]);
    if source == LEG { GROUPED_LEG.to_owned() } else { source }
}

fn group_by(select: &mut Select, column: Expr) {
    match &mut select.group_by {
        GroupByExpr::Expressions(columns, _) => columns.push(column),
        GroupByExpr::All(_) => panic!("a part names what it groups by"),
    }
}

/// A SELECT item's name and expression.
pub fn named(item: &SelectItem) -> (String, &Expr) {
    match item {
        SelectItem::ExprWithAlias { expr, alias } => (alias.value.clone(), expr),
        SelectItem::UnnamedExpr(expr) => match expr {
            Expr::Identifier(name) => (name.value.clone(), expr),
            Expr::CompoundIdentifier(path) => (path[path.len() - 1].value.clone(), expr),
            other => panic!("{other} needs a name"),
        },
        other => panic!("{other} is no column"),
    }
}

fn left_join(relation: TableFactor, on: Expr) -> Join {
    Join { relation, global: false, join_operator: JoinOperator::Left(JoinConstraint::On(on)) }
}

fn same_groups(a: &str, b: &str, levels: usize) -> Expr {
    let same = |level: usize| {
        let field = format!("g{level}");
        Expr::IsNotDistinctFrom(Box::new(compound(a, &field)), Box::new(compound(b, &field)))
    };
    let all = (0..levels).map(same).reduce(|a, b| binary(a, BinaryOperator::And, b));
    all.unwrap_or_else(|| Expr::Value(Value::Boolean(true).into()))
}

fn compound(relation: &str, column: &str) -> Expr {
    Expr::CompoundIdentifier(vec![Ident::new(relation), Ident::new(column)])
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(nested(left)), op, right: Box::new(nested(right)) }
}

fn nested(expr: Expr) -> Expr {
    Expr::Nested(Box::new(expr))
}

fn number(value: i64) -> Expr {
    Expr::Value(Value::Number(value.to_string(), false).into())
}

fn text(value: &str) -> Expr {
    Expr::Value(Value::SingleQuotedString(value.to_owned()).into())
}

fn null() -> Expr {
    Expr::Value(Value::Null.into())
}

fn case(branches: Vec<(Expr, Expr)>, otherwise: Expr) -> Expr {
    Expr::Case {
        case_token: sqlparser::ast::helpers::attached_token::AttachedToken::empty(),
        end_token: sqlparser::ast::helpers::attached_token::AttachedToken::empty(),
        operand: None,
        conditions: branches.into_iter().map(|(condition, result)| CaseWhen { condition, result }).collect(),
        else_result: Some(Box::new(otherwise)),
    }
}

fn call(name: &str, arguments: Vec<Expr>) -> Expr {
    use sqlparser::ast::{FunctionArgumentList, FunctionArguments};
    let args = arguments.into_iter().map(|expr| FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))).collect();
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args,
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}
