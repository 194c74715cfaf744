//! The wire format of the base topics, as `domain.md` §1 has it: one row of a table for each rule.

use std::sync::{Arc, LazyLock, RwLock};

use chrono::{DateTime, FixedOffset, NaiveDate, SecondsFormat};
use proptest::prelude::*;
use tickview::datum::{self, NULL};
use tickview::delta::Op;
use tickview::dictionary::Dictionaries;
use tickview::error::{Error, Kind};
use tickview::ingest::decode::{Decoder, Record};
use tickview::ingest::source::Cut;
use tickview::limits::{QUARANTINE_PAYLOAD_BYTES_MAX, RECORD_BYTES_MAX};
use tickview::schema::{Schema, Type};

const ACCOUNT: &str = r#"{"accountId":"A1","accountName":"Alpha","baseCurrency":"USD","version":1,"eventTime":"2026-03-02T08:00:00Z"}"#;
const INSTRUMENT: &str = r#"{"instrumentId":"I1","symbol":"I","name":"One","assetClass":"EQUITY","currency":"USD","priceScale":null,"delta":null,"version":1,"eventTime":"2026-03-02T08:00:00Z"}"#;
const HOLDING: &str = r#"{"businessDate":"2026-03-02","accountId":"A1","instrumentId":"I1","portfolioId":"P1","quantity":100,"version":1,"eventTime":"2026-03-02T08:00:00Z"}"#;
const ORDER: &str = r#"{"orderId":"O1","businessDate":"2026-03-02","accountId":"A1","instrumentId":"I1","portfolioId":"P1","side":"BUY","orderQty":100,"cumQty":0,"dayCumQty":0,"dayAvgPx":null,"status":"NEW","orderType":"LIMIT","limitPrice":10,"version":1,"eventTime":"2026-03-02T08:00:00Z"}"#;
const PRICE: &str = r#"{"instrumentId":"I1","price":10,"currency":"USD","priceType":"LAST","priceTime":"2026-03-02T08:00:00Z","version":1,"eventTime":"2026-03-02T08:00:00Z"}"#;
const FX: &str = r#"{"fromCurrency":"EUR","toCurrency":"USD","rateType":"LIVE","rate":1.25,"rateTime":"2026-03-02T08:00:00Z","version":1,"eventTime":"2026-03-02T08:00:00Z"}"#;
const MOVEMENT: &str = r#"{"movementId":"M1","businessDate":"2026-03-02","accountId":"A1","currency":"USD","amount":-5,"movementType":"FEE","externalFlow":false,"version":1,"eventTime":"2026-03-02T08:00:00Z"}"#;
const BUSINESS_DATE: &str =
    r#"{"businessDate":"2026-03-02","holdings":1,"version":1,"eventTime":"2026-03-02T08:00:00Z"}"#;

