//! The base tables: keyed rows in columns, split by account, with one writer and many readers.
//!
//! [`Tables::apply`] takes a tick's records in the fixed order of the schema and says which rows went and
//! which came; everything else is derived from that. A record with a version that its row has already, or
//! a lower one, changes nothing. Rows dated after the business date are held until it moves.
//! It computes nothing and knows no price.

pub mod chunk;
pub mod coded;
pub mod homes;
pub mod partition;
pub mod restore;
pub mod snapshot;

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::{HashMap, HashTable};

use self::chunk::ColumnChunk;
use self::homes::{Home, Homes};
use self::partition::{Partition, Row, Rows, hash_key};
use self::snapshot::{BLOCK, TableSnapshot};
use crate::datum::{Datum, NULL};
use crate::delta::{Changes, Op};
use crate::dictionary::{Code, EMPTY};
use crate::prefetch::prefetch;
use crate::schema::{Schema, Table, TableId, Type};

/// A business date in days since 1970, once there is one.
pub type Day = Option<i32>;

/// A partition's number, the same in every partitioned table: accounts in order of first appearance.
pub type PartitionId = u32;

/// Changed rows of a broadcast table that are written together, column by column: of 9 columns, what stood
/// there before and stands there after takes 36 kilobytes, which is at hand in the core's cache.
const EDITS_MAX: usize = 128;

/// Records whose rows are asked for together: of 18 columns they are about 600 cache lines, 40 kilobytes.
const ROWS_AHEAD: usize = 16;

/// Datums of a tick's delta that are kept to be written over by the next: 8 megabytes.
const SPARE_DATUMS_MAX: usize = 1 << 19;

/// Dense numbers for the codes of one domain, such as the accounts among all names.
#[derive(Debug, Default, Clone)]
pub struct Domain {
    codes: Arc<Vec<Code>>,
    numbers: Vec<u32>,
}

impl Domain {
    /// The number of a code, which is new the first time it is seen.
    #[inline]
    pub fn number(&mut self, code: Code) -> u32 {
        if let Some(number) = self.find(code) {
            return number;
        }
        let at = code as usize;
        if self.numbers.len() <= at {
            self.numbers.resize((at + 1).next_power_of_two(), u32::MAX);
        }
        let number = self.codes.len() as u32;
        self.numbers[at] = number;
        Arc::make_mut(&mut self.codes).push(code);
        number
    }

    #[inline]
    pub fn find(&self, code: Code) -> Option<u32> {
        self.numbers.get(code as usize).copied().filter(|&number| number != u32::MAX)
    }

    /// The codes in the order of their numbers.
    pub fn codes(&self) -> &Arc<Vec<Code>> {
        &self.codes
    }

    pub fn len(&self) -> usize {
        self.codes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }
}

/// Rows of one table that went or came, whole, one after another.
#[derive(Debug, Default)]
pub struct RowSet {
    pub data: Vec<Datum>,
    pub partitions: Vec<PartitionId>,
}

impl RowSet {
    pub fn len(&self) -> usize {
        self.partitions.len()
    }

    pub fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }

    pub fn clear(&mut self) {
        self.data.clear();
        self.partitions.clear();
    }
}

/// What one tick did to one table: a changed row both went and came.
#[derive(Debug, Default)]
pub struct TableDelta {
    pub gone: RowSet,
    pub come: RowSet,
    /// Where the rows stand that both went and came, in their order.
    pub at: Vec<Row>,
    /// Of a broadcast table, by column: whether any of those rows has another value in it.
    pub columns: Vec<bool>,
    /// A row was deleted, so that others may stand in other places.
    pub deleted: bool,
}

impl TableDelta {
    pub fn is_empty(&self) -> bool {
        self.gone.is_empty() && self.come.is_empty()
    }

    /// Empties it; what would take much memory for nothing is let go.
    fn clear(&mut self) {
        for rows in [&mut self.gone, &mut self.come] {
            rows.clear();
            rows.data.shrink_to(SPARE_DATUMS_MAX);
            rows.partitions.shrink_to(SPARE_DATUMS_MAX);
        }
        self.at.clear();
        self.columns.clear();
        self.deleted = false;
    }
}

/// Which rows of a broadcast table one tick changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    None,
    /// Rows that stand where they stood, and by column whether any of them has another value.
    Rows {
        rows: Vec<Row>,
        columns: Vec<bool>,
    },
    /// Rows came or went.
    Whole,
}

