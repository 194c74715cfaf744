//! The CHECK constraints of a table, evaluated on a record before any of its text is interned.
//!
//! Comparisons, `IN`, `IS [NOT] NULL`, `AND`, `OR` and `NOT` over columns, strings and numbers; nothing
//! else. As in SQL a check fails only where it is false: with a missing value it is neither.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

use sqlparser::ast::{BinaryOperator, Expr, UnaryOperator, Value};

use super::object::Row;
use super::time;
use crate::datum::{self, Datum, NULL};
use crate::dictionary::Code;
use crate::error::{Error, Result};
use crate::schema::{Column, Table, Type};

/// One CHECK of a table, bound to its columns.
#[derive(Debug)]
pub(super) struct Check {
    condition: Condition,
    /// The columns it reads, each once.
    columns: Vec<usize>,
    /// What the values must be, in the field names of the wire.
    wanted: String,
    /// The column it reads, where that is a single one of names.
    name: Option<usize>,
    /// Names that passed.
    passed: Vec<Code>,
}

/// Names that are remembered of a check, as many as enumerations have.
const PASSED_MAX: usize = 32;

#[derive(Debug)]
enum Condition {
    Compare { left: Operand, comparison: Comparison, right: Operand },
    In { column: usize, values: Vec<Literal>, negated: bool },
    IsNull { column: usize, negated: bool },
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
    Not(Box<Condition>),
}

#[derive(Debug)]
enum Operand {
    Column(usize),
    Literal(Literal),
}

/// A constant in the type of the column it is compared with.
#[derive(Debug, Clone, PartialEq)]
enum Literal {
    Text(String),
    Datum(Datum, String),
}

#[derive(Debug, Clone, Copy)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A value as a condition sees it.
enum Seen<'a> {
    Text(Cow<'a, str>),
    Datum(Datum),
}

/// A record's values: text from its fields, the rest from its datums.
pub(super) struct Values<'r, 'a> {
    pub columns: &'r [Column],
    pub fields: &'r Row<'a>,
    pub row: &'r [Datum],
}

impl Check {
    /// Binds a CHECK to the columns of its table.
    ///
    /// # Errors
    /// `Invalid` where it says what no record can be held to here.
    pub(super) fn new(table: &Table, expr: &Expr) -> Result<Check> {
        let condition = condition(table, expr)?;
        let mut columns = Vec::new();
        condition.columns(&mut columns);
        let wanted = match (&condition, columns.as_slice()) {
            (Condition::In { values, negated: false, .. }, _) => {
                format!("one of {}", values.iter().map(Literal::to_string).collect::<Vec<_>>().join(", "))
            }
            _ => Shown { condition: &condition, columns: &table.columns }.to_string(),
        };
        let name = match columns.as_slice() {
            [only] if table.columns[*only].data_type == Type::Text => Some(*only),
            _ => None,
        };
        Ok(Check { condition, columns, wanted, name, passed: Vec::new() })
    }

    /// The reason why the record fails, if it does.
    #[inline]
    pub(super) fn failure(&mut self, values: &Values) -> Option<String> {
        // A name that has a code already, and passed with it.
        let code = self.name.map(|column| values.row[column]).filter(|&datum| datum != NULL);
        let code = code.map(|datum| datum as Code);
        if code.is_some_and(|code| self.passed.contains(&code)) {
            return None;
        }
        self.examine(code, values)
    }

    fn examine(&mut self, code: Option<Code>, values: &Values) -> Option<String> {
        if self.condition.holds(values) != Some(false) {
            if let Some(code) = code
                && self.passed.len() < PASSED_MAX
            {
                self.passed.push(code);
            }
            return None;
        }
        let shown: Vec<String> = self
            .columns
            .iter()
            .map(|&column| format!("{} is {}", values.columns[column].field, values.fields[column]))
            .collect();
        Some(format!("{}; it must be {}", shown.join(" and "), self.wanted))
    }
}

