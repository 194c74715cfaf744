//! K: what accounts hold in cash.

use super::check_view;
use crate::desk::{Desk, NOW, by, recording};
use tickview::clock::SECOND_US;
use tickview::view::result::Unit;
use tickview::view::spec::{Basis, ViewSpec};

const LOCAL: &str = "sod current expected";
const BASE: &str = "sod_base current_base expected_base";
const ALL: &str = "sod current expected sod_base current_base expected_base overdrawn";

fn cash_only(fields: &str, measures: &str) -> ViewSpec {
    ViewSpec { view: "cash_only".to_owned(), ..by(fields, measures) }
}

#[track_caller]
fn check(desk: &mut Desk, fields: &str, measures: &str, expected: &[&str]) {
    check_view(desk, &cash_only(fields, measures), expected);
}

/// The end of the first day of `fixtures/desk`, record by record into views that stand open.
fn desk_at_close() -> Desk {
    let close = NOW + 7 * 3_600 * SECOND_US;
    let records: Vec<_> = recording("desk").into_iter().filter(|record| record.timestamp <= close).collect();
    let mut desk = Desk::new();
    desk.play(records[0].timestamp, &records[..1]);
    for fields in ["account_id currency", "currency"] {
        desk.show(&cash_only(fields, ALL));
    }
    for record in &records[1..] {
        desk.play(record.timestamp, std::slice::from_ref(record));
    }
    desk
}

#[test]
fn k1_desk_by_account_and_currency() {
    // Quantities and rates are those of the fixture's README. CHARLIE is in EUR: from USD 1 ÷ 1.25 = 0.8, from
    // GBP 1.5 · 0.8 = 1.2, from JPY 0.01 · 0.8 = 0.008. DELTA has no cash. The market order of CHARLIE takes
    // nothing. By (account, currency) BRAVO's EUR and CHARLIE's JPY and USD end below zero.
    check(
        &mut desk_at_close(),
        "account_id currency",
        ALL,
        &[
            "ALPHA - - - 51500 48900 43172.5 0",
            "ALPHA/GBP 1000 2000 3515 1500 3000 5272.5 0",
            "ALPHA/USD 50000 45900 37900 50000 45900 37900 0",
            "BRAVO - - - 20000 -11950 -401750 1",
            "BRAVO/EUR 0 -21560 -341560 0 -26950 -426950 1",
            "BRAVO/USD 20000 15000 25200 20000 15000 25200 0",
            "CHARLIE - - - 10600 -1028400 -1028400 2",
            "CHARLIE/EUR 10000 11000 11000 10000 11000 11000 0",
            "CHARLIE/GBP 500 500 500 600 600 600 0",
            "CHARLIE/JPY 0 -4000000 -4000000 0 -32000 -32000 1",
            "CHARLIE/USD 0 -1260000 -1260000 0 -1008000 -1008000 1",
            "all - - - - - - 3",
        ],
    );
}

#[test]
fn k1_desk_by_currency() {
    check(
        &mut desk_at_close(),
        "currency",
        ALL,
        &[
            "EUR 10000 -10560 -330560 - - - 1",
            "GBP 1500 2500 4015 - - - 0",
            "JPY 0 -4000000 -4000000 - - - 1",
            "USD 70000 -1199100 -1196900 - - - 1",
            "all - - - - - - 3",
        ],
    );
}

#[test]
fn k2_rate_is_direct_else_inverse_else_the_cross() {
    let mut desk = Desk::of(
        "account A1 CHF
        holding A1 SEK 1000
        holding A1 CHF 7
        fx SEK USD 0.1
        fx USD CHF 0.8",
    );
    let spec = cash_only("account_id currency", BASE);
    for (records, sek, all) in [
        // SEK → USD → CHF: 0.1 · 0.8.
        ("", "80", "87"),
        // USD → CHF the other way round: 1 ÷ 0.7 = 1.428571428571, with 0.1 rounded to 0.142857142857.
        ("delete fx USD CHF\nfx CHF USD 0.7", "142.857142857", "149.857142857"),
        // CHF → SEK inverse: 1 ÷ 16.
        ("fx CHF SEK 16", "62.5", "69.5"),
        ("fx SEK CHF 0.09", "90", "97"),
        ("fx SEK CHF 0.05 rateType=SOD", "90", "97"),
        ("delete fx SEK CHF\ndelete fx CHF SEK\ndelete fx CHF USD\nfx USD CHF 0.8", "80", "87"),
    ] {
        desk.feed(records);
        let rows =
            [format!("A1 {all} {all} {all}"), "A1/CHF 7 7 7".to_owned(), format!("A1/SEK {sek} {sek} {sek}")];
        assert_eq!(desk.show(&spec)[..3], rows, "after {records:?}");
        // The reporting currency of the view has no part in it.
        assert_eq!(desk.show(&ViewSpec { currency: "GBP".to_owned(), ..spec.clone() })[..3], rows);
    }
}

