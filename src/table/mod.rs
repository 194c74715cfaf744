//! The base tables: keyed rows in Arrow columns, split by account, with one writer and many readers.
//!
//! [`Tables::apply`] takes a tick's records in the fixed order of the schema and says which rows went and
//! which came; everything else is derived from that. A record with a version that its row has already, or
//! a lower one, changes nothing. Rows dated after the business date are held until it moves.
//! It computes nothing and knows no price.

pub mod chunk;
pub mod partition;
pub mod snapshot;

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::{HashMap, HashTable};

use self::partition::{Partition, Row, Rows, hash_key};
use self::snapshot::{BLOCK, TableSnapshot};
use crate::datum::{Datum, NULL};
use crate::delta::{Changes, Op};
use crate::dictionary::{Code, EMPTY};
use crate::schema::{Schema, Table, TableId, Type};

/// A business date in days since 1970, once there is one.
pub type Day = Option<i32>;

/// A partition's number, the same in every partitioned table: accounts in order of first appearance.
pub type PartitionId = u32;

const NOWHERE: PartitionId = PartitionId::MAX;

/// Dense numbers for the codes of one domain, such as the accounts among all names.
#[derive(Debug, Default, Clone)]
pub struct Domain {
    codes: Arc<Vec<Code>>,
    numbers: Vec<u32>,
}

impl Domain {
    /// The number of a code, which is new the first time it is seen.
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
    /// A row was deleted, so that others may stand in other places.
    pub deleted: bool,
}