impl Condition {
    /// `None` where a missing value leaves it open.
    fn holds(&self, values: &Values) -> Option<bool> {
        match self {
            Condition::Compare { left, comparison, right } => {
                Some(comparison.holds(values.operand(left)?.compare(&values.operand(right)?)))
            }
            Condition::In { column, values: allowed, negated } => {
                let seen = values.column(*column)?;
                Some(allowed.iter().any(|literal| literal.is(&seen)) != *negated)
            }
            Condition::IsNull { column, negated } => Some(values.column(*column).is_none() != *negated),
            Condition::And(left, right) => match (left.holds(values), right.holds(values)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            },
            Condition::Or(left, right) => match (left.holds(values), right.holds(values)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
            Condition::Not(inner) => inner.holds(values).map(|holds| !holds),
        }
    }

    fn columns(&self, into: &mut Vec<usize>) {
        let mut add = |column: usize| {
            if !into.contains(&column) {
                into.push(column);
            }
        };
        match self {
            Condition::Compare { left, right, .. } => {
                for operand in [left, right] {
                    if let Operand::Column(column) = operand {
                        add(*column);
                    }
                }
            }
            Condition::In { column, .. } | Condition::IsNull { column, .. } => add(*column),
            Condition::And(left, right) | Condition::Or(left, right) => {
                left.columns(into);
                right.columns(into);
            }
            Condition::Not(inner) => inner.columns(into),
        }
    }
}

impl<'a> Values<'_, 'a> {
    fn column(&self, column: usize) -> Option<Seen<'a>> {
        match self.columns[column].data_type {
            // A text that is none has been set aside before.
            Type::Text | Type::Id => self.fields[column].text().ok().map(Seen::Text),
            _ => (self.row[column] != NULL).then_some(Seen::Datum(self.row[column])),
        }
    }

    fn operand<'s>(&'s self, operand: &'s Operand) -> Option<Seen<'s>> {
        match operand {
            Operand::Column(column) => self.column(*column),
            Operand::Literal(literal) => Some(literal.seen()),
        }
    }
}

impl Seen<'_> {
    fn compare(&self, other: &Seen) -> Ordering {
        match (self, other) {
            (Seen::Text(a), Seen::Text(b)) => a.cmp(b),
            (Seen::Datum(a), Seen::Datum(b)) => a.cmp(b),
            _ => unreachable!("a condition compares values of one type"),
        }
    }
}

impl Literal {
    /// Cheaper than to compare: texts of other lengths differ at once.
    fn is(&self, seen: &Seen) -> bool {
        match (self, seen) {
            (Literal::Text(a), Seen::Text(b)) => a == b,
            (Literal::Datum(a, _), Seen::Datum(b)) => a == b,
            _ => unreachable!("a condition compares values of one type"),
        }
    }

    fn seen(&self) -> Seen<'_> {
        match self {
            Literal::Text(text) => Seen::Text(Cow::Borrowed(text)),
            Literal::Datum(datum, _) => Seen::Datum(*datum),
        }
    }
}

impl Comparison {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Comparison::Equal => order.is_eq(),
            Comparison::NotEqual => order.is_ne(),
            Comparison::Less => order.is_lt(),
            Comparison::LessOrEqual => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::GreaterOrEqual => order.is_ge(),
        }
    }
}

fn condition(table: &Table, expr: &Expr) -> Result<Condition> {
    let pair = |left: &Expr, right: &Expr| -> Result<(Box<Condition>, Box<Condition>)> {
        Ok((Box::new(condition(table, left)?), Box::new(condition(table, right)?)))
    };
    Ok(match expr {
        Expr::Nested(inner) => condition(table, inner)?,
        Expr::UnaryOp { op: UnaryOperator::Not, expr } => Condition::Not(Box::new(condition(table, expr)?)),
        Expr::IsNull(inner) => Condition::IsNull { column: column(table, inner)?, negated: false },
        Expr::IsNotNull(inner) => Condition::IsNull { column: column(table, inner)?, negated: true },
        Expr::InList { expr, list, negated } => {
            let column = column(table, expr)?;
            let data_type = table.columns[column].data_type;
            let values = list.iter().map(|item| literal(table, data_type, item)).collect::<Result<_>>()?;
            Condition::In { column, values, negated: *negated }
        }
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            let (left, right) = pair(left, right)?;
            Condition::And(left, right)
        }
        Expr::BinaryOp { left, op: BinaryOperator::Or, right } => {
            let (left, right) = pair(left, right)?;
            Condition::Or(left, right)
        }
        Expr::BinaryOp { left, op, right } => {
            let comparison = comparison(op).ok_or_else(|| unsupported(table, expr))?;
            let (left, right) = operands(table, left, right)?;
            Condition::Compare { left, comparison, right }
        }
        _ => return Err(unsupported(table, expr)),
    })
}

fn comparison(op: &BinaryOperator) -> Option<Comparison> {
    Some(match op {
        BinaryOperator::Eq => Comparison::Equal,
        BinaryOperator::NotEq => Comparison::NotEqual,
        BinaryOperator::Lt => Comparison::Less,
        BinaryOperator::LtEq => Comparison::LessOrEqual,
        BinaryOperator::Gt => Comparison::Greater,
        BinaryOperator::GtEq => Comparison::GreaterOrEqual,
        _ => return None,
    })
}