#[test]
fn k3_missing_rate_is_no_value_until_it_comes() {
    let mut desk = Desk::of(
        "account A1 USD
        holding A1 USD 10
        holding A1 CHF 100
        holding A1 CHF 50 portfolioId=CORE
        holding A1 NOK 0
        movement M1 A1 CHF -50 portfolioId=CORE",
    );
    let missing = [
        // Positions without a rate are counted by account, portfolio and currency, where they are not zero.
        "A1 - 10(PARTIAL:2) 10(PARTIAL:1) 10(PARTIAL:1)",
        "A1/CHF 150 -(MISSING) -(MISSING) -(MISSING)",
        "A1/NOK 0 0 0 0",
        "A1/USD 10 10 10 10",
        "all - - - -",
    ];
    let healed =
        ["A1 - 85 60 60", "A1/CHF 150 75 50 50", "A1/NOK 0 0 0 0", "A1/USD 10 10 10 10", "all - - - -"];
    let measures = "sod sod_base current_base expected_base";
    for (records, expected) in
        [("", missing), ("fx USD CHF 2", healed), ("delete fx USD CHF", missing), ("fx CHF USD 0.5", healed)]
    {
        desk.feed(records);
        check(&mut desk, "account_id currency", measures, &expected);
    }
}

#[test]
fn k4_base_currency_is_that_of_the_account_as_it_is_declared() {
    let mut desk = Desk::of(
        "account A1 USD
        fx EUR USD 1.25
        holding A1 EUR 100
        holding A2 EUR 100
        holding A2 USD 5",
    );
    for (records, of_a2) in [
        ("", ["-(MISSING)", "-(MISSING)", "-(MISSING)"]),
        ("account A2 EUR", ["104", "100", "4"]),
        ("account A2 USD version=2", ["130", "125", "5"]),
        // Both the base currency and the quantity, in one tick.
        ("account A2 EUR version=3\nholding A2 USD 10 version=2", ["108", "100", "8"]),
        ("account A2 GBP version=4", ["-(MISSING)", "-(MISSING)", "-(MISSING)"]),
        ("fx USD GBP 0.5", ["67.5", "62.5", "5"]),
        ("delete account A2", ["-(MISSING)", "-(MISSING)", "-(MISSING)"]),
    ] {
        desk.feed(records);
        let [all, eur, usd] = of_a2;
        let expected = [
            "A1 125".to_owned(),
            "A1/EUR 125".to_owned(),
            format!("A2 {all}"),
            format!("A2/EUR {eur}"),
            format!("A2/USD {usd}"),
            "all -".to_owned(),
        ];
        assert_eq!(
            desk.show(&cash_only("account_id currency", "current_base")),
            expected,
            "after {records:?}"
        );
    }
}

#[test]
fn k5_what_moves_cash_and_when_it_is_overdrawn() {
    let mut desk = Desk::of(
        "account A1 USD
        instrument X EQUITY USD
        price X 10 USD
        holding A1 USD 1000",
    );
    let measures = "sod current expected expected_base overdrawn";
    for (records, expected) in [
        ("", "1000 1000 1000 1000 0"),
        ("movement M1 A1 USD -100", "1000 900 900 900 0"),
        // 20 · 10 are paid, 30 · 11 will be.
        ("order O1 A1 X BUY 50 20 20 PARTIALLY_FILLED dayAvgPx=10 limitPrice=11", "1000 700 370 370 0"),
        // A market order is no amount of cash yet; neither is a price one of cash.
        ("order O2 A1 X BUY 500 0 0 NEW", "1000 700 370 370 0"),
        ("price X 12 USD version=2", "1000 700 370 370 0"),
        ("order O3 A1 X BUY 100 0 0 NEW limitPrice=10", "1000 700 -630 -630 1"),
        // Exactly nothing left is not overdrawn.
        ("movement M2 A1 USD 630", "1000 1330 0 0 0"),
        ("delete movement M2 A1 USD 630", "1000 700 -630 -630 1"),
        ("order O3 A1 X BUY 100 0 0 CANCELLED limitPrice=10 version=2", "1000 700 370 370 0"),
    ] {
        desk.feed(records);
        let row = desk.cell("cash_only", "account_id currency", "A1/USD", measures).unwrap();
        assert_eq!(row, expected, "after {records:?}");
    }
}

