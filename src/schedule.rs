//! The engine: one tick applies a cut, brings every view to the new epoch and publishes it.

use std::sync::{Arc, RwLock};

use crate::clock::Timestamp;
use crate::delta::Changes;
use crate::dictionary::Dictionaries;
use crate::schema::Schema;
use crate::table::Tables;
use crate::table::snapshot::{Freshness, Snapshot};

pub struct Engine {
    schema: Arc<Schema>,
    dictionaries: Arc<RwLock<Dictionaries>>,
    tables: Tables,
    epoch: u64,
    snapshot: Arc<Snapshot>,
}

impl Engine {
    pub fn new() -> Engine {
        let schema = Arc::new(Schema::base());
        let dictionaries = Arc::new(RwLock::new(Dictionaries::new(&schema)));
        let mut tables = Tables::new(Arc::clone(&schema));
        let snapshot = Arc::new(Snapshot {
            schema: Arc::clone(&schema),
            dictionaries: Arc::clone(&dictionaries),
            epoch: 0,
            as_of: 0,
            day: None,
            freshness: Freshness::default(),
            tables: tables.publish(),
            accounts: Arc::default(),
            instruments: Arc::default(),
            currencies: Arc::default(),
            quarantine: Arc::default(),
        });
        Engine { schema, dictionaries, tables, epoch: 0, snapshot }
    }

    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    pub fn dictionaries(&self) -> &Arc<RwLock<Dictionaries>> {
        &self.dictionaries
    }

    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    pub fn tick(&mut self, now: Timestamp, changes: &[Changes]) {
        let _delta = self.tables.apply(changes);
        self.epoch += 1;
        self.snapshot = Arc::new(Snapshot {
            epoch: self.epoch,
            as_of: now,
            day: self.tables.day(),
            tables: self.tables.publish(),
            accounts: Arc::clone(self.tables.accounts.codes()),
            instruments: Arc::clone(self.tables.instruments.codes()),
            currencies: Arc::clone(self.tables.currencies.codes()),
            ..Snapshot::clone(&self.snapshot)
        });
    }
}
