//! Rows as records of JSON: what is written is read back as it was.

use std::sync::{Arc, RwLock};

use proptest::prelude::*;
use tickview::clock::DAY_US;
use tickview::datum::{Datum, NULL, power_of_ten};
use tickview::delta::{Changes, Op};
use tickview::dictionary::Dictionaries;
use tickview::ingest::decode::{Decoder, Record};
use tickview::ingest::encode;
use tickview::schema::{Column, Schema, Table, Type};

/// Days of the years 0001 to 9999.
const DAYS: std::ops::RangeInclusive<i64> = -719_162..=2_932_896;

/// A value that the table's checks let through; text goes into the dictionaries.
fn datum(table: &Table, column: usize, draw: (u64, u64, &str), dictionaries: &mut Dictionaries) -> Datum {
    let Column { name, data_type, nullable, default, .. } = &table.columns[column];
    let (one, other, text) = draw;
    if *nullable && one % 4 == 0 && name != "day_avg_px" {
        return NULL;
    }
    let one_of = |all: &[&str]| all[one as usize % all.len()].to_owned();
    match *data_type {
        Type::Text | Type::Id => {
            let text = match (table.name.as_str(), name.as_str()) {
                (_, "asset_class") => one_of(&["EQUITY", "BOND", "CASH"]),
                (_, "side") => one_of(&["BUY", "SELL_SHORT"]),
                (_, "status") => one_of(&["NEW", "FILLED"]),
                (_, "movement_type") => one_of(&["FEE", "DIVIDEND"]),
                (_, "rate_type") => one_of(&["LIVE", "SOD"]),
                (_, "price_type") => one_of(&["LAST", "MID"]),
                ("base.business_date", "id") => "current".to_owned(),
                (_, "portfolio_id") if default.is_some() && one % 3 == 0 => String::new(),
                _ => format!("{text}{}", other % 10),
            };
            match data_type {
                Type::Id => dictionaries.keys[table.id].intern(&text).into(),
                _ => dictionaries.names.intern(&text).into(),
            }
        }
        Type::Decimal { precision, .. } => {
            // Few digits and all there may be, of both signs; rates are positive.
            let bound = power_of_ten(if other % 2 == 0 { precision } else { 3 });
            let value = (i128::from(one) << 40 ^ i128::from(other)) % bound;
            if name == "rate" {
                value.abs().max(1)
            } else if one % 2 == 0 {
                value
            } else {
                -value
            }
        }
        Type::Date => (DAYS.start() + (one % (DAYS.end() - DAYS.start() + 1) as u64) as i64).into(),
        Type::Timestamp => {
            let day = DAYS.start() + (one % (DAYS.end() - DAYS.start() + 1) as u64) as i64;
            let within = if one % 3 == 0 { other % 86_400 * 1_000_000 } else { other % DAY_US as u64 };
            (day * DAY_US + within as i64).into()
        }
        Type::Integer => i128::from(other as i64),
        Type::Boolean => i128::from(one % 2),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any rows and tombstones of any table, with any text.
    #[test]
    fn what_is_written_is_read_back(draws in prop::collection::vec(
        (any::<u8>(), any::<bool>(), prop::collection::vec((any::<u64>(), any::<u64>(), "\\PC{0,4}|[\"\\\\\n\t\u{0}\u{1f}é😀]{1,3}"), 18)), 1..20
    )) {
        let schema = Schema::base();
        let dictionaries = Arc::new(RwLock::new(Dictionaries::new(&schema)));
        let mut decoder = Decoder::new(&schema, Arc::clone(&dictionaries)).unwrap();
        let mut written: Vec<Changes> = schema.tables.iter().map(Changes::new).collect();
        for (table, gone, draws) in &draws {
            let table = &schema.tables[usize::from(*table) % schema.tables.len()];
            let row: Vec<Datum> = {
                let mut dictionaries = dictionaries.write().unwrap();
                let draws = draws.iter().map(|(one, other, text)| (*one, *other, text.as_str()));
                (0..table.columns.len()).zip(draws)
                    .map(|(column, draw)| datum(table, column, draw, &mut dictionaries)).collect()
            };
            let (mut key, mut value) = (String::new(), String::new());
            encode::key(table, &row, &dictionaries.read().unwrap(), &mut key);
            encode::value(table, &row, &dictionaries.read().unwrap(), &mut value);
            let op = if *gone { Op::Delete } else { Op::Upsert };
            match op {
                Op::Upsert => written[table.id].upsert(&row),
                Op::Delete => {
                    let key: Vec<Datum> = table.key.iter().map(|&column| row[column]).collect();
                    written[table.id].delete(table, &key);
                }
            }
            let value = (op == Op::Upsert).then_some(value.as_bytes());
            decoder.decode([Record { table: table.id, position: 0, key: Some(key.as_bytes()), value }]);
        }
        let cut = decoder.take();
        prop_assert_eq!(&cut.set_aside, &[]);
        written.retain(|changes| !changes.is_empty());
        prop_assert_eq!(cut.changes, written);
    }
}