#[test]
fn k6_overdrawn_is_of_an_account_and_currency_within_the_group() {
    let mut desk = Desk::of(
        "account A1 USD
        account A2 USD
        fx EUR USD 1.25
        holding A1 USD -5
        holding A1 USD 7 portfolioId=CORE
        holding A1 EUR -1
        holding A2 USD -1
        holding A2 EUR -1
        holding A2 EUR -1 portfolioId=CORE",
    );
    check(
        &mut desk,
        "account_id currency",
        "overdrawn",
        &["A1 1", "A1/EUR 1", "A1/USD 0", "A2 2", "A2/EUR 1", "A2/USD 1", "all 3"],
    );
    check(&mut desk, "portfolio_id", "overdrawn", &[" 4", "CORE 1", "all 3"]);
    check(&mut desk, "currency", "overdrawn", &["EUR 2", "USD 1", "all 3"]);
}

#[test]
fn k7_amounts_of_several_currencies_are_never_added_up() {
    let mut desk = Desk::of(
        "account A1 USD
        account A2 EUR
        fx EUR USD 1.25
        holding A1 USD 10
        holding A2 EUR 20
        holding A2 USD 30",
    );
    let measures = "current current_base";
    for (fields, expected) in [
        ("", vec!["all - -"]),
        ("account_id", vec!["A1 - 10", "A2 - 44", "all - -"]),
        ("currency", vec!["EUR 20 -", "USD 40 -", "all - -"]),
        // An instrument has one currency.
        ("instrument_id", vec!["EUR 20 -", "USD 40 -", "all - -"]),
        ("asset_class", vec!["CASH - -", "all - -"]),
        (
            "currency account_id",
            vec!["EUR 20 -", "EUR/A2 20 20", "USD 40 -", "USD/A1 10 10", "USD/A2 30 24", "all - -"],
        ),
        ("long_short account_id", vec!["LONG - -", "LONG/A1 - 10", "LONG/A2 - 44", "all - -"]),
    ] {
        check(&mut desk, fields, measures, &expected);
    }
    // It is the fields that say so, not how many currencies there happen to be.
    desk.feed("delete holding A2 USD 30\ndelete holding A2 EUR 20");
    check(&mut desk, "account_id", measures, &["A1 - 10", "all - -"]);
    check(&mut desk, "currency", measures, &["USD 10 -", "all - -"]);
}

#[test]
fn k8_rows_are_legs_on_cash_and_no_others() {
    let mut desk = Desk::of(
        "account A1 USD
        instrument X EQUITY USD
        price X 10 USD
        holding A1 X 5
        holding A2 X 5
        holding A1 USD 0
        holding A3 XYZ 3",
    );
    let expected = ["A1/USD 0", "A3/XYZ 3"];
    let shown = |desk: &mut Desk| -> Vec<String> {
        let rows = desk.show(&cash_only("account_id currency", "current"));
        rows.into_iter().filter(|row| row.contains('/')).collect()
    };
    assert_eq!(shown(&mut desk), expected);
    assert_eq!(desk.show(&cash_only("sector", "overdrawn")), ["- 0", "all 0"]);
    // What is taken for cash until it is declared goes with its account, and comes back.
    desk.feed("instrument XYZ EQUITY USD");
    assert_eq!(shown(&mut desk), ["A1/USD 0"]);
    check(&mut desk, "account_id", "overdrawn", &["A1 0", "all 0"]);
    desk.feed("instrument XYZ CASH EUR version=2");
    assert_eq!(shown(&mut desk), ["A1/USD 0", "A3/EUR 3"]);
    desk.feed("delete instrument XYZ");
    assert_eq!(shown(&mut desk), expected);
    // A fill brings a cash leg, the last one takes the group.
    desk.feed("order O A2 X BUY 2 2 2 FILLED dayAvgPx=10");
    assert_eq!(shown(&mut desk), ["A1/USD 0", "A2/USD -20", "A3/XYZ 3"]);
    desk.feed("delete order O A2 X BUY 2 2 2 FILLED\ndelete holding A1 USD 0");
    assert_eq!(shown(&mut desk), ["A3/XYZ 3"]);
}

