//! What a view shows: rows in display order, cells with a quality, a total. The seam between the engine
//! and everything that compares, sends or prints results.

use crate::datum::{Datum, NULL};

/// How far a value can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Quality {
    #[default]
    Ok,
    /// A price behind it is older than its limit.
    Stale,
    /// So many positions behind it have no price; the value is the sum of the others.
    Partial(u64),
    /// Nothing behind it has a price; there is no value.
    Missing,
}

impl std::fmt::Display for Quality {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Quality::Ok => f.write_str("OK"),
            Quality::Stale => f.write_str("STALE"),
            Quality::Partial(positions) => write!(f, "PARTIAL:{positions}"),
            Quality::Missing => f.write_str("MISSING"),
        }
    }
}

/// A value as an integer that its [`Column`] scales, and its quality.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cell {
    /// [`NULL`] is "no value".
    pub value: Datum,
    pub quality: Quality,
}

impl Cell {
    pub const EMPTY: Cell = Cell { value: NULL, quality: Quality::Ok };

    pub fn new(value: Datum) -> Cell {
        Cell { value, quality: Quality::Ok }
    }
}

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Amounts of the reporting currency.
    Money,
    /// Amounts of the row's own currency.
    Local,
    /// Amounts of the base currency of the row's account.
    Base,
    Quantity,
    Price,
    /// A share of NAV: 1 is all of it.
    Weight,
    Count,
    Time,
    Text,
}

impl Unit {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Money => "money",
            Unit::Local => "local",
            Unit::Base => "base",
            Unit::Quantity => "quantity",
            Unit::Price => "price",
            Unit::Weight => "weight",
            Unit::Count => "count",
            Unit::Time => "time",
            Unit::Text => "text",
        }
    }
}

/// How the datums of a column become text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// An integer scaled by `10^scale`.
    Decimal { scale: u8 },
    /// Microseconds since 1970, written as ISO 8601 in UTC.
    Time,
    /// Days since 1970, written as ISO 8601.
    Date,
    /// A code of the dictionary of names.
    Name,
    /// A code of a table's own dictionary of keys.
    Id { table: crate::schema::TableId },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub form: Form,
    pub unit: Unit,
}

/// A row's identity within one view: stable while the row exists, whatever its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowId(pub u64);

/// What stands at the head of a row.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Heading {
    /// The group's path, one name or null a level; for row-level views the primary key.
    pub key: Vec<Option<String>>,
    /// The name to show where it differs from the last of the key.
    pub label: Option<String>,
    /// 1 for the outermost groups.
    pub depth: usize,
    pub expandable: bool,
}

/// A view at one epoch. Row-level views may have millions of rows: cells are computed when asked for.
pub trait ViewResult {
    fn columns(&self) -> &[Column];

    /// How many rows are shown, over all windows.
    fn size(&self) -> usize;

    /// Appends the rows at positions `from..to` (cut at [`Self::size`]) in display order.
    fn rows(&self, from: usize, to: usize, into: &mut Vec<RowId>);

    /// # Panics
    /// Where the row is not in the result.
    fn heading(&self, row: RowId) -> Heading;

    /// Whether the row's heading is this one: asked of every row of a window at every tick, so a view
    /// with many readers answers it without building the heading.
    ///
    /// # Panics
    /// Where the row is not in the result.
    fn has_heading(&self, row: RowId, heading: &Heading) -> bool {
        self.heading(row) == *heading
    }

    /// Appends one cell a column.
    ///
    /// # Panics
    /// Where the row is not in the result.
    fn cells(&self, row: RowId, into: &mut Vec<Cell>);

    /// Appends one cell a column.
    fn total(&self, into: &mut Vec<Cell>);
}