impl TableDelta {
    pub fn is_empty(&self) -> bool {
        self.gone.is_empty() && self.come.is_empty()
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
    /// The partition of each key, for tables whose key does not name it. By key code.
    homes: Vec<PartitionId>,
    published: TableSnapshot,
    /// Partitions that changed since the last snapshot.
    touched: Vec<PartitionId>,
    rows: usize,
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
        let stores = schema
            .tables
            .iter()
            .map(|table| Store {
                partitions: if table.partition.is_none() { vec![Partition::default()] } else { Vec::new() },
                homes: Vec::new(),
                published: TableSnapshot::default(),
                touched: if table.partition.is_none() { vec![0] } else { Vec::new() },
                rows: 0,
            })
            .collect();
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

    /// The partitions of a table as they stand.
    pub fn partitions(&self, table: TableId) -> impl Iterator<Item = &Arc<Rows>> {
        self.stores[table].partitions.iter().map(Partition::rows)
    }

    pub fn partition(&self, table: TableId, partition: PartitionId) -> Option<&Arc<Rows>> {
        self.stores[table].partitions.get(partition as usize).map(Partition::rows)
    }

    /// The row of a key in a broadcast table.
    pub fn find(&self, table: TableId, key: impl Iterator<Item = Datum> + Clone) -> Option<Row> {
        self.stores[table].partitions[0].find(&self.schema.tables[table], key)
    }

    /// Which rows of a broadcast table a tick changed.
    pub fn reach(&self, table: TableId, delta: &TableDelta) -> Reach {
        let table = &self.schema.tables[table];
        let width = table.columns.len();
        if delta.is_empty() {
            return Reach::None;
        }
        if delta.deleted || delta.at.len() != delta.come.len() {
            return Reach::Whole;
        }
        let mut columns = vec![false; width];
        for (gone, come) in delta.gone.data.chunks_exact(width).zip(delta.come.data.chunks_exact(width)) {
            for (changed, (gone, come)) in columns.iter_mut().zip(gone.iter().zip(come)) {
                *changed |= gone != come;
            }
        }
        Reach::Rows { rows: delta.at.clone(), columns }
    }

    /// Applies a tick's records, table by table in the order of the schema, then moves the business date
    /// where its holdings are complete.
    ///
    /// Cost: O(records); no row is visited that no record names, but at a switch of the business date.
    pub fn apply(&mut self, changes: &[Changes]) -> Delta {
        let schema = Arc::clone(&self.schema);
        let mut delta = Delta {
            tables: schema.tables.iter().map(|_| TableDelta::default()).collect(),
            ..Delta::default()
        };
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
        let mut run = Run::default();
        // A load comes in cuts of megabytes, which are not to be copied again and again as they grow.
        delta.tables[table.id].come.data.reserve(batch.len() * table.columns.len());
        for (op, row) in batch.iter() {
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

    /// Writes a record unless its row is as new. New rows wait in `run`, to be appended together.
    fn upsert(&mut self, table: &Table, row: &[Datum], run: &mut Run, delta: &mut Delta) {
        let partition = self.partition_of(table, row);
        if run.partition != Some(partition) || run.holds(table, row) {
            self.flush(table, run, delta);
            run.partition = Some(partition);
        }
        let key = table.key.iter().map(|&column| row[column]);
        let home = self.home(table, row, partition);
        let store = &mut self.stores[table.id];
        let found =
            home.and_then(|home| store.partitions[home as usize].find(table, key).map(|at| (home, at)));
        let Some((home, at)) = found else {
            run.push(table, row);
            return;
        };
        let rows = store.partitions[home as usize].rows();
        if rows.get(at, table.version) >= row[table.version] {
            delta.outdated += 1;
            return;
        }
        let change = &mut delta.tables[table.id];
        rows.read(at, &mut change.gone.data);
        change.gone.partitions.push(home);
        change.come.data.extend_from_slice(row);
        change.come.partitions.push(partition);
        change.at.push(at);
        if home == partition {
            store.partitions[home as usize].update(at, row);
            store.touched.push(home);
        } else {
            store.partitions[home as usize].remove(table, at);
            store.partitions[partition as usize].append(table, row);
            store.touched.extend([home, partition]);
            self.set_home(table, row, partition);
        }
    }

    fn delete(&mut self, table: &Table, key_row: &[Datum], delta: &mut Delta) {
        let Some(home) = self.home_of_key(table, key_row) else { return };
        let key = table.key.iter().map(|&column| key_row[column]);
        let store = &mut self.stores[table.id];
        let Some(at) = store.partitions[home as usize].find(table, key) else { return };
        let change = &mut delta.tables[table.id];
        change.deleted = true;
        let start = change.gone.data.len();
        store.partitions[home as usize].rows().read(at, &mut change.gone.data);
        change.gone.partitions.push(home);
        if table.id == self.ids.holding {
            let date = change.gone.data[start + self.ids.holding_date] as i32;
            self.count_holding(date, -1);
        }
        let store = &mut self.stores[table.id];
        store.partitions[home as usize].remove(table, at);
        store.touched.push(home);
        store.rows -= 1;
        self.set_home(table, key_row, NOWHERE);
    }

    fn flush(&mut self, table: &Table, run: &mut Run, delta: &mut Delta) {
        let Some(partition) = run.partition.take() else { return };
        if run.data.is_empty() {
            return;
        }
        let width = table.columns.len();
        let rows = run.data.len() / width;
        let store = &mut self.stores[table.id];
        store.partitions[partition as usize].append(table, &run.data);
        store.touched.push(partition);
        store.rows += rows;
        for row in run.data.chunks_exact(width) {
            self.set_home(table, row, partition);
            if table.id == self.ids.holding {
                self.count_holding(row[self.ids.holding_date] as i32, 1);
            }
        }
        let come = &mut delta.tables[table.id].come;
        come.data.append(&mut run.data);
        come.partitions.resize(come.partitions.len() + rows, partition);
        run.index.clear();
    }

    fn partition_of(&mut self, table: &Table, row: &[Datum]) -> PartitionId {
        let Some(column) = table.partition else { return 0 };
        let partition = self.accounts.number(row[column] as Code);
        let partitions = &mut self.stores[table.id].partitions;
        if partitions.len() <= partition as usize {
            partitions.resize_with(partition as usize + 1, Partition::default);
        }
        partition
    }

    /// Where a key's row stands, if anywhere: told by the key, or remembered.
    fn home(&self, table: &Table, row: &[Datum], partition: PartitionId) -> Option<PartitionId> {
        match table.columns[table.key[0]].data_type {
            Type::Id => self.home_of_key(table, row),
            _ => Some(partition),
        }
    }

    fn home_of_key(&self, table: &Table, key_row: &[Datum]) -> Option<PartitionId> {
        let store = &self.stores[table.id];
        let partition = match (table.columns[table.key[0]].data_type, table.partition) {
            (Type::Id, _) => *store.homes.get(key_row[table.key[0]] as usize)?,
            (_, Some(column)) => self.accounts.find(key_row[column] as Code)?,
            (_, None) => 0,
        };
        (partition != NOWHERE && (partition as usize) < store.partitions.len()).then_some(partition)
    }

    fn set_home(&mut self, table: &Table, row: &[Datum], partition: PartitionId) {
        if table.columns[table.key[0]].data_type != Type::Id {
            return;
        }
        let homes = &mut self.stores[table.id].homes;
        let at = row[table.key[0]] as usize;
        if homes.len() <= at {
            homes.resize((at + 1).next_power_of_two(), NOWHERE);
        }
        homes[at] = partition;
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
        for (number, partition) in store.partitions.iter_mut().enumerate() {
            let rows = Arc::clone(partition.rows());
            let width = table.columns.len();
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
            store.touched.push(number as PartitionId);
            *partition = Partition::default();
            partition.append(table, &kept);
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
        let partition = |partition: &Partition| partition.rows().bytes() + partition.index_bytes();
        self.stores
            .iter()
            .map(|s| s.partitions.iter().map(partition).sum::<usize>() + s.homes.capacity() * 4)
            .sum()
    }
}

/// New rows of one partition, to be appended in one go.
#[derive(Default)]
struct Run {
    partition: Option<PartitionId>,
    data: Vec<Datum>,
    /// Row numbers within the run by the hash of their key.
    index: HashTable<u32>,
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

    fn push(&mut self, table: &Table, row: &[Datum]) {
        let width = table.columns.len();
        let at = (self.data.len() / width) as u32;
        self.data.extend_from_slice(row);
        let Run { data, index, .. } = self;
        let hash = |row: &[Datum]| hash_key(table.key.iter().map(|&column| row[column]));
        index.insert_unique(hash(row), at, |&at| hash(&data[at as usize * width..][..width]));
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