/// What one tick did to the base tables.
#[derive(Debug, Default)]
pub struct Delta {
    /// By table.
    pub tables: Vec<TableDelta>,
    /// The business date before, where it moved.
    pub day_before: Option<Day>,
    /// Records that changed nothing, because their row has their version or a higher one.
    pub outdated: u64,
}

struct Store {
    partitions: Vec<Partition>,
    /// Where the row of each key stands, for tables whose key is one text; others find it by a hash of the key.
    homes: Option<Homes>,
    published: TableSnapshot,
    /// Partitions that changed since the last snapshot.
    touched: Vec<PartitionId>,
    /// By partition: whether it is among them.
    is_touched: Vec<bool>,
    rows: usize,
    /// What stands in the last snapshot for a partition that is being changed.
    none: Arc<Rows>,
}

impl Store {
    fn new(table: &Table) -> Store {
        let texts = |column: usize| matches!(table.columns[column].data_type, Type::Text | Type::Id);
        let coded = matches!(table.key.as_slice(), [only] if texts(*only));
        let mut store = Store {
            partitions: Vec::new(),
            homes: coded.then(Homes::default),
            published: TableSnapshot::default(),
            touched: Vec::new(),
            is_touched: Vec::new(),
            rows: 0,
            none: Arc::default(),
        };
        if table.partition.is_none() {
            store.reach(0);
            store.touch(0);
        }
        store
    }

    /// Makes the partitions up to one.
    #[inline]
    fn reach(&mut self, partition: PartitionId) {
        if self.partitions.len() <= partition as usize {
            self.partitions.resize_with(partition as usize + 1, Partition::default);
            self.is_touched.resize(partition as usize + 1, false);
        }
    }

    /// To be called before a partition changes: where no reader holds the last snapshot, its rows are
    /// changed in place.
    #[inline]
    fn touch(&mut self, partition: PartitionId) {
        let at = partition as usize;
        if std::mem::replace(&mut self.is_touched[at], true) {
            return;
        }
        self.touched.push(partition);
        let block = self.published.blocks.get_mut(at / BLOCK).and_then(Arc::get_mut);
        if let Some(rows) = block.and_then(|block| block.get_mut(at % BLOCK)) {
            *rows = Arc::clone(&self.none);
        }
    }

    /// Removes a row.
    fn remove(&mut self, table: &Table, home: Home) {
        self.touch(home.partition);
        let partition = &mut self.partitions[home.partition as usize];
        let Some(homes) = &mut self.homes else {
            partition.remove(table, home.row);
            return;
        };
        homes.remove(partition.rows().get(home.row, table.key[0]) as usize);
        if partition.remove(table, home.row).is_some() {
            // The last row stands here now.
            homes.set(partition.rows().get(home.row, table.key[0]) as usize, home);
        }
    }
}

/// Bytes that a table has allocated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TableBytes {
    pub columns: usize,
    /// What finds the row of a key.
    pub index: usize,
}

/// The base tables as their one writer holds them.
pub struct Tables {
    schema: Arc<Schema>,
    stores: Vec<Store>,
    pub accounts: Domain,
    pub instruments: Domain,
    pub currencies: Domain,
    day: Day,
    /// SOD rows by date, for the switch.
    holdings_by_day: BTreeMap<i32, u64>,
    /// Records dated after the business date: date, then table and key, to the row.
    held: BTreeMap<i32, HashMap<(TableId, Vec<Datum>), Vec<Datum>>>,
    ids: Ids,
    /// Where each table's columns name accounts, instruments and currencies.
    named: Vec<Vec<(usize, Named)>>,
    /// A delta of before, to be written over.
    spare: Delta,
    /// The run of before, empty.
    run: Run,
}

/// The tables and columns the business day depends on.
struct Ids {
    holding: TableId,
    holding_date: usize,
    date: TableId,
    date_value: usize,
    date_holdings: usize,
    /// By table: the column that dates its rows, where rows dated after D wait.
    dated: Vec<Option<usize>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    Account,
    Instrument,
    Currency,
}

