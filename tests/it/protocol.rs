//! The wire: golden messages, what is rejected and why, and how values are written.

use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::Value;
use tickview::catalog::{Account, Catalog, Kind, Measure, Rollover, Status, View};
use tickview::clock::DAY_US;
use tickview::datum::{Datum, NULL, format_decimal, parse_decimal};
use tickview::dictionary::Dictionaries;
use tickview::diff::{Patch, Snapshot, Subscription, ViewModel, Window};
use tickview::ingest::source::{self, Progress};
use tickview::schema::Schema;
use tickview::serve::protocol::{
    AsOf, ColumnSchema, Head, PatchFrame, ProgressFrame, Query, Row, ServerMessage, SnapshotFrame, Spec,
    Total, catalog_json, parse_client, patch_body, snapshot_body, status_json, time_text, write_decimal,
};
use tickview::view::result::{Cell, Column, Form, Heading, RowId, Unit, ViewResult};
use tickview::view::spec::{Basis, Comparison, Expanded, Filter, Selection, SortKey, ViewSpec};

use crate::wire;

const CLIENT: [&str; 11] =
    ["hello", "open", "change", "window", "expand", "collapse", "pause", "resume", "ack", "close", "ping"];
const SERVER: [&str; 10] =
    ["welcome", "opened", "progress", "snapshot", "patch", "gap", "stale", "heartbeat", "reject", "bye"];

fn cases(kind: &str) -> Vec<Value> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/protocol/{kind}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

#[test]
fn golden_messages_of_clients_are_read_and_written() {
    for kind in CLIENT {
        for case in cases(kind) {
            let read = parse_client(&case["message"].to_string())
                .unwrap_or_else(|r| panic!("{}: {r:?}", case["name"]));
            assert_eq!(serde_json::to_value(read).unwrap(), case["message"], "{kind}: {}", case["name"]);
        }
    }
}

#[test]
fn golden_messages_of_the_server_are_read_and_written() {
    for kind in SERVER {
        for case in cases(kind) {
            let read = ServerMessage::parse(&case["message"].to_string()).unwrap();
            let written: Value = serde_json::from_str(&read.text()).unwrap();
            assert_eq!(written, case["message"], "{kind}: {}", case["name"]);
        }
    }
}

