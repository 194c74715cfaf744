//! Tables from rows that stood in some before: no record is compared, and nothing is held back.

use std::sync::Arc;

use super::homes::Home;
use super::partition::Row;
use super::{Day, PartitionId, Tables};
use crate::datum::Datum;
use crate::dictionary::Code;
use crate::schema::{Schema, Table};

/// Tables that are being filled.
pub struct Restoring {
    tables: Tables,
}

impl Restoring {
    /// Tables at a business date. `domains` are the accounts, instruments and currencies in the order of
    /// their numbers.
    pub fn new(schema: Arc<Schema>, day: Day, domains: [&Vec<Code>; 3]) -> Restoring {
        let mut tables = Tables::new(schema);
        tables.day = day;
        let known = [&mut tables.accounts, &mut tables.instruments, &mut tables.currencies];
        for (domain, codes) in known.into_iter().zip(domains) {
            for &code in codes {
                domain.number(code);
            }
        }
        Restoring { tables }
    }

    /// Appends rows with the partition of each; no key comes twice.
    ///
    /// Shape: whole rows one after another, one datum a column.
    pub fn append(&mut self, table: &Table, data: &[Datum], partitions: &[PartitionId]) {
        let width = table.columns.len();
        let Tables { stores, ids, .. } = &mut self.tables;
        let store = &mut stores[table.id];
        let mut from = 0;
        for run in partitions.chunk_by(|a, b| a == b) {
            let (partition, rows) = (run[0], &data[from * width..(from + run.len()) * width]);
            from += run.len();
            store.reach(partition);
            store.touch(partition);
            let first = store.partitions[partition as usize].rows().len() as Row;
            store.partitions[partition as usize].append(table, rows);
            store.rows += run.len();
            if let Some(homes) = &mut store.homes {
                for (row, at) in rows.chunks_exact(width).zip(first..) {
                    homes.set(row[table.key[0]] as usize, Home { partition, row: at });
                }
            }
        }
        if table.id == ids.holding {
            let date = ids.holding_date;
            data.chunks_exact(width).for_each(|row| self.tables.count_holding(row[date] as i32, 1));
        }
    }

    /// Keeps a row until its business date comes.
    pub fn hold(&mut self, table: &Table, row: &[Datum]) {
        let date = self.tables.ids.dated[table.id].expect("only rows with a date wait for it");
        let key = table.key.iter().map(|&column| row[column]).collect();
        let due = self.tables.held.entry(row[date] as i32).or_default();
        due.insert((table.id, key), row.to_vec());
    }

    pub fn tables(self) -> Tables {
        self.tables
    }
}
