//! A view made by hand: rows, cells and total are what the test says.

use tickview::view::result::{Cell, Column, Form, Heading, RowId, Unit, ViewResult};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FakeRow {
    pub id: u64,
    pub heading: Heading,
    pub cells: Vec<Cell>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FakeResult {
    pub columns: Vec<Column>,
    pub rows: Vec<FakeRow>,
    pub total: Vec<Cell>,
}

impl FakeResult {
    /// A view without rows whose columns are decimals of scale 2.
    pub fn new(columns: usize) -> FakeResult {
        let column = |n| Column { name: format!("c{n}"), form: Form::Decimal { scale: 2 }, unit: Unit::Money };
        FakeResult {
            columns: (0..columns).map(column).collect(),
            rows: Vec::new(),
            total: vec![Cell::EMPTY; columns],
        }
    }

    /// Adds a row `key`, its values in hundredths.
    pub fn with(mut self, key: &str, values: &[i128]) -> FakeResult {
        let heading =
            Heading { key: vec![Some(key.to_owned())], label: None, depth: 1, expandable: false };
        let id = self.rows.len() as u64;
        self.rows.push(FakeRow { id, heading, cells: values.iter().map(|&v| Cell::new(v)).collect() });
        self
    }

    fn row(&self, id: RowId) -> &FakeRow {
        self.rows.iter().find(|row| row.id == id.0).expect("the row is in the result")
    }
}

impl ViewResult for FakeResult {
    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn size(&self) -> usize {
        self.rows.len()
    }

    fn rows(&self, from: usize, to: usize, into: &mut Vec<RowId>) {
        let to = to.min(self.rows.len());
        into.extend(self.rows[from.min(to)..to].iter().map(|row| RowId(row.id)));
    }

    fn heading(&self, row: RowId) -> Heading {
        self.row(row).heading.clone()
    }

    fn cells(&self, row: RowId, into: &mut Vec<Cell>) {
        into.extend_from_slice(&self.row(row).cells);
    }

    fn total(&self, into: &mut Vec<Cell>) {
        into.extend_from_slice(&self.total);
    }
}