/// A good record of each topic: its key and its value.
fn sample(topic: &str) -> (&'static str, &'static str) {
    match topic {
        "base.account" => (r#""A1""#, ACCOUNT),
        "base.instrument" => (r#""I1""#, INSTRUMENT),
        "base.sod-holding" => (
            r#"{"businessDate":"2026-03-02","accountId":"A1","instrumentId":"I1","portfolioId":"P1"}"#,
            HOLDING,
        ),
        "base.order-events" => (r#""O1""#, ORDER),
        "base.price" => (r#""I1""#, PRICE),
        "base.fx-rate" => (r#"{"fromCurrency":"EUR","toCurrency":"USD","rateType":"LIVE"}"#, FX),
        "base.cash-movement" => (r#""M1""#, MOVEMENT),
        "base.business-date" => (r#""current""#, BUSINESS_DATE),
        _ => panic!("{topic} has no sample"),
    }
}

struct Desk {
    schema: Schema,
    dictionaries: Arc<RwLock<Dictionaries>>,
    decoder: Decoder,
}

impl Desk {
    fn new() -> Desk {
        static BASE: LazyLock<Schema> = LazyLock::new(Schema::base);
        Desk::with(BASE.clone()).unwrap()
    }

    fn with(schema: Schema) -> Result<Desk, Error> {
        let dictionaries = Arc::new(RwLock::new(Dictionaries::new(&schema)));
        let decoder = Decoder::new(&schema, dictionaries.clone())?;
        Ok(Desk { schema, dictionaries, decoder })
    }

    fn decode(&mut self, topic: &str, key: Option<&[u8]>, value: Option<&[u8]>) -> Cut {
        let table = self.schema.topic(topic).unwrap().id;
        let good = self.decoder.decode([Record { table, position: "7:42", key, value }]);
        let cut = self.decoder.take();
        assert_eq!(good + cut.set_aside.len(), 1, "a record is good or set aside");
        assert_eq!(good, cut.changes.iter().map(|changes| changes.len()).sum::<usize>());
        cut
    }

    /// The row as `column=value` for what is not null, or the reason why there is none.
    fn outcome(&mut self, topic: &str, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<String, String> {
        let cut = self.decode(topic, key, value);
        if let Some(aside) = cut.set_aside.first() {
            return Err(aside.reason.clone());
        }
        let table = self.schema.topic(topic).unwrap();
        let dictionaries = self.dictionaries.read().unwrap();
        let (op, row) = cut.changes[0].iter().next().unwrap();
        let mut shown = match op {
            Op::Upsert => "upsert".to_string(),
            Op::Delete => "delete".to_string(),
        };
        for (column, &value) in table.columns.iter().zip(row).filter(|(_, value)| **value != NULL) {
            let text = match column.data_type {
                Type::Text => dictionaries.names.text(value as u32).to_string(),
                Type::Id => dictionaries.keys[table.id].text(value as u32).to_string(),
                Type::Decimal { scale, .. } => datum::format_decimal(value, scale),
                Type::Date | Type::Timestamp | Type::Integer | Type::Boolean => value.to_string(),
            };
            shown += &format!(" {}={text}", column.name);
        }
        Ok(shown)
    }
}

fn outcome(topic: &str, key: &str, value: &str) -> Result<String, String> {
    Desk::new().outcome(topic, Some(key.as_bytes()), Some(value.as_bytes()))
}

/// The sample of a topic with one field replaced, or left out where `json` is empty.
fn with(topic: &str, field: &str, json: &str) -> String {
    let mut fields: Vec<(String, Box<serde_json::value::RawValue>)> = Vec::new();
    let map: std::collections::BTreeMap<String, Box<serde_json::value::RawValue>> =
        serde_json::from_str(sample(topic).1).unwrap();
    fields.extend(map.into_iter().filter(|(name, _)| name != field));
    let mut parts: Vec<String> = fields.iter().map(|(name, raw)| format!("\"{name}\":{raw}")).collect();
    if !json.is_empty() {
        parts.push(format!("\"{field}\":{json}"));
    }
    format!("{{{}}}", parts.join(","))
}

/// Decodes the sample of a topic with one field replaced: expects `column=value` in the row for `Ok`, and
/// the whole reason for `Err`.
fn check(topic: &str, field: &str, json: &str, expected: Result<&str, &str>) {
    let got = outcome(topic, sample(topic).0, &with(topic, field, json));
    match (expected, &got) {
        (Ok(part), Ok(row)) => {
            let found = row.split(' ').any(|cell| cell == part);
            assert!(found, "{topic} {field}={json}: {part} is not in {row}");
        }
        (Err(reason), Err(got)) => assert_eq!(got, reason, "{topic} {field}={json}"),
        _ => panic!("{topic} {field}={json}: expected {expected:?}, got {got:?}"),
    }
}

#[test]
fn every_topic_decodes() {
    let rows = [
        (
            "base.account",
            "upsert account_id=A1 account_name=Alpha base_currency=USD version=1 event_time=1772438400000000",
        ),
        (
            "base.instrument",
            "upsert instrument_id=I1 symbol=I name=One asset_class=EQUITY currency=USD version=1 event_time=1772438400000000",
        ),
        (
            "base.sod-holding",
            "upsert business_date=20514 account_id=A1 instrument_id=I1 portfolio_id=P1 quantity=100 version=1 event_time=1772438400000000",
        ),
        (
            "base.business-date",
            "upsert id=current business_date=20514 holdings=1 version=1 event_time=1772438400000000",
        ),
        (
            "base.order-events",
            "upsert order_id=O1 business_date=20514 account_id=A1 instrument_id=I1 portfolio_id=P1 side=BUY order_qty=100 cum_qty=0 day_cum_qty=0 status=NEW order_type=LIMIT limit_price=10 version=1 event_time=1772438400000000",
        ),
        (
            "base.cash-movement",
            "upsert movement_id=M1 business_date=20514 account_id=A1 portfolio_id= currency=USD amount=-5 movement_type=FEE external_flow=0 version=1 event_time=1772438400000000",
        ),
        (
            "base.fx-rate",
            "upsert from_currency=EUR to_currency=USD rate_type=LIVE rate=1.25 rate_time=1772438400000000 version=1 event_time=1772438400000000",
        ),
        (
            "base.price",
            "upsert instrument_id=I1 price=10 currency=USD price_type=LAST price_time=1772438400000000 version=1 event_time=1772438400000000",
        ),
    ];
    for (topic, expected) in rows {
        let (key, value) = sample(topic);
        assert_eq!(outcome(topic, key, value).as_deref(), Ok(expected));
    }
}

#[test]
fn decimals_are_exact_or_set_aside() {
    const PRICE: &str = "a decimal with at most 10 digits before and 8 after the point";
    const QUANTITY: &str = "a decimal with at most 12 digits before and 6 after the point";
    const RATE: &str = "a decimal with at most 12 digits before and 12 after the point";
    let rows: &[(&str, &str, &str, Result<&str, &str>)] = &[
        ("base.price", "price", "1.5", Ok("price=1.5")),
        ("base.price", "price", "\"1.5\"", Ok("price=1.5")),
        ("base.price", "price", "\"\\u0031.5\"", Ok("price=1.5")),
        ("base.price", "price", "0.1", Ok("price=0.1")),
        ("base.price", "price", "-0.00000001", Ok("price=-0.00000001")),
        ("base.price", "price", "-0", Ok("price=0")),
        ("base.price", "price", "9999999999.99999999", Ok("price=9999999999.99999999")),
        ("base.price", "price", "1.5000000000000000000000", Ok("price=1.5")),
        ("base.price", "price", "\"0000000000000000000000001.5\"", Ok("price=1.5")),
        ("base.price", "price", "1.5e3", Ok("price=1500")),
        ("base.price", "price", "15E-1", Ok("price=1.5")),
        ("base.price", "price", "0e999999", Ok("price=0")),
        ("base.price", "price", "1.000000001", Err(PRICE)),
        ("base.price", "price", "10000000000", Err(PRICE)),
        ("base.price", "price", "1e400", Err(PRICE)),
        ("base.price", "price", "1e-400", Err(PRICE)),
        ("base.price", "price", "\"\"", Err(PRICE)),
        ("base.price", "price", "\"NaN\"", Err(PRICE)),
        ("base.price", "price", "\" 1\"", Err(PRICE)),
        ("base.price", "price", "\"1.\"", Err(PRICE)),
        ("base.price", "price", "\".5\"", Err(PRICE)),
        ("base.price", "price", "\"1,5\"", Err(PRICE)),
        ("base.price", "price", "\"1e\"", Err(PRICE)),
        ("base.price", "price", "\"--1\"", Err(PRICE)),
        ("base.price", "price", "\"1.2.3\"", Err(PRICE)),
        ("base.price", "price", "true", Err(PRICE)),
        ("base.price", "price", "[1]", Err(PRICE)),
        ("base.sod-holding", "quantity", "999999999999.999999", Ok("quantity=999999999999.999999")),
        ("base.sod-holding", "quantity", "-0.000001", Ok("quantity=-0.000001")),
        ("base.sod-holding", "quantity", "0.0000001", Err(QUANTITY)),
        ("base.sod-holding", "quantity", "1000000000000", Err(QUANTITY)),
        ("base.fx-rate", "rate", "0.000000000001", Ok("rate=0.000000000001")),
        ("base.fx-rate", "rate", "123456789012.123456789012", Ok("rate=123456789012.123456789012")),
        ("base.fx-rate", "rate", "0.0000000000001", Err(RATE)),
    ];
    for &(topic, field, json, expected) in rows {
        let reason = expected.err().map(|wanted| format!("{field} is {json}; it must be {wanted}"));
        check(topic, field, json, reason.as_deref().map_or(expected, Err));
    }
}

#[test]
fn dates_and_times_are_iso_8601() {
    const TIME: &str = "an ISO 8601 time to the microsecond, such as \"2026-01-31T09:30:00.123456Z\"";
    const DATE: &str = "an ISO 8601 date, such as \"2026-01-31\"";
    let rows: &[(&str, &str, Result<i64, &str>)] = &[
        ("eventTime", "1970-01-01T00:00:00Z", Ok(0)),
        ("eventTime", "1969-12-31T23:59:59.999999Z", Ok(-1)),
        ("eventTime", "1970-01-01T00:00:00.000001Z", Ok(1)),
        ("eventTime", "1970-01-01T00:00:00.1Z", Ok(100_000)),
        ("eventTime", "1970-01-01T00:00:00,1Z", Ok(100_000)),
        ("eventTime", "1970-01-01T00:00:00.123456000Z", Ok(123_456)),
        ("eventTime", "1970-01-01T01:00:00+01:00", Ok(0)),
        ("eventTime", "1970-01-01T05:30:00+0530", Ok(0)),
        ("eventTime", "1969-12-31T19:00:00-05", Ok(0)),
        ("eventTime", "1970-01-01T00:01Z", Ok(60_000_000)),
        ("eventTime", "1970-01-01T00:00:01", Ok(1_000_000)),
        ("eventTime", "1970-01-01t00:00:01z", Ok(1_000_000)),
        ("eventTime", "2016-12-31T23:59:60Z", Ok(1_483_228_800_000_000)),
        ("eventTime", "2024-02-29T00:00:00Z", Ok(1_709_164_800_000_000)),
        ("eventTime", "2016-12-31T12:59:60Z", Err(TIME)),
        ("eventTime", "1970-01-01T00:00:00.1234567Z", Err(TIME)),
        ("eventTime", "1970-01-01T00:00:00.Z", Err(TIME)),
        ("eventTime", "1970-01-01T24:00:00Z", Err(TIME)),
        ("eventTime", "1970-01-01T00:60:00Z", Err(TIME)),
        ("eventTime", "1970-01-01T00:00:00+24:00", Err(TIME)),
        ("eventTime", "1970-01-01T00:00:00+01:0", Err(TIME)),
        ("eventTime", "1970-01-01T00:00:00ZZ", Err(TIME)),
        ("eventTime", "1970-01-01T00:00:00 Z", Err(TIME)),
        ("eventTime", "1970-01-01T00:00:", Err(TIME)),
        ("eventTime", "1970-01-01 00:00:00Z", Err(TIME)),
        ("eventTime", "1970-01-01", Err(TIME)),
        ("eventTime", "1970-01-0éT00:00:00Z", Err(TIME)),
        ("eventTime", "", Err(TIME)),
        ("businessDate", "2026-03-02", Ok(20_514)),
        ("businessDate", "0001-01-01", Ok(-719_162)),
        ("businessDate", "9999-12-31", Ok(2_932_896)),
        ("businessDate", "2025-02-29", Err(DATE)),
        ("businessDate", "1900-02-29", Err(DATE)),
        ("businessDate", "2026-00-01", Err(DATE)),
        ("businessDate", "2026-13-01", Err(DATE)),
        ("businessDate", "2026-04-31", Err(DATE)),
        ("businessDate", "2026-04-00", Err(DATE)),
        ("businessDate", "0000-01-01", Err(DATE)),
        ("businessDate", "2026-3-2", Err(DATE)),
        ("businessDate", "20260302", Err(DATE)),
        ("businessDate", "2026-03-02T00:00:00Z", Err(DATE)),
        ("businessDate", "+026-03-02", Err(DATE)),
    ];
    for &(field, text, expected) in rows {
        let column = if field == "eventTime" { "event_time" } else { "business_date" };
        let json = format!("\"{text}\"");
        let row = expected.map(|value| format!("{column}={value}"));
        let reason = expected.err().map(|wanted| format!("{field} is {json}; it must be {wanted}"));
        let expected = row.as_deref().map_err(|_| reason.as_deref().unwrap());
        check("base.business-date", field, &json, expected);
    }
    check(
        "base.price",
        "priceTime",
        "1772438400000",
        Err(&format!("priceTime is 1772438400000; it must be {TIME}")),
    );
}

#[test]
fn integers_booleans_and_texts_keep_their_types() {
    const INTEGER: &str = "an integer from -9223372036854775808 to 9223372036854775807";
    let rows: &[(&str, &str, &str, Result<&str, &str>)] = &[
        ("base.price", "version", "9223372036854775807", Ok("version=9223372036854775807")),
        ("base.price", "version", "-9223372036854775808", Ok("version=-9223372036854775808")),
        ("base.price", "version", "9223372036854775808", Err(INTEGER)),
        ("base.price", "version", "1.0", Err(INTEGER)),
        ("base.price", "version", "1e2", Err(INTEGER)),
        ("base.price", "version", "\"1\"", Err(INTEGER)),
        ("base.price", "version", "true", Err(INTEGER)),
        ("base.cash-movement", "externalFlow", "true", Ok("external_flow=1")),
        ("base.cash-movement", "externalFlow", "false", Ok("external_flow=0")),
        ("base.cash-movement", "externalFlow", "\"true\"", Err("true or false")),
        ("base.cash-movement", "externalFlow", "1", Err("true or false")),
        ("base.account", "strategy", "\"\"", Ok("strategy=")),
        ("base.account", "strategy", "\"\\u00e9\\ud83d\\ude00\\\"\"", Ok("strategy=é😀\"")),
        ("base.account", "strategy", "\"é😀\"", Ok("strategy=é😀")),
        ("base.account", "strategy", "\"\\ud83d\"", Err("a string of whole Unicode characters")),
        ("base.account", "strategy", "7", Err("a JSON string")),
        ("base.account", "strategy", "{\"a\":1}", Err("a JSON string")),
        ("base.account", "baseCurrency", "\"\"", Err("the name of something")),
        ("base.order-events", "accountId", "\"\"", Err("the name of something")),
        ("base.order-events", "instrumentId", "\"\"", Err("the name of something")),
        ("base.order-events", "portfolioId", "\"\"", Ok("portfolio_id=")),
        ("base.order-events", "portfolioId", "null", Ok("portfolio_id=")),
        ("base.order-events", "portfolioId", "", Ok("portfolio_id=")),
    ];
    for &(topic, field, json, expected) in rows {
        let reason = expected.err().map(|wanted| format!("{field} is {json}; it must be {wanted}"));
        check(topic, field, json, reason.as_deref().map_or(expected, Err));
    }
}

#[test]
fn missing_fields_are_named() {
    check("base.price", "accrued", "null", Ok("price=10"));
    check("base.price", "price", "", Err("price is missing; every record must have it"));
    check("base.price", "price", "null", Err("price is missing; every record must have it"));
    check("base.order-events", "eventTime", "", Err("eventTime is missing; every record must have it"));
    let reason = "accountName, baseCurrency, version, eventTime are missing; every record must have them";
    assert_eq!(outcome("base.account", "\"A1\"", "{}"), Err(reason.to_string()));
}

#[test]
fn checks_of_the_schema_hold() {
    let sides = "BUY, BUY_COVER, SUBSCRIBE, SELL, SELL_SHORT, REDEEM";
    check("base.order-events", "side", "\"BUY_COVER\"", Ok("side=BUY_COVER"));
    check("base.order-events", "side", "\"B\\u0055Y\"", Ok("side=BUY"));
    check(
        "base.order-events",
        "side",
        "\"BYU\"",
        Err(&format!("side is \"BYU\"; it must be one of {sides}")),
    );
    check(
        "base.order-events",
        "side",
        "\"buy\"",
        Err(&format!("side is \"buy\"; it must be one of {sides}")),
    );
    check("base.order-events", "side", "\"\"", Err(&format!("side is \"\"; it must be one of {sides}")));
    check("base.fx-rate", "rate", "0", Err("rate is 0; it must be rate > 0"));
    check("base.fx-rate", "rate", "-1.25", Err("rate is -1.25; it must be rate > 0"));
    let fills = "dayCumQty is 5 and dayAvgPx is missing; it must be (dayCumQty = 0 or dayAvgPx present)";
    check("base.order-events", "dayCumQty", "5", Err(fills));
    check("base.order-events", "dayCumQty", "0.000", Ok("day_cum_qty=0"));
    let key = "id is \"yesterday\"; it must be id = current";
    assert_eq!(outcome("base.business-date", "\"yesterday\"", BUSINESS_DATE), Err(key.to_string()));
}

#[test]
fn decimals_may_be_as_wide_as_sql_allows() {
    let rows = [
        ("DECIMAL(38, 0)", "99999999999999999999", Some("99999999999999999999")),
        ("DECIMAL(38, 0)", "-18446744073709551616", Some("-18446744073709551616")),
        (
            "DECIMAL(38, 0)",
            "99999999999999999999999999999999999999",
            Some("99999999999999999999999999999999999999"),
        ),
        ("DECIMAL(38, 0)", "100000000000000000000000000000000000000", None),
        ("DECIMAL(38, 0)", "0.1", None),
        (
            "DECIMAL(38, 38)",
            "0.99999999999999999999999999999999999999",
            Some("0.99999999999999999999999999999999999999"),
        ),
        ("DECIMAL(38, 38)", "0.5", Some("0.5")),
        ("DECIMAL(38, 38)", "1", None),
        ("DECIMAL(2, 1)", "9.9", Some("9.9")),
        ("DECIMAL(2, 1)", "10.0", None),
    ];
    for (data_type, number, expected) in rows {
        let sql = format!(
            "CREATE TABLE base.x (k TEXT NOT NULL, a {data_type}, version BIGINT NOT NULL, PRIMARY KEY (k))"
        );
        let value = format!("{{\"a\":{number},\"version\":1}}");
        let got = Desk::with(Schema::parse(&sql).unwrap()).unwrap().outcome(
            "base.x",
            Some(b"k"),
            Some(value.as_bytes()),
        );
        let expected = expected.map(|text| format!("upsert k=k a={text} version=1"));
        assert_eq!(got.ok(), expected, "{number} as {data_type}");
    }
}

#[test]
fn checks_follow_sql() {
    let rows = [
        ("a > 1.5 AND a <= 3", r#""a":2"#, true),
        ("a > 1.5 AND a <= 3", r#""a":3.1"#, false),
        ("a >= b", r#""a":2,"b":2"#, true),
        ("b < a", r#""a":2,"b":2"#, false),
        ("a <> -2", r#""a":-2"#, false),
        ("1 < a", r#""a":1"#, false),
        ("a > 0", "", true),
        ("NOT a > 0", "", true),
        ("NOT (a > 0)", r#""a":1"#, false),
        ("a > 0 OR b > 0", r#""a":-1"#, true),
        ("a > 0 AND b > 0", r#""a":-1"#, false),
        ("a IS NOT NULL OR t IS NULL", r#""t":"x""#, false),
        ("t NOT IN ('x', 'y')", r#""t":"y""#, false),
        ("t NOT IN ('x', 'y')", r#""t":"z""#, true),
        ("t NOT IN ('x', 'y')", "", true),
        ("t < 'm'", r#""t":"n""#, false),
        ("n IN (1, 2)", r#""n":3"#, false),
        ("f = true", r#""f":false"#, false),
        ("d >= '2026-01-01'", r#""d":"2025-12-31""#, false),
        ("s > '2026-01-01T00:00Z'", r#""s":"2026-01-01T01:00:00+01:00""#, false),
        ("a + b > 0", "", false),
        ("a LIKE 'x'", "", false),
        ("lower(t) = 'x'", "", false),
        ("missing > 0", "", false),
        ("a = t", "", false),
        ("a = 'x'", "", false),
        ("1 = 1", "", false),
    ];
    for (check, fields, expected) in rows {
        let sql = format!(
            "CREATE TABLE base.x (k TEXT NOT NULL, a DECIMAL(18, 6), b DECIMAL(18, 6), t TEXT, n BIGINT, f BOOLEAN, \
             d DATE, s TIMESTAMP, version BIGINT NOT NULL, PRIMARY KEY (k), CHECK ({check}))"
        );
        let mut desk = match Desk::with(Schema::parse(&sql).unwrap()) {
            Ok(desk) => desk,
            Err(error) => {
                assert_eq!(error.kind, Kind::Invalid);
                assert!(!expected && fields.is_empty(), "{check} is a check: {error}");
                continue;
            }
        };
        let comma = if fields.is_empty() { "" } else { "," };
        let value = format!("{{\"version\":1{comma}{fields}}}");
        let got = desk.outcome("base.x", Some(b"\"k\""), Some(value.as_bytes()));
        assert_eq!(got.is_ok(), expected, "{check} with {fields}: {got:?}");
    }
}

#[test]
fn keys_and_values_agree() {
    let holding = "a JSON object of businessDate, accountId, instrumentId, portfolioId";
    let no_key = format!("the record has no key; it must be {holding}");
    let bad = |shown: &str| format!("the key is {shown}; it must be {holding}");
    let row = "upsert business_date=20514 account_id=A1 instrument_id=I1 portfolio_id=P1 quantity=100 version=1 event_time=1772438400000000";
    let full = sample("base.sod-holding").0;
    let unsleeved = r#"{"businessDate":"2026-03-02","accountId":"A1","instrumentId":"I1"}"#;
    let only_quantity = r#"{"quantity":100,"version":1,"eventTime":"2026-03-02T08:00:00Z"}"#;
    let no_portfolio = with("base.sod-holding", "portfolioId", "");
    let other_account = full.replace("A1", "A2");
    let other_date = full.replace("03-02", "03-03");
    let no_date = full.replace("2026-03-02", "soon");
    let rows: Vec<(&str, &str, Result<String, String>)> = vec![
        (full, HOLDING, Ok(row.to_string())),
        (full, only_quantity, Ok(row.to_string())),
        (full, &no_portfolio, Ok(row.to_string())),
        (unsleeved, &no_portfolio, Ok(row.replace("portfolio_id=P1", "portfolio_id="))),
        (
            r#" { "portfolioId" : "P1", "x":[1], "instrumentId":"I1","accountId":"\u0041\u0031","businessDate":"2026-03-02" } "#,
            HOLDING,
            Ok(row.to_string()),
        ),
        (unsleeved, HOLDING, Err("portfolioId is \"\" in the key and \"P1\" in the value; they must be the same".into())),
        (
            &other_account,
            HOLDING,
            Err("accountId is \"A2\" in the key and \"A1\" in the value; they must be the same".into()),
        ),
        (
            &other_date,
            HOLDING,
            Err("businessDate is \"2026-03-03\" in the key and \"2026-03-02\" in the value; they must be the same".into()),
        ),
        (
            &no_date,
            HOLDING,
            Err("businessDate is \"soon\"; it must be an ISO 8601 date, such as \"2026-01-31\"".into()),
        ),
        ("null", HOLDING, Err(no_key.clone())),
        ("{}", HOLDING, Err(bad("{}"))),
        (r#"{"businessDate":"2026-03-02","instrumentId":"I1"}"#, HOLDING, Err(bad(r#"{"businessDate":"2026-03-02","instrumentId":"I1"}"#))),
        ("{oops", HOLDING, Err(bad("{oops"))),
        ("\"A1\"", HOLDING, Err(bad("\"A1\""))),
        ("[\"A1\"]", HOLDING, Err(bad("[\"A1\"]"))),
        ("", HOLDING, Err(bad("empty"))),
    ];
    for (key, value, expected) in rows {
        assert_eq!(outcome("base.sod-holding", key, value), expected, "{key} {value}");
    }
    assert_eq!(Desk::new().outcome("base.sod-holding", None, Some(HOLDING.as_bytes())), Err(no_key));
}

#[test]
fn a_single_key_stands_alone() {
    let order = |id: &str| outcome("base.order-events", id, ORDER);
    let wanted = "the orderId as a JSON string";
    assert!(order(r#""O1""#).is_ok());
    assert!(order(r#" "\u004f1" "#).is_ok());
    assert!(order(r#"{"orderId":"O1"}"#).is_ok());
    assert!(order("O1").is_ok());
    let differs = |key: &str| {
        Err(format!("orderId is {key} in the key and \"O1\" in the value; they must be the same"))
    };
    assert_eq!(order(r#""O2""#), differs("\"O2\""));
    assert_eq!(order("O2"), differs("\"O2\""));
    assert_eq!(order("\"\""), differs("\"\""));
    assert_eq!(order("null"), Err(format!("the record has no key; it must be {wanted}")));
    assert_eq!(order("\"O1"), Err(format!("the key is \"O1; it must be {wanted}")));
    assert_eq!(order(""), Err(format!("the key is empty; it must be {wanted}")));
    assert_eq!(order("[1]"), Err(format!("the key is [1]; it must be {wanted}")));
    let unnamed = outcome("base.order-events", "\"\"", &with("base.order-events", "orderId", ""));
    assert_eq!(unnamed, Err("orderId is \"\"; it must be the name of something".to_string()));
    let from_key = outcome("base.order-events", "\"O7\"", &with("base.order-events", "orderId", "")).unwrap();
    assert!(from_key.starts_with("upsert order_id=O7 "), "{from_key}");
}

#[test]
fn tombstones_have_a_key_and_no_value() {
    let delete = |topic: &str, key: &str| Desk::new().outcome(topic, Some(key.as_bytes()), None);
    assert_eq!(delete("base.order-events", "\"O1\"").as_deref(), Ok("delete order_id=O1"));
    let unsleeved = r#"{"businessDate":"2026-03-02","accountId":"A1","instrumentId":"I1"}"#;
    assert_eq!(
        delete("base.sod-holding", unsleeved).as_deref(),
        Ok("delete business_date=20514 account_id=A1 instrument_id=I1 portfolio_id=")
    );
    assert_eq!(
        delete("base.order-events", "\"\"").unwrap_err(),
        "orderId is \"\"; it must be the name of something"
    );
    assert!(
        delete("base.fx-rate", r#"{"fromCurrency":"EUR","toCurrency":"USD","rateType":"DEAD"}"#).is_err()
    );
    assert!(Desk::new().outcome("base.order-events", None, None).is_err());
}

#[test]
fn what_is_no_object_is_set_aside() {
    let rows: &[(&[u8], &str)] = &[
        (b"", "the value is not a JSON object: EOF while parsing a value at line 1 column 0"),
        (
            b"null",
            "the value is not a JSON object: invalid type: null, expected a JSON object at line 1 column 4",
        ),
        (
            b"[1]",
            "the value is not a JSON object: invalid type: sequence, expected a JSON object at line 1 column 0",
        ),
        (
            b"\"x\"",
            "the value is not a JSON object: invalid type: string \"x\", expected a JSON object at line 1 column 3",
        ),
        (b"{", "the value is not a JSON object: EOF while parsing an object at line 1 column 1"),
        (b"{}{}", "the value is not a JSON object: trailing characters at line 1 column 3"),
        (b"{\"price\":NaN}", "the value is not a JSON object: expected value at line 1 column 10"),
        (b"{\"price\":01}", "the value is not a JSON object: invalid number at line 1 column 11"),
        (b"{\"price\":1,}", "the value is not a JSON object: trailing comma at line 1 column 12"),
        (b"{'price':1}", "the value is not a JSON object: key must be a string at line 1 column 2"),
        (
            b"{\"price\":1,\"price\":2}",
            "the value is not a JSON object: price stands in it twice at line 1 column 18",
        ),
        (b"{\"x\":\"\xff\"}", "the value is no UTF-8 from byte 6 on; it must be JSON in UTF-8"),
        (b"\x00\x01\x02\x03", "the value is not a JSON object: expected value at line 1 column 1"),
    ];
    for (value, expected) in rows {
        let got = Desk::new().outcome("base.price", Some(b"\"I1\""), Some(value));
        assert_eq!(
            got.as_ref().map_err(String::as_str),
            Err(*expected),
            "{}",
            String::from_utf8_lossy(value)
        );
    }
    let got = Desk::new().outcome("base.price", Some(b"\xfe"), Some(PRICE.as_bytes()));
    assert_eq!(got, Err("the key is no UTF-8 from byte 0 on; it must be JSON in UTF-8".to_string()));
}

#[test]
fn unknown_fields_are_skipped_however_deep() {
    let plain = outcome("base.price", "\"I1\"", PRICE);
    let depth = 100_000;
    let nested = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for extra in ["1", "null", "\"\\u0041\"", "{\"price\":7}", "[[],{}]", &nested] {
        let value = PRICE.replacen('{', &format!("{{\"later\":{extra},"), 1);
        assert_eq!(outcome("base.price", "\"I1\"", &value), plain);
    }
    let open = PRICE.replacen('{', &format!("{{\"later\":{},", "[".repeat(depth)), 1);
    assert!(outcome("base.price", "\"I1\"", &open).is_err());
    assert!(outcome("base.price", "\"I1\"", &nested).is_err());
    assert!(outcome("base.price", "\"I1\"", &with("base.price", "price", &nested)).is_err());
}

#[test]
fn what_is_set_aside_is_kept_in_part() {
    let mut desk = Desk::new();
    let value = format!("{{\"x\":\"{}\"}}", "y".repeat(RECORD_BYTES_MAX));
    let aside = desk.decode("base.price", Some(b"\"I1\""), Some(value.as_bytes())).set_aside.remove(0);
    assert_eq!(
        (aside.topic.as_str(), aside.position.as_str(), aside.key.as_str()),
        ("base.price", "7:42", "\"I1\"")
    );
    let bytes = value.len() + 4;
    assert_eq!(
        aside.reason,
        format!("the record has {bytes} bytes; it must have at most {RECORD_BYTES_MAX}")
    );
    assert_eq!(aside.payload, value.as_bytes()[..QUARANTINE_PAYLOAD_BYTES_MAX]);

    let aside = desk.decode("base.price", Some(b"\xff\"I1\""), None).set_aside.remove(0);
    assert_eq!((aside.key.as_str(), aside.payload.as_slice()), ("\u{fffd}\"I1\"", &[][..]));

    let long = with("base.price", "currency", &format!("\"{}\"", "é".repeat(500)));
    let reason =
        outcome("base.price", "\"I1\"", &long.replace("\"version\":1", "\"version\":\"1\"")).unwrap_err();
    assert!(reason.len() < 300, "{reason}");
}

#[test]
fn bad_records_leave_no_trace_in_the_dictionaries() {
    let mut desk = Desk::new();
    for topic in ["base.order-events", "base.price", "base.sod-holding", "base.instrument"] {
        let value = with(topic, "version", "\"one\"");
        assert_eq!(
            desk.decode(topic, Some(sample(topic).0.as_bytes()), Some(value.as_bytes())).set_aside.len(),
            1
        );
    }
    let value = with("base.order-events", "side", "\"BYU\"");
    assert_eq!(desk.decode("base.order-events", Some(b"\"O1\""), Some(value.as_bytes())).set_aside.len(), 1);
    let dictionaries = desk.dictionaries.read().unwrap();
    assert_eq!(dictionaries.names.len(), 1, "only the empty text");
    assert!(dictionaries.keys.iter().all(|keys| keys.len() == 1));
}

#[test]
fn a_batch_keeps_the_order_of_arrival() {
    let mut desk = Desk::new();
    let (orders, prices) = (desk.schema.table("base.order_events").id, desk.schema.table("base.price").id);
    let values: Vec<String> =
        (0..3_000).map(|version| PRICE.replace("\"version\":1", &format!("\"version\":{version}"))).collect();
    let records = values.iter().enumerate().flat_map(|(at, value)| {
        let price =
            Record { table: prices, position: at, key: Some(&b"\"I1\""[..]), value: Some(value.as_bytes()) };
        [price, Record { table: orders, position: at, key: Some(b"\"O1\""), value: None }]
    });
    assert_eq!(desk.decoder.decode(records), 6_000);
    let cut = desk.decoder.take();
    let tables: Vec<usize> = cut.changes.iter().map(|changes| changes.table).collect();
    assert_eq!(tables, [orders, prices]);
    let version = desk.schema.tables[prices].version;
    assert!(cut.changes[1].iter().map(|(_, row)| row[version]).eq(0..3_000));
    assert!(desk.decoder.take().changes.is_empty());
}

const TOPICS: [&str; 8] = [
    "base.account",
    "base.instrument",
    "base.sod-holding",
    "base.business-date",
    "base.order-events",
    "base.cash-movement",
    "base.fx-rate",
    "base.price",
];

/// One edit of a byte string.
#[derive(Debug, Clone)]
enum Edit {
    Set(usize, u8),
    Insert(usize, Vec<u8>),
    Cut(usize, usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    let token = prop_oneof![
        prop::collection::vec(any::<u8>(), 1..4),
        prop::sample::select(vec![
            "\"", "\\", "{", "}", "[", "]", ",", ":", "null", "-", "0", "1e9", " ", "\\u0041", "é"
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    prop_oneof![
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        (any::<usize>(), token).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        (any::<usize>(), 1..8usize).prop_map(|(at, count)| Edit::Cut(at, count)),
    ]
}

fn apply(edits: &[Edit], text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for edit in edits {
        let place = |at: usize| if bytes.is_empty() { 0 } else { at % bytes.len() };
        match edit {
            Edit::Set(at, byte) => {
                let at = place(*at);
                bytes.splice(at..(at + 1).min(bytes.len()), [*byte]);
            }
            Edit::Insert(at, more) => {
                let at = place(*at);
                bytes.splice(at..at, more.iter().copied());
            }
            Edit::Cut(at, count) => {
                let at = place(*at);
                bytes.drain(at..(at + count).min(bytes.len()));
            }
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn noise_never_panics(
        topic in prop::sample::select(&TOPICS[..]),
        key in prop::option::of(prop::collection::vec(any::<u8>(), 0..40)),
        value in prop::option::of(prop::collection::vec(any::<u8>(), 0..200)),
    ) {
        Desk::new().decode(topic, key.as_deref(), value.as_deref());
    }

    /// What is good is JSON, and says of every column what a plain JSON reader says.
    #[test]
    fn mutants_are_read_right_or_set_aside(
        topic in prop::sample::select(&TOPICS[..]),
        in_key in prop::collection::vec(edit(), 0..2),
        in_value in prop::collection::vec(edit(), 0..4),
    ) {
        let (key, value) = sample(topic);
        let (key, value) = (apply(&in_key, key), apply(&in_value, value));
        let mut desk = Desk::new();
        if let Ok(row) = desk.outcome(topic, Some(&key), Some(&value)) {
            let json: serde_json::Value = serde_json::from_slice(&value).unwrap();
            let table = desk.schema.topic(topic).unwrap();
            for column in &table.columns {
                let Some(wire) = json.get(&column.field) else { continue };
                let cell = match (column.data_type, wire) {
                    (Type::Text | Type::Id, serde_json::Value::String(text)) => format!(" {}={text}", column.name),
                    (Type::Integer, serde_json::Value::Number(number)) => format!(" {}={number}", column.name),
                    _ => continue,
                };
                prop_assert!(row.contains(&cell), "{cell} is not in {row}");
            }
        }
    }

    /// However a publisher writes it, a record is the same.
    #[test]
    fn spelling_does_not_matter(
        topic in prop::sample::select(&TOPICS[..]),
        blanks in prop::sample::select(vec!["", " ", "\n\t", "\r\n  "]),
        escaped in any::<bool>(),
        rotation in 0..20usize,
    ) {
        let (key, value) = sample(topic);
        let map: serde_json::Map<String, serde_json::Value> = serde_json::from_str(value).unwrap();
        let mut fields: Vec<String> = map
            .iter()
            .map(|(name, value)| {
                let name = if escaped { name.replace('e', "\\u0065") } else { name.clone() };
                let value = if escaped { value.to_string().replace('A', "\\u0041") } else { value.to_string() };
                format!("{blanks}\"{name}\"{blanks}:{blanks}{value}{blanks}")
            })
            .collect();
        let count = fields.len();
        fields.rotate_left(rotation % count);
        let spelled = format!("{blanks}{{{}}}{blanks}", fields.join(","));
        let mut desk = Desk::new();
        let plain = desk.outcome(topic, Some(key.as_bytes()), Some(value.as_bytes()));
        prop_assert!(plain.is_ok());
        prop_assert_eq!(desk.outcome(topic, Some(key.as_bytes()), Some(spelled.as_bytes())), plain);
    }

    #[test]
    fn decimals_survive(digits in -999_999_999_999_999_999i64..=999_999_999_999_999_999, zeros in 0..4usize) {
        let text = datum::format_decimal(digits.into(), 8);
        let padded = if text.contains('.') { format!("{text}{}", "0".repeat(zeros)) } else { text.clone() };
        for json in [padded.clone(), format!("\"{padded}\""), format!("{digits}e-8")] {
            check("base.price", "price", &json, Ok(&format!("price={text}")));
        }
    }

    #[test]
    fn times_agree_with_chrono(us in -62_135_000_000_000_000i64..253_402_000_000_000_000, minutes in -1_439..1_440i32) {
        let utc = DateTime::from_timestamp_micros(us).unwrap();
        let local = utc.with_timezone(&FixedOffset::east_opt(minutes * 60).unwrap());
        for text in [
            utc.to_rfc3339_opts(SecondsFormat::Micros, true),
            local.to_rfc3339_opts(SecondsFormat::Micros, false),
        ] {
            check("base.price", "priceTime", &format!("\"{text}\""), Ok(&format!("price_time={us}")));
        }
    }

    #[test]
    fn dates_agree_with_chrono(days in -719_162..2_932_896i32) {
        let date = NaiveDate::from_num_days_from_ce_opt(days + 719_163).unwrap();
        check("base.business-date", "businessDate", &format!("\"{date}\""), Ok(&format!("business_date={days}")));
    }
}

#[test]
fn a_name_that_came_before_is_read_as_at_first() {
    let mut desk = Desk::new();
    let table = desk.schema.topic("base.order-events").unwrap().id;
    let trader = desk.schema.tables[table].column("trader");
    // Of every length around those that are compared in words, and alike but for a byte.
    let names: Vec<String> = (1..40)
        .flat_map(|length| {
            let name = |at: usize| (0..length).map(|n| if n == at { 'b' } else { 'a' }).collect::<String>();
            [name(0), name(length / 2), name(length - 1), name(length)]
        })
        .collect();
    for _ in 0..2 {
        for name in &names {
            let value = ORDER.replacen('{', &format!(r#"{{"trader":"{name}","#), 1);
            let record = Record {
                table,
                position: 0,
                key: Some(br#""O1""#.as_slice()),
                value: Some(value.as_bytes()),
            };
            assert_eq!(desk.decoder.decode([record]), 1);
            let cut = desk.decoder.take();
            let (_, row) = cut.changes[0].iter().next().unwrap();
            assert_eq!(desk.dictionaries.read().unwrap().names.text(row[trader] as u32), name);
        }
    }
    // Names that other columns have are known, and still none of these columns.
    for (good, bad) in [(r#""side":"BUY""#, r#""side":"NEW""#), (r#""status":"NEW""#, r#""status":"BUY""#)] {
        for (value, passes) in [(ORDER.to_owned(), 1), (ORDER.replace(good, bad), 0), (ORDER.to_owned(), 1)] {
            let record = Record {
                table,
                position: 0,
                key: Some(br#""O1""#.as_slice()),
                value: Some(value.as_bytes()),
            };
            assert_eq!(desk.decoder.decode([record]), passes, "{value}");
        }
        let reason = &desk.decoder.take().set_aside[0].reason;
        assert!(reason.contains("it must be one of"), "{reason}");
    }
}