#[test]
fn progress_says_what_it_counts_where_that_is_no_rows() {
    let progress = |unit| Progress { topic: "base.price".to_owned(), done: 1, total: 2, unit };
    let text = |unit| ServerMessage::Progress(ProgressFrame::from(&progress(unit))).text();
    assert_eq!(text(source::Unit::Rows), r#"{"type":"progress","source":"base.price","done":1,"total":2}"#);
    let bytes = r#"{"type":"progress","source":"base.price","done":1,"total":2,"unit":"bytes"}"#;
    assert_eq!(text(source::Unit::Bytes), bytes);
}

#[test]
fn golden_specifications_mean_something() {
    for case in cases("open").iter().chain(&cases("change")) {
        let spec: Spec = serde_json::from_value(case["message"]["spec"].clone()).unwrap();
        spec.query().unwrap_or_else(|error| panic!("{}: {error}", case["name"]));
    }
}

/// Golden cells are texts of any kind: each is a name of a dictionary made for the test.
struct Golden {
    dictionaries: Dictionaries,
    columns: Vec<Column>,
}

impl Golden {
    fn new(columns: usize) -> Golden {
        let column = |n| Column { name: format!("c{n}"), form: Form::Name, unit: Unit::Text };
        Golden {
            dictionaries: Dictionaries::new(&Schema::base()),
            columns: (0..columns).map(column).collect(),
        }
    }

    /// A state as golden patches tell it.
    fn state(&mut self, state: &Value) -> Snapshot {
        let rows: Vec<Row> = serde_json::from_value(state["rows"].clone()).unwrap();
        let total: Total = serde_json::from_value(state["total"].clone()).unwrap();
        let at = |field: &str| state[field].as_u64().unwrap() as usize;
        wire::snapshot(at("size"), at("from"), &rows, &total, &mut self.read())
    }

    fn patch(&mut self, frame: &PatchFrame) -> Patch {
        wire::patch(frame, &mut self.read())
    }

    fn read(&mut self) -> impl FnMut(Option<&str>) -> Datum {
        |text| text.map_or(NULL, |text| self.dictionaries.names.intern(text).into())
    }
}

/// Microseconds of a golden time, whose days all are of 2026-03.
fn time(text: &str) -> i64 {
    let day: i64 = text[8..10].parse().unwrap();
    let part = |range: std::ops::Range<usize>| text[range].parse::<i64>().unwrap();
    let of_day = part(11..13) * 3600 + part(14..16) * 60 + part(17..19);
    let ms = if text.len() > 20 { part(20..23) } else { 0 };
    // 2026-03-01 is 20,513 days after 1970-01-01.
    (20_513 + day - 1) * DAY_US + of_day * 1_000_000 + ms * 1_000
}

#[test]
fn golden_patches_are_written_and_turn_before_into_after() {
    for case in cases("patch") {
        let ServerMessage::Patch(frame) = ServerMessage::parse(&case["message"].to_string()).unwrap() else {
            panic!("a case of patch.json is a patch");
        };
        let columns = case["before"]["total"]["values"].as_array().unwrap().len();
        let mut golden = Golden::new(columns);
        let patch = golden.patch(&frame);

        let mut model = ViewModel::new(golden.state(&case["before"]));
        model.apply(&patch).unwrap();
        assert_eq!(model.held(), &golden.state(&case["after"]), "{}", case["name"]);

        let head = Head { view_id: &frame.view_id, view_version: frame.view_version, seq: frame.seq };
        let mut text = head.patch();
        let as_of = AsOf { epoch: frame.as_of.epoch, time: time(&frame.as_of.time) };
        patch_body(&patch, as_of, &golden.columns, &golden.dictionaries, &mut text);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), case["message"], "{}", case["name"]);
    }
}

/// A result of which only the window is known.
struct Shown {
    columns: Vec<Column>,
    snapshot: Snapshot,
}

impl ViewResult for Shown {
    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn size(&self) -> usize {
        self.snapshot.size
    }

    fn rows(&self, _: usize, _: usize, into: &mut Vec<RowId>) {
        into.extend((0..self.snapshot.rows.len() as u64).map(RowId));
    }

    fn heading(&self, row: RowId) -> Heading {
        self.snapshot.rows[row.0 as usize].heading.clone()
    }

    fn cells(&self, row: RowId, into: &mut Vec<Cell>) {
        into.extend_from_slice(&self.snapshot.rows[row.0 as usize].cells);
    }

    fn total(&self, into: &mut Vec<Cell>) {
        into.extend_from_slice(&self.snapshot.total);
    }
}

#[test]
fn golden_snapshots_are_written() {
    for case in cases("snapshot") {
        let frame: SnapshotFrame = serde_json::from_value(case["message"].clone()).unwrap();
        let mut golden = Golden::new(frame.total.values.len());
        let snapshot = golden.state(&case["message"]);
        let mut held = Subscription::new(Window { from: frame.from, to: frame.from + 100 });
        held.load(&Shown { columns: golden.columns.clone(), snapshot });
        let mut text =
            Head { view_id: &frame.view_id, view_version: frame.view_version, seq: frame.seq }.snapshot();
        let as_of = AsOf { epoch: frame.as_of.epoch, time: time(&frame.as_of.time) };
        snapshot_body(&held, as_of, &golden.columns, &golden.dictionaries, &mut text);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), case["message"], "{}", case["name"]);
    }
}

