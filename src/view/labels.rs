//! The names that stand for the ids of accounts and instruments at the head of a row.

use hashbrown::HashMap;

use crate::dictionary::Code;
use crate::table::partition::Row;
use crate::table::snapshot::Snapshot;

/// Names by the code of the id they belong to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Labels {
    pub accounts: HashMap<Code, Code>,
    pub instruments: HashMap<Code, Code>,
}

impl Labels {
    /// The names that are declared at a snapshot.
    ///
    /// Cost: O(accounts + instruments).
    pub fn of(snapshot: &Snapshot) -> Labels {
        let names = |table: &str, key: &str, name: &str| {
            let table = snapshot.schema.table(table);
            let (key, name) = (table.column(key), table.column(name));
            let rows = snapshot.table(table.id).partition(0);
            let row = |row: Row| rows.map(|rows| (rows.get(row, key) as Code, rows.get(row, name) as Code));
            (0..snapshot.table(table.id).len() as Row).filter_map(row).collect()
        };
        Labels {
            accounts: names("base.account", "account_id", "account_name"),
            instruments: names("base.instrument", "instrument_id", "name"),
        }
    }
}
