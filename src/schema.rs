//! The base tables as `sql/schema.sql` declares them: columns, exact types, keys, partitions, checks.
//!
//! The file is the only declaration: decoding, storage and SQL read what stands there. Tables are
//! numbered in the order of the file, which is also the order in which one tick applies them.

use sqlparser::ast::{self, ColumnOption, DataType, ExactNumberInfo, Expr, Statement, TableConstraint};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;

use crate::error::{Error, Result};

const SCHEMA_SQL: &str = include_str!("../sql/schema.sql");

/// A table's number: its place in `sql/schema.sql`.
pub type TableId = usize;

/// The type of a column, which says what its [`crate::datum::Datum`]s mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Type {
    /// A code of the dictionary of names, which all tables share.
    Text,
    /// A code of the table's own dictionary: the key of a table with many rows.
    Id,
    Decimal {
        precision: u8,
        scale: u8,
    },
    /// Days since 1970-01-01.
    Date,
    /// Microseconds since 1970-01-01T00:00:00Z.
    Timestamp,
    Integer,
    /// 0 or 1.
    Boolean,
}

#[derive(Debug, Clone)]
pub struct Column {
    /// The SQL name, such as `day_cum_qty`.
    pub name: String,
    /// The JSON field, such as `dayCumQty`.
    pub field: String,
    pub data_type: Type,
    pub nullable: bool,
    /// Stands for a missing value of a column that is never null.
    pub default: Option<String>,
}

#[derive(Debug, Clone)]
pub struct Table {
    pub id: TableId,
    /// The SQL name, such as `base.order_events`.
    pub name: String,
    /// The topic, such as `base.order-events`.
    pub topic: String,
    pub columns: Vec<Column>,
    /// The columns of the primary key, in the order of the key.
    pub key: Vec<usize>,
    /// The column that splits the table into partitions; `None` for a broadcast table.
    pub partition: Option<usize>,
    /// What every record must satisfy; a record that fails one is set aside.
    pub checks: Vec<Expr>,
    /// The column that orders the records of a key.
    pub version: usize,
}

impl Table {
    /// The place of a column that the schema is known to declare.
    ///
    /// # Panics
    /// Where it does not: the caller and `sql/schema.sql` disagree.
    pub fn column(&self, name: &str) -> usize {
        self.find(name).unwrap_or_else(|| panic!("{} has no column {name}", self.name))
    }

    pub fn find(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }
}

#[derive(Debug, Clone)]
pub struct Schema {
    pub tables: Vec<Table>,
}

impl Schema {
    /// The schema this engine is built with.
    ///
    /// # Panics
    /// Where `sql/schema.sql` is no valid schema; a test reads it.
    pub fn base() -> Schema {
        Schema::parse(SCHEMA_SQL).expect("sql/schema.sql is a valid schema")
    }

    /// Reads `CREATE TABLE` statements.
    ///
    /// # Errors
    /// `Invalid` for a statement or type that a base table cannot have.
    pub fn parse(sql: &str) -> Result<Schema> {
        let statements = Parser::parse_sql(&GenericDialect {}, sql).map_err(|e| invalid(e.to_string()))?;
        let mut tables = Vec::with_capacity(statements.len());
        for statement in statements {
            let Statement::CreateTable(create) = statement else {
                return Err(invalid(format!("only CREATE TABLE stands in a schema, not {statement}")));
            };
            tables.push(table(tables.len(), create)?);
        }
        Ok(Schema { tables })
    }

    /// A table that the schema is known to declare, such as `base.price`.
    ///
    /// # Panics
    /// Where it does not: the caller and `sql/schema.sql` disagree.
    pub fn table(&self, name: &str) -> &Table {
        self.find(name).unwrap_or_else(|| panic!("the schema has no table {name}"))
    }

    pub fn find(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == name)
    }

    pub fn topic(&self, topic: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.topic == topic)
    }
}

fn table(id: TableId, create: ast::CreateTable) -> Result<Table> {
    let name = create.name.to_string();
    let mut columns = Vec::with_capacity(create.columns.len());
    let mut checks = Vec::new();
    for definition in &create.columns {
        let mut column = Column {
            name: definition.name.value.clone(),
            field: lower_camel_case(&definition.name.value),
            data_type: data_type(&definition.data_type)?,
            nullable: true,
            default: None,
        };
        for option in &definition.options {
            match &option.option {
                ColumnOption::NotNull => column.nullable = false,
                ColumnOption::Default(Expr::Value(value)) => column.default = value.clone().into_string(),
                ColumnOption::Check(check) => checks.push((*check.expr).clone()),
                other => return Err(invalid(format!("{name}.{}: {other} has no meaning here", column.name))),
            }
        }
        columns.push(column);
    }
    let place = |wanted: &str| {
        columns
            .iter()
            .position(|column: &Column| column.name == wanted)
            .ok_or_else(|| invalid(format!("{name} has no column {wanted}")))
    };
    let mut key = Vec::new();
    for constraint in &create.constraints {
        match constraint {
            TableConstraint::PrimaryKey(primary) => {
                for column in &primary.columns {
                    key.push(place(&column.column.expr.to_string())?);
                }
            }
            TableConstraint::Check(check) => checks.push((*check.expr).clone()),
            other => return Err(invalid(format!("{name}: {other} has no meaning here"))),
        }
    }
    if key.is_empty() {
        return Err(invalid(format!("{name} has no primary key")));
    }
    let partition = match &create.partition_by {
        None => None,
        Some(expr) => Some(place(expr.to_string().trim_matches(['(', ')']))?),
    };
    let version = place("version")?;
    // The sole key of a partitioned table has as many texts as the table has rows.
    if let ([only], Some(_)) = (key.as_slice(), partition) {
        columns[*only].data_type = Type::Id;
    }
    Ok(Table { id, topic: name.replace('_', "-"), name, columns, key, partition, checks, version })
}

fn data_type(declared: &DataType) -> Result<Type> {
    Ok(match declared {
        DataType::Text => Type::Text,
        DataType::BigInt(_) => Type::Integer,
        DataType::Boolean => Type::Boolean,
        DataType::Date => Type::Date,
        DataType::Timestamp(..) => Type::Timestamp,
        DataType::Decimal(ExactNumberInfo::PrecisionAndScale(precision, scale)) => {
            Type::Decimal { precision: *precision as u8, scale: *scale as u8 }
        }
        other => return Err(invalid(format!("a base column cannot be {other}"))),
    })
}

fn lower_camel_case(name: &str) -> String {
    let mut field = String::with_capacity(name.len());
    let mut upper = false;
    for character in name.chars() {
        match character {
            '_' => upper = true,
            _ if upper => {
                field.extend(character.to_uppercase());
                upper = false;
            }
            _ => field.push(character),
        }
    }
    field
}

fn invalid(message: String) -> Error {
    Error::invalid("SCHEMA", message)
}
