//! Embeds the engine: no server, no thread, no clock.
//!
//! `cargo run --release --example embed --no-default-features`

use anyhow::Result;
use tickview::datum::format_decimal;
use tickview::ingest::decode::{Decoder, Record};
use tickview::schedule::Engine;
use tickview::view::result::{Cell, Form, ViewResult};
use tickview::view::spec::ViewSpec;

const RECORDS: &[(&str, &str, &str)] = &[
    (
        "base.instrument",
        r#""ACME""#,
        r#"{"symbol":"ACME","name":"Acme","assetClass":"EQUITY","sector":"Industrials","currency":"USD","version":1,"eventTime":"2026-03-02T07:00:00Z"}"#,
    ),
    (
        "base.sod-holding",
        r#"{"businessDate":"2026-03-02","accountId":"A1","instrumentId":"ACME"}"#,
        r#"{"quantity":100,"sodPrice":"12","version":1,"eventTime":"2026-03-02T07:00:00Z"}"#,
    ),
    (
        "base.price",
        r#""ACME""#,
        r#"{"price":"12.5","currency":"USD","priceType":"LAST","priceTime":"2026-03-02T14:30:00Z","version":1,"eventTime":"2026-03-02T14:30:00Z"}"#,
    ),
];

fn main() -> Result<()> {
    let mut engine = Engine::new();
    let mut decoder = Decoder::new(engine.schema(), engine.dictionaries().clone())?;
    for (position, (topic, key, value)) in RECORDS.iter().enumerate() {
        let table = engine.schema().topic(topic).expect("a topic of the schema").id;
        decoder.decode([Record {
            table,
            position,
            key: Some(key.as_bytes()),
            value: Some(value.as_bytes()),
        }]);
    }
    // 2026-03-02T14:30:00Z in microseconds; the caller says what time it is.
    engine.tick(1_772_461_800_000_000, decoder.take())?;

    let mut spec = ViewSpec::new("account_overview");
    spec.group_by = vec!["sector".to_owned()];
    let view = engine.open(&spec)?;
    print(engine.view(view));
    Ok(())
}

fn print(view: &dyn ViewResult) {
    let mut rows = Vec::new();
    view.rows(0, view.size(), &mut rows);
    for row in rows {
        let mut cells: Vec<Cell> = Vec::new();
        view.cells(row, &mut cells);
        for (column, cell) in view.columns().iter().zip(cells) {
            if let Form::Decimal { scale } = column.form {
                println!(
                    "{:?} {} = {} ({})",
                    view.heading(row).key,
                    column.name,
                    format_decimal(cell.value, scale),
                    cell.quality
                );
            }
        }
    }
}
