//! The rows of one cut, table by table, and the shape of each row. Knows the schema's order of columns.

use crate::clock::Timestamp;
use crate::datum::{Datum, NULL};
use crate::delta::Changes;
use crate::ingest::source::Cut;
use crate::schema::{Schema, Table};

/// The tables the market fills, with their columns in the order in which rows are written here.
const TABLES: [(&str, &[&str]); 8] = [
    (
        "base.instrument",
        &[
            "instrument_id",
            "symbol",
            "name",
            "asset_class",
            "sector",
            "industry",
            "issuer",
            "country_of_risk",
            "country_of_domicile",
            "currency",
            "price_scale",
            "contract_multiplier",
            "underlying_id",
            "delta",
            "version",
            "event_time",
        ],
    ),
    (
        "base.account",
        &[
            "account_id",
            "account_name",
            "base_currency",
            "strategy",
            "region",
            "benchmark_id",
            "version",
            "event_time",
        ],
    ),
    (
        "base.sod_holding",
        &[
            "business_date",
            "account_id",
            "instrument_id",
            "portfolio_id",
            "quantity",
            "sod_price",
            "average_cost",
            "as_of",
            "version",
            "event_time",
        ],
    ),
    ("base.business_date", &["id", "business_date", "holdings", "version", "event_time"]),
    (
        "base.order_events",
        &[
            "order_id",
            "business_date",
            "account_id",
            "instrument_id",
            "portfolio_id",
            "side",
            "order_qty",
            "cum_qty",
            "day_cum_qty",
            "day_avg_px",
            "status",
            "order_type",
            "limit_price",
            "time_in_force",
            "trader",
            "venue",
            "version",
            "event_time",
        ],
    ),
    (
        "base.cash_movement",
        &[
            "movement_id",
            "business_date",
            "account_id",
            "portfolio_id",
            "currency",
            "amount",
            "movement_type",
            "external_flow",
            "version",
            "event_time",
        ],
    ),
    (
        "base.fx_rate",
        &["from_currency", "to_currency", "rate_type", "rate", "rate_time", "version", "event_time"],
    ),
    (
        "base.price",
        &[
            "instrument_id",
            "price",
            "currency",
            "accrued",
            "price_type",
            "price_time",
            "source",
            "version",
            "event_time",
        ],
    ),
];

/// A table of the market, in the place it has in [`TABLES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Topic {
    Instrument,
    Account,
    Holding,
    BusinessDate,
    Order,
    Movement,
    Fx,
    Price,
}

pub(super) const TOPICS: [Topic; 8] = [
    Topic::Instrument,
    Topic::Account,
    Topic::Holding,
    Topic::BusinessDate,
    Topic::Order,
    Topic::Movement,
    Topic::Fx,
    Topic::Price,
];

impl Topic {
    pub(super) fn table(self) -> &'static str {
        TABLES[self as usize].0
    }
}

pub(super) struct Batch {
    changes: Vec<Changes>,
    records: usize,
    /// By topic: the greatest event time of its records.
    newest: [Datum; TABLES.len()],
}

impl Batch {
    /// # Panics
    /// Where `schema` lacks a table of the market, or a table's columns are not those written here.
    pub(super) fn new(schema: &Schema) -> Batch {
        let changes = TABLES
            .iter()
            .map(|&(name, columns)| {
                let table = schema.table(name);
                assert!(
                    table.columns.iter().map(|column| column.name.as_str()).eq(columns.iter().copied()),
                    "the market writes other columns of {name} than the schema has"
                );
                Changes::new(table)
            })
            .collect();
        Batch { changes, records: 0, newest: [NULL; TABLES.len()] }
    }

    /// Makes room for so many records of a topic.
    pub(super) fn reserve(&mut self, topic: Topic, records: usize) {
        self.changes[topic as usize].reserve(records);
    }

    pub(super) fn upsert(&mut self, topic: Topic, row: &[Datum]) {
        self.changes[topic as usize].upsert(row);
        self.records += 1;
        // Every table ends with its event time, which is never null: the least of all datums.
        let newest = &mut self.newest[topic as usize];
        *newest = (*newest).max(row[row.len() - 1]);
    }

    pub(super) fn delete(&mut self, topic: Topic, table: &Table, key: &[Datum]) {
        self.changes[topic as usize].delete(table, key);
        self.records += 1;
    }

    /// Records of all tables.
    pub(super) fn records(&self) -> usize {
        self.records
    }

    /// The records as a cut, which says nothing yet of the source they are from.
    pub(super) fn into_cut(self) -> Cut {
        let newest = self.changes.iter().zip(self.newest).filter(|&(_, time)| time != NULL);
        let newest = newest.map(|(changes, time)| (changes.table, time as Timestamp)).collect();
        let changes = self.changes.into_iter().filter(|changes| !changes.is_empty()).collect();
        Cut { changes, newest, ..Cut::default() }
    }
}