impl Tables {
    pub fn new(schema: Arc<Schema>) -> Tables {
        let holding = schema.table("base.sod_holding");
        let date = schema.table("base.business_date");
        let dated = schema
            .tables
            .iter()
            .map(|table| {
                let waits = matches!(table.name.as_str(), "base.order_events" | "base.cash_movement");
                waits.then(|| table.column("business_date"))
            })
            .collect();
        let ids = Ids {
            holding: holding.id,
            holding_date: holding.column("business_date"),
            date: date.id,
            date_value: date.column("business_date"),
            date_holdings: date.column("holdings"),
            dated,
        };
        let stores = schema.tables.iter().map(Store::new).collect();
        let named = schema.tables.iter().map(named_columns).collect();
        Tables {
            stores,
            accounts: Domain::default(),
            instruments: Domain::default(),
            currencies: Domain::default(),
            day: None,
            holdings_by_day: BTreeMap::new(),
            held: BTreeMap::new(),
            ids,
            named,
            spare: Delta::default(),
            run: Run::default(),
            schema,
        }
    }

    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    pub fn day(&self) -> Day {
        self.day
    }

    /// The next business date, how many of its holdings have arrived and how many complete it.
    pub fn rollover(&self) -> Option<(i32, u64, u64)> {
        let (date, wanted) = self.announced()?;
        (self.day.is_none_or(|day| date > day)).then(|| (date, self.arrived(date), wanted))
    }

    /// Rows of a table, over all partitions.
    pub fn len(&self, table: TableId) -> usize {
        self.stores[table].rows
    }

    pub fn is_empty(&self, table: TableId) -> bool {
        self.len(table) == 0
    }

    /// Records that wait for their business date.
    pub fn held(&self) -> usize {
        self.held.values().map(HashMap::len).sum()
    }

    /// The rows that wait for their business date, each with its table.
    pub fn waiting(&self) -> Vec<(TableId, Vec<Datum>)> {
        let due = self.held.values().flatten();
        due.map(|((table, _), row)| (*table, row.clone())).collect()
    }

    /// The partitions of a table as they stand.
    pub fn partitions(&self, table: TableId) -> impl Iterator<Item = &Arc<Rows>> {
        self.stores[table].partitions.iter().map(Partition::rows)
    }

    pub fn partition(&self, table: TableId, partition: PartitionId) -> Option<&Arc<Rows>> {
        self.stores[table].partitions.get(partition as usize).map(Partition::rows)
    }

    /// The row of a key in a broadcast table.
    pub fn find(&self, table: TableId, mut key: impl Iterator<Item = Datum> + Clone) -> Option<Row> {
        let store = &self.stores[table];
        match &store.homes {
            // No code is negative, and none is null.
            Some(homes) => homes.get(usize::try_from(key.next()?).ok()?).map(|home| home.row),
            None => store.partitions[0].find(&self.schema.tables[table], key),
        }
    }

    /// Which rows of a broadcast table a tick changed.
    pub fn reach(&self, delta: &TableDelta) -> Reach {
        if delta.is_empty() {
            return Reach::None;
        }
        if delta.deleted || delta.at.len() != delta.come.len() {
            return Reach::Whole;
        }
        Reach::Rows { rows: delta.at.clone(), columns: delta.columns.clone() }
    }

    /// Takes a delta back that was read, so that the next needs no memory of its own.
    pub fn recycle(&mut self, mut delta: Delta) {
        delta.tables.iter_mut().for_each(TableDelta::clear);
        self.spare = Delta { tables: delta.tables, ..Delta::default() };
    }

    /// Applies a tick's records, table by table in the order of the schema, then moves the business date
    /// where its holdings are complete.
    ///
    /// Cost: O(records); no row is visited that no record names, but at a switch of the business date.
    pub fn apply(&mut self, changes: &[Changes]) -> Delta {
        let schema = Arc::clone(&self.schema);
        let mut delta = std::mem::take(&mut self.spare);
        delta.tables.resize_with(schema.tables.len(), TableDelta::default);
        for table in &schema.tables {
            for batch in changes.iter().filter(|batch| batch.table == table.id) {
                self.apply_batch(table, batch, &mut delta);
            }
            // Orders and movements of the tick are compared with the date after the tick's holdings.
            if table.id == self.ids.holding.max(self.ids.date) {
                self.move_day(&mut delta);
            }
        }
        delta
    }