/// Two sides of one type: a column and another, or a column and a constant.
fn operands(table: &Table, left: &Expr, right: &Expr) -> Result<(Operand, Operand)> {
    match (column(table, left), column(table, right)) {
        (Ok(a), Ok(b)) => {
            let (first, second) = (&table.columns[a], &table.columns[b]);
            let texts = |data_type| matches!(data_type, Type::Text | Type::Id);
            if first.data_type != second.data_type && !(texts(first.data_type) && texts(second.data_type)) {
                return Err(invalid(table, format!("{} and {} differ in type", first.name, second.name)));
            }
            Ok((Operand::Column(a), Operand::Column(b)))
        }
        (Ok(a), Err(_)) => {
            let constant = literal(table, table.columns[a].data_type, right)?;
            Ok((Operand::Column(a), Operand::Literal(constant)))
        }
        (Err(_), Ok(b)) => {
            let constant = literal(table, table.columns[b].data_type, left)?;
            Ok((Operand::Literal(constant), Operand::Column(b)))
        }
        (Err(_), Err(_)) => Err(unsupported(table, left)),
    }
}

fn column(table: &Table, expr: &Expr) -> Result<usize> {
    match expr {
        Expr::Identifier(name) => {
            table.find(&name.value).ok_or_else(|| invalid(table, format!("there is no column {name}")))
        }
        Expr::Nested(inner) => column(table, inner),
        _ => Err(unsupported(table, expr)),
    }
}

fn literal(table: &Table, data_type: Type, expr: &Expr) -> Result<Literal> {
    let text = match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) => digits.clone(),
            Value::SingleQuotedString(text) => text.clone(),
            Value::Boolean(value) => value.to_string(),
            _ => return Err(unsupported(table, expr)),
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match literal(table, data_type, expr)? {
            Literal::Datum(datum, text) => return Ok(Literal::Datum(-datum, format!("-{text}"))),
            Literal::Text(_) => return Err(unsupported(table, expr)),
        },
        Expr::Nested(inner) => return literal(table, data_type, inner),
        _ => return Err(unsupported(table, expr)),
    };
    let datum = match data_type {
        Type::Text | Type::Id => return Ok(Literal::Text(text)),
        Type::Decimal { precision, scale } => datum::parse_decimal(&text, precision, scale).ok(),
        Type::Integer => text.parse::<i64>().ok().map(Datum::from),
        Type::Boolean => text.parse::<bool>().ok().map(Datum::from),
        Type::Date => time::date(&text).map(Datum::from),
        Type::Timestamp => time::timestamp(&text).map(Datum::from),
    };
    match datum {
        Some(datum) => Ok(Literal::Datum(datum, text)),
        None => Err(invalid(table, format!("{expr} is no value of its column"))),
    }
}

fn unsupported(table: &Table, expr: &Expr) -> Error {
    let known = "=, <>, <, <=, >, >=, IN, IS NULL, AND, OR, NOT, columns and constants";
    invalid(table, format!("a CHECK is made of {known}, not {expr}"))
}

fn invalid(table: &Table, message: String) -> Error {
    Error::invalid("SCHEMA", format!("{}: {message}", table.name))
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Literal::Text(text) | Literal::Datum(_, text) => f.write_str(text),
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Comparison::Equal => "=",
            Comparison::NotEqual => "<>",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
        })
    }
}

/// A condition in the field names of the wire.
struct Shown<'s> {
    condition: &'s Condition,
    columns: &'s [Column],
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.columns;
        let field = |column: usize| columns[column].field.as_str();
        let operand = |operand: &Operand| match operand {
            Operand::Column(column) => field(*column).to_string(),
            Operand::Literal(literal) => literal.to_string(),
        };
        let shown = |condition| Shown { condition, columns };
        let not = |negated: bool| if negated { "not " } else { "" };
        match self.condition {
            Condition::Compare { left, comparison, right } => {
                write!(f, "{} {comparison} {}", operand(left), operand(right))
            }
            Condition::In { column, values, negated } => {
                let values: Vec<String> = values.iter().map(Literal::to_string).collect();
                write!(f, "{} {}one of {}", field(*column), not(*negated), values.join(", "))
            }
            Condition::IsNull { column, negated: true } => write!(f, "{} present", field(*column)),
            Condition::IsNull { column, negated: false } => write!(f, "{} missing", field(*column)),
            Condition::And(left, right) => write!(f, "({} and {})", shown(left), shown(right)),
            Condition::Or(left, right) => write!(f, "({} or {})", shown(left), shown(right)),
            Condition::Not(inner) => write!(f, "not ({})", shown(inner)),
        }
    }
}