#[test]
fn golden_schema_is_written() {
    let decimal = |scale| Form::Decimal { scale };
    let columns = [
        ("mv_sod", decimal(18), Unit::Money),
        ("weight_sod", decimal(10), Unit::Weight),
        ("quantity", decimal(6), Unit::Quantity),
        ("unit_price", decimal(10), Unit::Price),
        ("mv_local", decimal(18), Unit::Local),
        ("holdings", decimal(0), Unit::Count),
        ("price_time_max", Form::Time, Unit::Time),
        ("account_id", Form::Name, Unit::Text),
    ];
    let columns = columns.map(|(name, form, unit)| Column { name: name.to_owned(), form, unit });
    let schema: Vec<ColumnSchema> = columns.iter().map(ColumnSchema::from).collect();
    assert_eq!(serde_json::to_value(schema).unwrap(), cases("opened")[0]["message"]["schema"]);
}

#[test]
fn p11_a_frame_that_does_not_fit_is_rejected_by_code() {
    let open = |spec: &str| {
        format!(
            r#"{{"type":"open","viewId":"v","viewVersion":7,"window":{{"from":0,"to":1}},"spec":{spec}}}"#
        )
    };
    let rows: Vec<(String, &str, &str)> = vec![
        ("".into(), "BAD_FRAME", "not JSON"),
        ("{".into(), "BAD_FRAME", "not JSON"),
        ("[]".into(), "BAD_FRAME", "not a frame"),
        ("17".into(), "BAD_FRAME", "not a frame"),
        ("{}".into(), "BAD_FRAME", "`type`"),
        (r#"{"type":null}"#.into(), "BAD_FRAME", "`type`"),
        (r#"{"type":"opne"}"#.into(), "UNKNOWN_TYPE", "\"opne\""),
        (r#"{"type":"ack","viewId":"v"}"#.into(), "BAD_FRAME", "seq"),
        (r#"{"type":"ack","viewId":"v","seq":-1}"#.into(), "BAD_FRAME", "ack"),
        (r#"{"type":"ack","viewId":"v","seq":1,"sqe":2}"#.into(), "BAD_FRAME", "sqe"),
        (r#"{"type":"pause","viewId":"v","mode":"none"}"#.into(), "BAD_FRAME", "none"),
        (r#"{"type":"expand","viewId":"v"}"#.into(), "BAD_FRAME", "key or a level"),
        (r#"{"type":"expand","viewId":"v","key":["a"],"level":1}"#.into(), "BAD_FRAME", "key or a level"),
        (open("7"), "BAD_SPEC", ""),
        (open("{}"), "BAD_SPEC", "view"),
        (open(r#"{"view":"w","groupby":[]}"#), "BAD_SPEC", "groupby"),
        (open(r#"{"sql":"SELECT 1","view":"w"}"#), "BAD_SPEC", "view"),
        (open(r#"{"view":"w","accounts":3}"#), "BAD_SPEC", "accounts are"),
        (open(r#"{"view":"w","expanded":3}"#), "BAD_SPEC", "expanded is"),
        (open(r#"{"view":"w","sort":[{"column":"a"}]}"#), "BAD_SPEC", "desc"),
    ];
    for (frame, code, part) in rows {
        let reject = parse_client(&frame).expect_err(&frame);
        assert_eq!(reject.code, code, "{frame}");
        assert!(reject.message.contains(part), "{frame}: {}", reject.message);
        let named = frame.contains(r#""viewId":"v""#).then(|| "v".to_owned());
        assert_eq!(reject.view_id, named, "{frame}");
        assert_eq!(reject.view_version, frame.contains(r#""viewVersion":7"#).then_some(7), "{frame}");
    }
}

#[test]
fn words_that_mean_nothing_are_rejected() {
    let rows = [
        (r#"{"view":"w","accounts":"some"}"#, "\"some\""),
        (r#"{"view":"w","expanded":"level:x"}"#, "level:x"),
        (r#"{"view":"w","expanded":"deep"}"#, "deep"),
        (r#"{"view":"w","exposures":["sod"]}"#, "\"sod\""),
        (r#"{"view":"w","filter":[{"column":"a","op":"~","value":"1"}]}"#, "\"~\""),
        (r#"{"view":"w","scenario":"crash"}"#, "scenario"),
    ];
    for (spec, part) in rows {
        let spec: Spec = serde_json::from_str(spec).unwrap();
        let error = spec.query().unwrap_err();
        assert_eq!(error.code, "BAD_SPEC");
        assert!(error.message.contains(part), "{error}");
    }
}

#[test]
fn what_a_specification_leaves_out_has_its_default() {
    let spec: Spec =
        serde_json::from_str(r#"{"view":"account_overview","accounts":"all","groupBy":[]}"#).unwrap();
    assert_eq!(spec.query().unwrap(), Query::View(ViewSpec::new("account_overview")));
}

#[test]
fn specifications_survive_the_wire() {
    let full = ViewSpec {
        accounts: Selection::Only(vec!["A1".to_owned()]),
        portfolios: Some(vec![String::new(), "P1".to_owned()]),
        group_by: vec!["sector".to_owned()],
        exposures: vec![Basis::Current],
        columns: Some(vec!["mv_current".to_owned()]),
        sort: vec![SortKey { column: "mv_current".to_owned(), descending: true }],
        filter: vec![Filter { column: "sector".to_owned(), comparison: Comparison::NotEqual, value: None }],
        expanded: Expanded::Keys(vec![vec![None], vec![Some("Energy".to_owned())]]),
        currency: "EUR".to_owned(),
        exclude_cash: true,
        ..ViewSpec::new("account_overview")
    };
    let none = ViewSpec {
        accounts: Selection::Only(Vec::new()),
        expanded: Expanded::None,
        ..ViewSpec::new("holdings")
    };
    let level = ViewSpec { expanded: Expanded::Level(3), ..ViewSpec::new("orders") };
    for spec in [full, none, level, ViewSpec { expanded: Expanded::All, ..ViewSpec::new("orders") }] {
        let text = serde_json::to_string(&Spec::from(&spec)).unwrap();
        let back: Spec = serde_json::from_str(&text).unwrap();
        assert_eq!(back.query().unwrap(), Query::View(spec));
    }
}

fn decimal(value: i128, scale: u8) -> String {
    let mut out = String::new();
    write_decimal(&mut out, value, scale);
    out
}

proptest! {
    #[test]
    fn decimals_are_written_as_they_are_formatted(value in any::<i128>(), digits in 0u32..39, scale in 0u8..=38) {
        let value = value % 10i128.pow(digits.min(38));
        prop_assert_eq!(decimal(value, scale), format_decimal(value, scale));
        prop_assert_eq!(parse_decimal(&decimal(value, scale), 38, scale), Ok(value));
    }
}

#[test]
fn decimals_are_plain() {
    let rows = [
        (0, 0, "0"),
        (0, 18, "0"),
        (-1, 6, "-0.000001"),
        (1_250_500, 3, "1250.5"),
        (-120, 0, "-120"),
        (12_345_678_901_234_567_890_123_456_789_012_345_678, 18, "12345678901234567890.123456789012345678"),
        (99_999_999_999_999_999_999_999_999_999_999_999_999, 38, "0.99999999999999999999999999999999999999"),
        (18_446_744_073_709_551_616, 0, "18446744073709551616"),
        (10_000_000_000_000_000_000_000, 3, "10000000000000000000"),
    ];
    for (value, scale, expected) in rows {
        assert_eq!(decimal(value, scale), expected);
    }
}

#[test]
fn times_have_as_many_digits_as_they_need() {
    let rows = [
        (0, "1970-01-01T00:00:00Z"),
        (1_772_461_800_100_000, "2026-03-02T14:30:00.100Z"),
        (1_772_461_800_100_001, "2026-03-02T14:30:00.100001Z"),
        (1_772_461_801_000_000, "2026-03-02T14:30:01Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
    ];
    for (time, expected) in rows {
        assert_eq!(time_text(time), expected);
    }
}

#[test]
fn every_form_is_written() {
    let mut dictionaries = Dictionaries::new(&Schema::base());
    let name = dictionaries.names.intern("A \"quoted\"\\name\n\u{1}é");
    let orders = Schema::base().table("base.order_events").id;
    let order = dictionaries.keys[orders].intern("O-1");
    let columns = [
        (Form::Name, Unit::Text, i128::from(name), r#""A \"quoted\"\\name\u000a\u0001é""#),
        (Form::Id { table: orders }, Unit::Text, i128::from(order), r#""O-1""#),
        (Form::Date, Unit::Time, 20_514, r#""2026-03-02""#),
        (Form::Time, Unit::Time, 1_772_461_800_100_000, r#""2026-03-02T14:30:00.100Z""#),
        (Form::Decimal { scale: 2 }, Unit::Money, -50, r#""-0.5""#),
        (Form::Decimal { scale: 2 }, Unit::Money, NULL, "null"),
    ];
    let total: Vec<Cell> = columns.iter().map(|column| Cell::new(column.2)).collect();
    let expected = columns.map(|column| column.3).join(",");
    let columns: Vec<Column> = columns
        .iter()
        .map(|column| Column { name: "c".to_owned(), form: column.0, unit: column.1 })
        .collect();
    let mut held = Subscription::new(Window::ALL);
    let snapshot = Snapshot { size: 0, from: 0, rows: Vec::new(), total };
    held.load(&Shown { columns: columns.clone(), snapshot });
    let mut text = String::new();
    snapshot_body(&held, AsOf { epoch: 1, time: 0 }, &columns, &dictionaries, &mut text);
    assert!(text.ends_with(&format!(r#""total":{{"values":[{expected}],"quality":{{}}}}}}"#)), "{text}");
}

#[test]
fn the_catalogue_has_the_agreed_shape() {
    let status = Status {
        business_date: Some("2026-03-02".to_owned()),
        rollover: Some(Rollover { to: "2026-03-03".to_owned(), arrived: 120, expected: 5_000 }),
        epoch: 812,
        ready: true,
    };
    let account = Account {
        id: "A1".to_owned(),
        name: None,
        strategy: Some("Value".to_owned()),
        region: None,
        base_currency: None,
    };
    let measure = Measure {
        name: "mv_sod".to_owned(),
        title: "MV SOD".to_owned(),
        unit: Unit::Money,
        basis: Some(Basis::Sod),
        scale: 18,
        doc: "What it is.".to_owned(),
    };
    let view = View {
        name: "account_overview".to_owned(),
        title: "Account Overview".to_owned(),
        kind: Kind::Grouped,
        group_by: vec!["sector".to_owned()],
        default_group_by: vec!["sector".to_owned()],
        exposures: true,
        portfolios: false,
        measures: vec![measure],
    };
    let catalog = Catalog {
        status: status.clone(),
        accounts: vec![account],
        portfolios: vec![String::new()],
        currencies: vec!["USD".to_owned()],
        views: vec![view],
    };
    let expected = serde_json::json!({
        "businessDate": "2026-03-02",
        "rollover": {"to": "2026-03-03", "arrived": 120, "expected": 5000},
        "epoch": 812,
        "accounts": [{"id": "A1", "name": null, "strategy": "Value", "region": null, "baseCurrency": null}],
        "portfolios": [""],
        "currencies": ["USD"],
        "views": [{
            "name": "account_overview", "title": "Account Overview", "kind": "grouped",
            "groupBy": ["sector"], "defaultGroupBy": ["sector"], "exposures": true, "portfolios": false,
            "measures": [{"name": "mv_sod", "title": "MV SOD", "unit": "money", "basis": "SOD", "scale": 18, "doc": "What it is."}],
        }],
    });
    assert_eq!(serde_json::from_str::<Value>(&catalog_json(&catalog)).unwrap(), expected);
    let expected = serde_json::json!({
        "businessDate": "2026-03-02",
        "rollover": {"to": "2026-03-03", "arrived": 120, "expected": 5000},
        "epoch": 812,
        "ready": true,
    });
    assert_eq!(serde_json::from_str::<Value>(&status_json(&status)).unwrap(), expected);
    let none = serde_json::from_str::<Value>(&status_json(&Status::default())).unwrap();
    assert_eq!(none["businessDate"], Value::Null);
    assert_eq!(none["rollover"], Value::Null);
}
