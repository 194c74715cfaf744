//! What a live view shows: typed rows in an order, and which of them the last epoch brought and took.
//!
//! A row is kept as the bytes of Arrow's row format, which are equal where rows are and compare as rows do.
//! Rows stand in the order of the query, or where it says none in that of their columns, nulls first.

use datafusion::arrow::array::{ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{Int64Type, SchemaRef};
use datafusion::arrow::row::{RowConverter, SortField};
use hashbrown::HashMap;

use super::factored::GroupKey;
use crate::error::{Error, Result};

type Bytes = Box<[u8]>;

/// A live view at the last epoch.
pub struct LiveResult {
    schema: SchemaRef,
    converter: RowConverter,
    /// The query orders its rows.
    ordered: bool,
    /// In order, where the plan runs over everything.
    rows: Vec<Bytes>,
    /// The row of each group, where it runs over touched groups.
    groups: HashMap<GroupKey, Bytes>,
    gone: Vec<Bytes>,
    come: Vec<Bytes>,
    error: Option<Error>,
    version: u64,
}

impl LiveResult {
    pub(super) fn new(schema: SchemaRef, ordered: bool) -> Result<LiveResult> {
        let fields = schema.fields().iter().map(|field| SortField::new(field.data_type().clone())).collect();
        let converter = RowConverter::new(fields).map_err(|error| {
            Error::unsupported(format!("the rows of the view have no order: {error}; select other columns"))
        })?;
        Ok(LiveResult {
            schema,
            converter,
            ordered,
            rows: Vec::new(),
            groups: HashMap::new(),
            gone: Vec::new(),
            come: Vec::new(),
            error: None,
            version: 0,
        })
    }

    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Whether the rows stand in an order that the query says.
    pub fn ordered(&self) -> bool {
        self.ordered
    }

    /// The view's rows.
    ///
    /// # Errors
    /// Why there are none at this epoch: the view is computed anew at the next.
    pub fn rows(&self) -> Result<RecordBatch> {
        match &self.error {
            Some(error) => Err(error.clone()),
            None if self.groups.is_empty() => self.batch(&self.rows),
            None => {
                let mut rows: Vec<Bytes> = self.groups.values().cloned().collect();
                rows.sort_unstable();
                self.batch(&rows)
            }
        }
    }

    /// Rows that the last epoch took, and rows that it brought; a row that changed is in both.
    pub fn changes(&self) -> Result<(RecordBatch, RecordBatch)> {
        Ok((self.batch(&self.gone)?, self.batch(&self.come)?))
    }

    pub fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }

    /// A number that is another one whenever the rows are, or their order.
    pub fn version(&self) -> u64 {
        self.version
    }

    pub fn len(&self) -> usize {
        self.rows.len() + self.groups.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn batch(&self, rows: &[Bytes]) -> Result<RecordBatch> {
        let parser = self.converter.parser();
        let columns = self.converter.convert_rows(rows.iter().map(|row| parser.parse(row)));
        let columns: Vec<ArrayRef> = columns.map_err(|error| Error::internal(error.to_string()))?;
        if columns.is_empty() {
            return Ok(RecordBatch::new_empty(self.schema.clone()));
        }
        RecordBatch::try_new(self.schema.clone(), columns).map_err(|error| Error::internal(error.to_string()))
    }

    /// Nothing of the view changed.
    pub(super) fn keep(&mut self) {
        self.gone.clear();
        self.come.clear();
    }

    pub(super) fn set(&mut self, batches: &[RecordBatch]) -> Result<()> {
        let mut rows = Vec::new();
        for batch in batches {
            let converted = self.converter.convert_columns(batch.columns());
            let converted = converted.map_err(|error| Error::internal(error.to_string()))?;
            rows.extend(converted.iter().map(|row| Bytes::from(row.as_ref())));
        }
        if !self.ordered {
            rows.sort_unstable();
        }
        self.replace(rows);
        self.error = None;
        Ok(())
    }

    /// Takes the rows of some groups: the last column of a row is the place of its group in `keys`. Groups that
    /// are gone, or make no row, have none; where these are `all`, so has every other.
    pub(super) fn set_groups(
        &mut self,
        batches: &[RecordBatch],
        keys: &[GroupKey],
        gone: Vec<GroupKey>,
        all: bool,
    ) -> Result<()> {
        let mut made: Vec<Option<Bytes>> = vec![None; keys.len()];
        for batch in batches {
            let (places, columns) = batch.columns().split_last().expect("the place of the group");
            let places = places.as_primitive::<Int64Type>();
            let converted = self.converter.convert_columns(columns);
            let converted = converted.map_err(|error| Error::internal(error.to_string()))?;
            for (row, &place) in converted.iter().zip(places.values()) {
                made[place as usize] = Some(Bytes::from(row.as_ref()));
            }
        }
        self.keep();
        let mut before = if all { std::mem::take(&mut self.groups) } else { HashMap::new() };
        for key in gone {
            self.gone.extend(self.groups.remove(&key));
        }
        for (key, row) in keys.iter().zip(made) {
            let was = if all { before.remove(key) } else { self.groups.remove(key) };
            if was != row {
                self.gone.extend(was);
                self.come.extend(row.clone());
            }
            if let Some(row) = row {
                self.groups.insert(key.clone(), row);
            }
        }
        self.gone.extend(before.into_values());
        // The order of a hash table is no order.
        self.gone.sort_unstable();
        self.come.sort_unstable();
        let healed = self.error.take().is_some();
        self.version += u64::from(healed || !self.gone.is_empty() || !self.come.is_empty());
        Ok(())
    }

    /// Shows no rows, and why.
    pub(super) fn fail(&mut self, error: Error) {
        self.rows.extend(self.groups.drain().map(|(_, row)| row));
        self.replace(Vec::new());
        self.version += u64::from(self.error.as_ref() != Some(&error));
        self.error = Some(error);
    }

    fn replace(&mut self, rows: Vec<Bytes>) {
        self.gone.clear();
        self.come.clear();
        if rows == self.rows && self.error.is_none() {
            return;
        }
        let (gone, come) = differences(&self.rows, &rows);
        (self.gone, self.come) = (gone, come);
        self.rows = rows;
        self.version += 1;
    }

    pub fn bytes(&self) -> usize {
        let groups = self.groups.iter().map(|(key, row)| key.len() * 16 + row.len() + 40);
        self.rows.iter().map(|row| row.len() + 16).chain(groups).sum()
    }
}

/// What is in one of two collections of rows and not in the other.
fn differences(before: &[Bytes], after: &[Bytes]) -> (Vec<Bytes>, Vec<Bytes>) {
    let mut weights: HashMap<&Bytes, i64> = HashMap::with_capacity(after.len());
    after.iter().for_each(|row| *weights.entry(row).or_default() += 1);
    before.iter().for_each(|row| *weights.entry(row).or_default() -= 1);
    let mut take = |all: &[Bytes], sign: i64| {
        let mut taken = Vec::new();
        for row in all {
            let weight = weights.get_mut(row).expect("it was counted");
            if *weight * sign > 0 {
                *weight -= sign;
                taken.push(row.clone());
            }
        }
        taken
    };
    (take(before, -1), take(after, 1))
}
