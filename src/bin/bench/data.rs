//! The rows of a case in an engine, and what they take.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use tickview::datum::NULL;
use tickview::schedule::Engine;
use tickview::table::partition::Row;
use tickview::view::spec::ViewSpec;

use crate::case::only;
use crate::machine::resident_mb;
use crate::report::{LoadReport, Times, tenths};
use crate::world::{Size, World};

/// Views opened to see what one takes: their mean is more than the grain of what the system counts.
const VIEWS: usize = 8;
const MB: f64 = 1_048_576.0;

pub struct Data {
    pub engine: Engine,
    pub world: World,
    pub size: Size,
    /// What the engine took for the rows of each account.
    pub times: Times,
}

impl Data {
    /// # Errors
    /// Where the engine does not hold as many rows as it was given.
    pub fn load(seed: u64, size: Size) -> Result<Data> {
        let mut engine = Engine::new();
        let mut world = World::new(seed, size, engine.schema(), engine.dictionaries());
        let cut = world.market();
        engine.tick(world.now(), cut)?;
        let mut times = Times::default();
        for account in 0..size.accounts {
            let cut = world.account_rows(account);
            let started = Instant::now();
            engine.tick(world.now(), cut)?;
            times.add(started.elapsed());
        }
        engine.tick(world.now(), world.day())?;
        let data = Data { engine, world, size, times };
        for (table, rows) in [("base.sod_holding", size.holdings), ("base.order_events", size.orders)] {
            ensure!(data.rows(table) == rows * size.accounts, "{table} has {} rows", data.rows(table));
        }
        ensure!(data.engine.day().is_some(), "the business date does not stand");
        Ok(data)
    }

    pub fn rows(&self, table: &str) -> usize {
        self.engine.tables().len(self.engine.schema().table(table).id)
    }

    /// What the load took, and what it takes. To be asked right after it: what is resident later counts
    /// what was computed meanwhile.
    ///
    /// # Errors
    /// Where a column of the schema has no value at all.
    pub fn report(&mut self) -> Result<LoadReport> {
        let resident = resident_mb()?;
        let columns = self.columns_with_values()?;
        let memory = self.engine.memory();
        let rows: usize = memory.tables.iter().map(|table| table.rows).sum();
        let each = |name: &str| {
            let table = memory.tables.iter().find(|table| table.table == name);
            let table = table.with_context(|| format!("there is no table {name}"))?;
            anyhow::Ok(tenths(table.bytes as f64 / table.rows.max(1) as f64))
        };
        let (view_mb, view_accounted_mb) = self.one_more_view()?;
        let seconds = self.times.total().as_secs_f64();
        Ok(LoadReport {
            seconds: tenths(seconds),
            rows,
            rows_per_s: (rows as f64 / seconds).round(),
            resident_mb: resident,
            accounted_mb: tenths(memory.bytes() as f64 / MB),
            bytes_per_holding: each("base.sod_holding")?,
            bytes_per_order: each("base.order_events")?,
            positions: memory.positions,
            bytes_per_position: tenths(memory.positions_bytes as f64 / memory.positions.max(1) as f64),
            dictionaries_mb: tenths(memory.dictionaries_bytes as f64 / MB),
            view_mb,
            view_accounted_mb,
            columns,
        })
    }

    /// How many columns the schema has, each of which has a value in some row.
    fn columns_with_values(&self) -> Result<usize> {
        let mut columns = 0;
        for table in &self.engine.schema().tables {
            let snapshot = self.engine.snapshot().table(table.id);
            for (at, column) in table.columns.iter().enumerate() {
                let mut rows = snapshot
                    .partitions()
                    .flat_map(|(_, rows)| (0..rows.len() as Row).map(move |row| rows.get(row, at)));
                let name = &column.name;
                ensure!(rows.any(|datum| datum != NULL), "no row of {} has a {name}", table.name);
                columns += 1;
            }
        }
        Ok(columns)
    }

    /// What one more view by sector adds, each of another selection: resident, and accounted for.
    fn one_more_view(&mut self) -> Result<(f64, f64)> {
        let accounts = self.size.accounts;
        let each = (accounts / (VIEWS + 1)).max(1);
        let spec = |number: usize| ViewSpec {
            accounts: only((number * each).min(accounts - 1)..((number + 1) * each).min(accounts)),
            group_by: vec!["sector".to_owned()],
            ..ViewSpec::new("account_overview")
        };
        // The first one makes what views share.
        let mut views = vec![self.engine.open(&spec(0))?];
        let before = (resident_mb()?, self.engine.memory().bytes());
        for number in 1..=VIEWS {
            views.push(self.engine.open(&spec(number))?);
        }
        let after = (resident_mb()?, self.engine.memory().bytes());
        views.into_iter().for_each(|view| self.engine.close(view));
        let mb = |bytes: usize| bytes as f64 / MB;
        let count = VIEWS as f64;
        Ok((hundredths((after.0 - before.0) / count), hundredths((mb(after.1) - mb(before.1)) / count)))
    }
}

fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