    fn apply_batch(&mut self, table: &Table, batch: &Changes, delta: &mut Delta) {
        let mut run = std::mem::take(&mut self.run);
        // A load comes in cuts of megabytes, which are not to be copied again and again as they grow.
        delta.tables[table.id].come.data.reserve(batch.len() * table.columns.len());
        for (at, (op, row)) in batch.iter().enumerate() {
            if at.is_multiple_of(ROWS_AHEAD) {
                self.ask(table, batch.rows(at..at + ROWS_AHEAD));
            }
            match op {
                Op::Upsert => {
                    self.name(table, row);
                    if let Some(column) = self.ids.dated[table.id]
                        && self.day.is_none_or(|day| row[column] > Datum::from(day))
                    {
                        self.hold(table, row[column] as i32, row, delta);
                        continue;
                    }
                    if table.id == self.ids.holding
                        && self.day.is_some_and(|day| row[self.ids.holding_date] < Datum::from(day))
                    {
                        // A holding's date is part of its key: one of a past day never counts again.
                        delta.outdated += 1;
                        continue;
                    }
                    self.upsert(table, row, &mut run, delta);
                    if table.id == self.ids.date {
                        // Each date in turn: one that is announced and incomplete does not hide the one before.
                        self.flush(table, &mut run, delta);
                        self.move_day(delta);
                    }
                }
                Op::Delete => {
                    self.flush(table, &mut run, delta);
                    self.unhold(table, row);
                    self.delete(table, row, delta);
                }
            }
        }
        self.flush(table, &mut run, delta);
        self.run = run;
    }