#[test]
fn k9_cash_of_another_name_is_of_its_currency() {
    let mut desk = Desk::of(
        "account A1 EUR
        instrument VAULT CASH USD
        holding A1 VAULT -5
        holding A1 USD 7",
    );
    let measures = "current current_base overdrawn";
    // One position, without a rate.
    check(
        &mut desk,
        "account_id currency",
        measures,
        &["A1 - -(MISSING) 0", "A1/USD 2 -(MISSING) 0", "all - - 0"],
    );
    desk.feed("holding A1 EUR 1");
    check(
        &mut desk,
        "account_id currency",
        measures,
        &["A1 - 1(PARTIAL:1) 0", "A1/EUR 1 1 0", "A1/USD 2 -(MISSING) 0", "all - - 0"],
    );
    desk.feed("fx EUR USD 2");
    check(
        &mut desk,
        "account_id instrument_id",
        measures,
        &["A1 - 2 0", "A1/EUR 1 1 0", "A1/USD 7 3.5 0", "A1/VAULT -5 -2.5 1", "all - - 0"],
    );
    // Long and short are of instruments, netting is of currencies, each within the group.
    check(
        &mut desk,
        "currency long_short account_id",
        "current overdrawn",
        &[
            "EUR 1 0",
            "EUR/LONG 1 0",
            "EUR/LONG/A1 1 0",
            "USD 2 0",
            "USD/LONG 7 0",
            "USD/LONG/A1 7 0",
            "USD/SHORT -5 1",
            "USD/SHORT/A1 -5 1",
            "all - 0",
        ],
    );
    desk.feed("instrument VAULT CASH EUR version=2");
    check(
        &mut desk,
        "account_id currency",
        measures,
        &["A1 - -0.5 1", "A1/EUR -4 -4 1", "A1/USD 7 3.5 0", "all - - 1"],
    );
}

#[test]
fn k10_columns_go_by_exposure_and_say_what_they_count() {
    let mut desk = Desk::of("account A1 USD\nholding A1 USD 1");
    let columns = |desk: &mut Desk, exposures: &[Basis]| -> Vec<(String, Unit)> {
        let view = desk.open(&ViewSpec { exposures: exposures.to_vec(), ..cash_only("currency", "*") });
        let columns = desk.engine.view(view).columns();
        columns.iter().map(|column| (column.name.clone(), column.unit)).collect()
    };
    let of = |name: &str, unit: Unit| (name.to_owned(), unit);
    assert_eq!(
        columns(&mut desk, &[Basis::Expected]),
        [of("expected", Unit::Local), of("expected_base", Unit::Base), of("overdrawn", Unit::Count)]
    );
    let names: Vec<String> = columns(&mut desk, &Basis::ALL).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names.join(" "), ALL);
    assert_eq!(format!("{LOCAL} {BASE} overdrawn"), ALL);
}

#[test]
fn k11_there_and_back_again() {
    let mut desk = Desk::of(
        "account A1 EUR
        account A2 USD
        fx EUR USD 1.234567890123
        fx USD JPY 151.3
        holding A1 USD 100.000001
        holding A1 JPY -77777
        holding A2 EUR -0.000001
        holding A2 JPY 3",
    );
    let open = desk.open(&cash_only("currency account_id portfolio_id", "*"));
    let before = desk.read(open);
    for (there, back) in [
        ("fx EUR USD 1.3 version=2", "fx EUR USD 1.234567890123 version=3"),
        ("delete fx USD JPY", "fx USD JPY 151.3"),
        ("account A1 JPY version=2", "account A1 EUR version=3"),
        ("delete account A2", "account A2 USD"),
        ("instrument JPY CASH GBP", "delete instrument JPY"),
        ("movement M1 A1 USD 5 portfolioId=CORE", "delete movement M1 A1 USD 5"),
        ("holding A2 EUR 4 version=2", "holding A2 EUR -0.000001 version=3"),
    ] {
        desk.feed(there);
        assert_ne!(desk.read(open), before, "{there} is seen");
        desk.feed(back);
        assert_eq!(desk.read(open), before, "{back}");
        let anew = desk.open(&cash_only("currency account_id portfolio_id", "*"));
        assert_eq!(desk.read(anew), before, "opened anew after {back}");
        desk.engine.close(anew);
    }
}