    /// Asks for the memory of the rows that some records are about, and where new ones will stand.
    fn ask<'a>(&self, table: &Table, records: impl Iterator<Item = &'a [Datum]> + Clone) {
        let store = &self.stores[table.id];
        let (Some(homes), Some(account)) = (&store.homes, table.partition) else { return };
        records.clone().for_each(|record| homes.prefetch(record[table.key[0]] as usize));
        let mut places = [None; ROWS_AHEAD];
        for (place, record) in places.iter_mut().zip(records) {
            *place = match homes.get(record[table.key[0]] as usize) {
                Some(home) => store.partitions[home.partition as usize].rows().place(home.row),
                None => self.accounts.find(record[account] as Code).and_then(|partition| {
                    let rows = store.partitions.get(partition as usize)?.rows();
                    rows.place(rows.len().checked_sub(1)? as Row)
                }),
            };
        }
        let chunks = || places.iter().flatten();
        chunks().for_each(|(chunk, _)| prefetch(*chunk));
        chunks().for_each(|(chunk, _)| chunk.prefetch_columns());
        chunks().for_each(|(chunk, _)| chunk.columns.iter().for_each(ColumnChunk::prefetch));
        chunks().for_each(|&(chunk, row)| chunk.columns.iter().for_each(|column| column.prefetch_value(row)));
    }

    /// Numbers the accounts, instruments and currencies that a record names.
    fn name(&mut self, table: &Table, row: &[Datum]) {
        for &(column, named) in &self.named[table.id] {
            let datum = row[column];
            if datum == NULL {
                continue;
            }
            match named {
                Named::Account => self.accounts.number(datum as Code),
                Named::Instrument => self.instruments.number(datum as Code),
                Named::Currency => {
                    // Cash in a currency is an instrument with the currency's code.
                    self.instruments.number(datum as Code);
                    self.currencies.number(datum as Code)
                }
            };
        }
    }

    /// Writes a record unless its row is as new. New rows wait in `run`, to be appended together; so do
    /// changed rows of a broadcast table, to be written together.
    fn upsert(&mut self, table: &Table, row: &[Datum], run: &mut Run, delta: &mut Delta) {
        let partition = self.partition_of(table, row);
        if run.partition != Some(partition) {
            self.flush(table, run, delta);
        }
        let mut found = self.find_home(table, row);
        let store = &self.stores[table.id];
        let waits = match &store.homes {
            // Its place is known, and no row stands there yet.
            Some(_) => found.is_some_and(|Home { partition, row }| {
                row as usize >= store.partitions[partition as usize].rows().len()
            }),
            None => run.holds(table, row),
        };
        if waits {
            self.flush(table, run, delta);
            found = self.find_home(table, row);
        }
        run.partition = Some(partition);
        let Some(home) = found else {
            let at = run.push(table, row);
            let store = &mut self.stores[table.id];
            if let Some(homes) = &mut store.homes {
                let row_number = store.partitions[partition as usize].rows().len() as Row + at;
                homes.set(row[table.key[0]] as usize, Home { partition, row: row_number });
            }
            return;
        };
        // One change of a row after the other; and new rows have their places before one moves in after them.
        if home.partition != partition || run.edits(home.row) {
            self.flush(table, run, delta);
        }
        let store = &mut self.stores[table.id];
        let rows = store.partitions[home.partition as usize].rows();
        if rows.get(home.row, table.version) >= row[table.version] {
            delta.outdated += 1;
            return;
        }
        let change = &mut delta.tables[table.id];
        change.come.data.extend_from_slice(row);
        change.come.partitions.push(partition);
        change.at.push(home.row);
        if table.partition.is_none() {
            run.edit(home.row);
            if run.edited.len() == EDITS_MAX {
                self.flush(table, run, delta);
            }
            return;
        }
        let start = change.gone.data.len();
        rows.read(home.row, &mut change.gone.data);
        change.gone.partitions.push(home.partition);
        store.touch(home.partition);
        if home.partition == partition {
            store.partitions[home.partition as usize].update(home.row, &change.gone.data[start..], row);
            return;
        }
        store.remove(table, home);
        store.touch(partition);
        let moved = &mut store.partitions[partition as usize];
        let at = moved.rows().len() as Row;
        moved.append(table, row);
        if let Some(homes) = &mut store.homes {
            homes.set(row[table.key[0]] as usize, Home { partition, row: at });
        }
    }

    fn delete(&mut self, table: &Table, key_row: &[Datum], delta: &mut Delta) {
        let Some(home) = self.find_home(table, key_row) else { return };
        let change = &mut delta.tables[table.id];
        change.deleted = true;
        let start = change.gone.data.len();
        let store = &mut self.stores[table.id];
        store.partitions[home.partition as usize].rows().read(home.row, &mut change.gone.data);
        change.gone.partitions.push(home.partition);
        store.remove(table, home);
        store.rows -= 1;
        if table.id == self.ids.holding {
            let date = change.gone.data[start + self.ids.holding_date] as i32;
            self.count_holding(date, -1);
        }
    }

    fn flush(&mut self, table: &Table, run: &mut Run, delta: &mut Delta) {
        let width = table.columns.len();
        let change = &mut delta.tables[table.id];
        let store = &mut self.stores[table.id];
        if !run.edited.is_empty() {
            let edits = run.edited.len();
            let come = &change.come.data[change.come.data.len() - edits * width..];
            let start = change.gone.data.len();
            change.gone.data.resize(start + edits * width, NULL);
            change.gone.partitions.resize(change.gone.partitions.len() + edits, 0);
            change.columns.resize(width, false);
            store.touch(0);
            let gone = &mut change.gone.data[start..];
            store.partitions[0].exchange(&run.edited, come, gone, &mut change.columns);
            run.end_edits();
        }
        let Some(partition) = run.partition.take() else { return };
        if run.data.is_empty() {
            return;
        }
        let rows = run.data.len() / width;
        store.touch(partition);
        store.partitions[partition as usize].append(table, &run.data);
        store.rows += rows;
        change.come.data.extend_from_slice(&run.data);
        change.come.partitions.resize(change.come.partitions.len() + rows, partition);
        if table.id == self.ids.holding {
            for row in run.data.chunks_exact(width) {
                self.count_holding(row[self.ids.holding_date] as i32, 1);
            }
        }
        run.data.clear();
        run.data.shrink_to(SPARE_DATUMS_MAX);
        run.index.clear();
    }

    #[inline]
    fn partition_of(&mut self, table: &Table, row: &[Datum]) -> PartitionId {
        let Some(column) = table.partition else { return 0 };
        let partition = self.accounts.number(row[column] as Code);
        self.stores[table.id].reach(partition);
        partition
    }

    /// Where the row of a key stands, if anywhere: told by the key, or remembered.
    #[inline]
    fn find_home(&self, table: &Table, key_row: &[Datum]) -> Option<Home> {
        let store = &self.stores[table.id];
        if let Some(homes) = &store.homes {
            return homes.get(key_row[table.key[0]] as usize);
        }
        let partition = match table.partition {
            Some(column) => self.accounts.find(key_row[column] as Code)?,
            None => 0,
        };
        let key = table.key.iter().map(|&column| key_row[column]);
        let row = store.partitions.get(partition as usize)?.find(table, key)?;
        Some(Home { partition, row })
    }

    /// Keeps the newest record of each key and date until its date comes.
    fn hold(&mut self, table: &Table, date: i32, row: &[Datum], delta: &mut Delta) {
        let key = table.key.iter().map(|&column| row[column]).collect();
        match self.held.entry(date).or_default().entry((table.id, key)) {
            hashbrown::hash_map::Entry::Vacant(vacant) => {
                vacant.insert(row.to_vec());
            }
            hashbrown::hash_map::Entry::Occupied(mut found)
                if found.get()[table.version] < row[table.version] =>
            {
                found.insert(row.to_vec());
            }
            hashbrown::hash_map::Entry::Occupied(_) => delta.outdated += 1,
        }
    }

    /// A tombstone ends the life of a key, with all its records that still wait.
    fn unhold(&mut self, table: &Table, key_row: &[Datum]) {
        if self.ids.dated[table.id].is_none() || self.held.is_empty() {
            return;
        }
        let key = (table.id, table.key.iter().map(|&column| key_row[column]).collect::<Vec<_>>());
        self.held.retain(|_, rows| {
            rows.remove(&key);
            !rows.is_empty()
        });
    }

    fn count_holding(&mut self, date: i32, weight: i64) {
        let count = self.holdings_by_day.entry(date).or_default();
        *count = count.checked_add_signed(weight).expect("no more holdings go than came");
    }

    fn arrived(&self, date: i32) -> u64 {
        self.holdings_by_day.get(&date).copied().unwrap_or(0)
    }

    /// The business date that its topic announces, with the number of holdings that completes it.
    fn announced(&self) -> Option<(i32, u64)> {
        let rows = self.stores[self.ids.date].partitions[0].rows();
        (!rows.is_empty()).then(|| {
            let wanted = rows.get(0, self.ids.date_holdings).max(0) as u64;
            (rows.get(0, self.ids.date_value) as i32, wanted)
        })
    }

    /// Moves the business date forward where the next one is complete, and lets what waited for it in.
    fn move_day(&mut self, delta: &mut Delta) {
        let next = match self.announced() {
            Some((date, wanted)) => (self.arrived(date) >= wanted).then_some(date),
            None => self.holdings_by_day.iter().rev().find(|(_, count)| **count > 0).map(|(date, _)| *date),
        };
        let Some(next) = next.filter(|&next| self.day.is_none_or(|day| next > day)) else { return };
        delta.day_before.get_or_insert(self.day);
        self.day = Some(next);
        self.retire_holdings(next, delta);
        let later = self.held.split_off(&(next + 1));
        let due = std::mem::replace(&mut self.held, later);
        let schema = Arc::clone(&self.schema);
        for (_, rows) in due {
            let mut rows: Vec<_> = rows.into_iter().collect();
            // The order of a hash table is no order: keys are applied in theirs.
            rows.sort_unstable_by(|a, b| a.0.cmp(&b.0));
            for ((table, _), row) in rows {
                let table = &schema.tables[table];
                let mut run = Run::default();
                self.upsert(table, &row, &mut run, delta);
                self.flush(table, &mut run, delta);
            }
        }
    }

    /// Drops the holdings of past days: their date is in their key, so they can never count again.
    fn retire_holdings(&mut self, day: i32, delta: &mut Delta) {
        let schema = Arc::clone(&self.schema);
        let table = &schema.tables[self.ids.holding];
        let store = &mut self.stores[table.id];
        let change = &mut delta.tables[table.id];
        let width = table.columns.len();
        for number in 0..store.partitions.len() {
            let rows = Arc::clone(store.partitions[number].rows());
            let mut kept = Vec::new();
            for row in 0..rows.len() as Row {
                if rows.get(row, self.ids.holding_date) < Datum::from(day) {
                    rows.read(row, &mut change.gone.data);
                    change.gone.partitions.push(number as PartitionId);
                } else {
                    rows.read(row, &mut kept);
                }
            }
            if kept.len() == rows.len() * width {
                continue;
            }
            store.rows -= rows.len() - kept.len() / width;
            store.touch(number as PartitionId);
            store.partitions[number] = Partition::default();
            store.partitions[number].append(table, &kept);
        }
        self.holdings_by_day = self.holdings_by_day.split_off(&day);
    }

    /// The tables as readers may hold them from now on.
    ///
    /// Cost: the pointers of the touched blocks of partitions.
    pub fn publish(&mut self) -> Vec<TableSnapshot> {
        self.stores
            .iter_mut()
            .map(|store| {
                for partition in store.touched.drain(..) {
                    let at = partition as usize;
                    store.is_touched[at] = false;
                    let blocks = &mut store.published.blocks;
                    while blocks.len() * BLOCK <= at {
                        blocks.push(Arc::new(Vec::new()));
                    }
                    let block = Arc::make_mut(&mut blocks[at / BLOCK]);
                    // Numbers below `at` that this table has not seen yet are empty partitions.
                    while block.len() <= at % BLOCK {
                        block.push(Arc::default());
                    }
                    block[at % BLOCK] = Arc::clone(store.partitions[at].rows());
                }
                store.published.rows = store.rows;
                store.published.clone()
            })
            .collect()
    }

    /// Bytes of all columns and indexes.
    pub fn bytes(&self) -> usize {
        let tables = (0..self.stores.len()).map(|table| self.table_bytes(table));
        tables.map(|bytes| bytes.columns + bytes.index).sum()
    }

    /// Bytes of the columns and the index of one table.
    ///
    /// Cost: O(chunks).
    pub fn table_bytes(&self, table: TableId) -> TableBytes {
        let store = &self.stores[table];
        let partitions = || store.partitions.iter();
        TableBytes {
            columns: store.partitions.capacity() * size_of::<Partition>()
                + partitions().map(|partition| partition.rows().bytes()).sum::<usize>(),
            index: store.homes.as_ref().map_or(0, Homes::bytes)
                + partitions().map(Partition::index_bytes).sum::<usize>(),
        }
    }
}

/// What waits to be written in one go: new rows of one partition, or changed ones of a broadcast table.
#[derive(Default)]
struct Run {
    partition: Option<PartitionId>,
    data: Vec<Datum>,
    /// Row numbers within the run by the hash of their key, where no code says where a key's row is.
    index: HashTable<u32>,
    /// Rows of a broadcast table that change: their new values are the last that came.
    edited: Vec<Row>,
    /// By row, whether it is among them.
    is_edited: Vec<bool>,
}

impl Run {
    fn holds(&self, table: &Table, row: &[Datum]) -> bool {
        if self.data.is_empty() {
            return false;
        }
        let width = table.columns.len();
        let same = |&at: &u32| {
            let held = &self.data[at as usize * width..][..width];
            table.key.iter().all(|&column| held[column] == row[column])
        };
        self.index.find(hash_key(table.key.iter().map(|&column| row[column])), same).is_some()
    }

    /// Adds a new row and returns its number within the run.
    fn push(&mut self, table: &Table, row: &[Datum]) -> u32 {
        let width = table.columns.len();
        let at = (self.data.len() / width) as u32;
        self.data.extend_from_slice(row);
        if table.key.len() > 1 {
            let Run { data, index, .. } = self;
            let hash = |row: &[Datum]| hash_key(table.key.iter().map(|&column| row[column]));
            index.insert_unique(hash(row), at, |&at| hash(&data[at as usize * width..][..width]));
        }
        at
    }

    fn edits(&self, row: Row) -> bool {
        self.is_edited.get(row as usize).is_some_and(|&edited| edited)
    }

    fn edit(&mut self, row: Row) {
        if self.is_edited.len() <= row as usize {
            self.is_edited.resize(row as usize + 1, false);
        }
        self.is_edited[row as usize] = true;
        self.edited.push(row);
    }

    fn end_edits(&mut self) {
        self.edited.drain(..).for_each(|row| self.is_edited[row as usize] = false);
    }
}

/// Which columns name an account, an instrument or a currency: any topic that names one makes it known.
fn named_columns(table: &Table) -> Vec<(usize, Named)> {
    let named = |name: &str| match name {
        "account_id" => Some(Named::Account),
        "instrument_id" | "underlying_id" => Some(Named::Instrument),
        "currency" | "base_currency" | "from_currency" | "to_currency" => Some(Named::Currency),
        _ => None,
    };
    table.columns.iter().enumerate().filter_map(|(at, column)| Some((at, named(&column.name)?))).collect()
}

/// Whether a name is the code of a currency, which is cash unless an instrument of that name is declared.
pub fn is_currency_code(text: &str) -> bool {
    text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

const _: () = assert!(EMPTY == 0, "an unsleeved portfolio is the empty text");
