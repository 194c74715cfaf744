//! D5, D9 and B: order of arrival and the business date.

use super::{check, everything};
use crate::desk::{Desk, by};

/// Two days of records that name each other in every way.
const RECORDS: &str = "
    date 2026-03-02 4
    account A1 USD strategy=Growth
    instrument ACME EQUITY USD sector=Tech
    instrument BRIT EQUITY GBP priceScale=0.01 sector=Energy
    instrument CALL OPTION USD contractMultiplier=100 underlyingId=ACME delta=0.5
    holding A1 ACME 100 sodPrice=90
    holding A1 BRIT -50 sodPrice=480
    holding A2 CALL 3 sodPrice=4
    holding A2 GBP 1000
    price ACME 100 USD
    price ACME 101 USD version=2
    price BRIT 500 GBP
    price CALL 5 USD
    fx GBP USD 1.5
    fx GBP USD 1.4 rateType=SOD
    order O1 A1 ACME BUY 10 0 0 NEW limitPrice=99
    order O1 A1 ACME BUY 10 4 4 PARTIALLY_FILLED dayAvgPx=98 limitPrice=99 version=2
    order O1 A1 ACME BUY 10 4 4 CANCELLED dayAvgPx=98 limitPrice=99 version=3
    order O2 A2 BRIT SELL_SHORT 20 5 5 PARTIALLY_FILLED dayAvgPx=501 version=1
    order O2 A2 BRIT SELL_SHORT 20 6 1 PARTIALLY_FILLED dayAvgPx=502 version=2 businessDate=2026-03-03
    order O3 A1 CALL BUY 2 1 1 PARTIALLY_FILLED dayAvgPx=5
    movement M1 A1 USD 50
    movement M2 A1 USD 60 businessDate=2026-03-03";

const SECOND_DAY: &str = "
    date 2026-03-03 2 version=2
    holding A1 ACME 104 sodPrice=101 businessDate=2026-03-03
    holding A2 BRIT -5 sodPrice=500 portfolioId=CORE businessDate=2026-03-03";

/// The lines in an order of their own for each number.
fn shuffled<'a>(lines: &[&'a str], number: u64) -> Vec<&'a str> {
    let mut lines = lines.to_vec();
    match number {
        0 => {}
        1 => lines.reverse(),
        seed => {
            // Knuth's linear congruential generator: enough to mix some thirty lines.
            let mut state = seed;
            for at in (1..lines.len()).rev() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                lines.swap(at, (state >> 33) as usize % (at + 1));
            }
        }
    }
    lines
}

#[track_caller]
fn check_arrival(records: &str) -> Desk {
    let lines: Vec<_> = records.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let mut first = Desk::of(records);
    let expected = everything(&mut first);
    for number in 0..8 {
        let lines = shuffled(&lines, number);
        let mut desk = Desk::new();
        for tick in lines.chunks(1 + number as usize * 2 % 7) {
            everything(&mut desk);
            desk.feed(&tick.join("\n"));
        }
        assert_eq!(everything(&mut desk), expected, "arrived as {lines:#?}");
    }
    first
}

#[test]
fn d5_any_order_of_arrival_within_a_day() {
    let mut desk = check_arrival(RECORDS);
    let expected = [
        // 100 · 101 − 50 · 7.5; +4 · 101 − 392, one option at market, +50.
        "A1 9725 9787 9787",
        // 3 · 500 + 1500; −5 · 7.5 + 5 · 5.01 · 1.5.
        "A2 3000 3000.075 3000.075",
        "all 12725 12787.075 12787.075",
    ];
    check(&mut desk, "account_id", "mv_sod mv_current mv_expected", &expected);
}

#[test]
fn d5_any_order_of_arrival_over_two_days() {
    let mut desk = check_arrival(&format!("{RECORDS}{SECOND_DAY}"));
    let expected = [
        // 104 · 101; +60 of the movement; +1 option and its cash at market.
        "A1 10504 10564 10564",
        // −5 · 7.5; −1 · 7.5 + 1 · 5.02 · 1.5.
        "A2 -37.5 -37.47 -37.47",
        "all 10466.5 10526.53 10526.53",
    ];
    check(&mut desk, "account_id", "mv_sod mv_current mv_expected", &expected);
}

#[test]
fn d5_three_letter_instrument_declared_after_its_order() {
    let order = "order O A1 IBM BUY 10 4 4 PARTIALLY_FILLED dayAvgPx=100 limitPrice=100";
    let holding = "holding A1 IBM 7 sodPrice=90";
    let price = "price IBM 100 USD";
    let declared = "instrument IBM EQUITY USD sector=Tech";
    let measures = "mv_sod mv_current mv_expected holdings orders";

    let mut desk = Desk::of(&[order, holding, price].join("\n"));
    // Cash in a currency IBM that has no rate; an order on cash counts nowhere.
    check(
        &mut desk,
        "asset_class instrument_id",
        measures,
        &[
            "CASH -(MISSING) -(MISSING) -(MISSING) 1 0",
            "CASH/IBM -(MISSING) -(MISSING) -(MISSING) 1 0",
            "all -(MISSING) -(MISSING) -(MISSING) 1 0",
        ],
    );
    desk.feed(declared);
    check(
        &mut desk,
        "asset_class instrument_id",
        measures,
        &[
            "CASH 0 -400 -1000 0 0",
            "CASH/USD 0 -400 -1000 0 0",
            "EQUITY 700 1100 1700 1 1",
            "EQUITY/IBM 700 1100 1700 1 1",
            "all 700 700 700 1 1",
        ],
    );
    check_arrival(&[order, holding, price, declared].join("\n"));
    // Undeclared again.
    desk.feed("delete instrument IBM");
    assert_eq!(desk.total("orders"), "0");
}

#[test]
fn d5_undeclared_rows_stand_and_heal() {
    let mut desk =
        Desk::of("holding A1 GHOST1 5\nprice GHOST1 3 USD\norder O A1 GHOST1 BUY 2 2 2 FILLED dayAvgPx=3");
    let measures = "mv_sod mv_current holdings orders unpriced";
    check(
        &mut desk,
        "strategy sector instrument_id",
        measures,
        &[
            "- -(MISSING) -(MISSING) 1 1 1",
            "-/- -(MISSING) -(MISSING) 1 1 1",
            "-/-/GHOST1 -(MISSING) -(MISSING) 1 1 1",
            "all -(MISSING) -(MISSING) 1 1 1",
        ],
    );
    desk.feed("account A1 USD strategy=Growth\ninstrument GHOST1 EQUITY USD sector=Tech");
    check(
        &mut desk,
        "strategy sector instrument_id",
        measures,
        &[
            "Growth 15 15 1 1 0",
            "Growth/Tech 15 21 1 1 0",
            "Growth/Tech/GHOST1 15 21 1 1 0",
            "Growth/- 0 -6 0 0 0",
            "Growth/-/USD 0 -6 0 0 0",
            "all 15 15 1 1 0",
        ],
    );
}

const MEASURES: &str = "mv_sod mv_current mv_expected orders";

const FIRST_DAY: &str = "
    instrument ACME EQUITY USD
    price ACME 100 USD
    date 2026-03-02 1
    holding A1 ACME 100
    order O1 A1 ACME BUY 10 10 10 FILLED dayAvgPx=100
    order O2 A1 ACME BUY 20 5 5 PARTIALLY_FILLED dayAvgPx=100 limitPrice=100 timeInForce=GTC
    movement M1 A1 USD 30";

#[test]
fn d9_business_date_switches_at_once_when_its_holdings_are_complete() {
    let mut desk = Desk::of(FIRST_DAY);
    let first = ["ACME 10000 11500 13000 2", "USD 0 -1470 -2970 0", "all 10000 10030 10030 2"];
    let second = ["ACME 11500 11600 13100 2", "USD -1470 -1320 -2820 0", "all 10030 10280 10280 2"];
    let view = desk.open(&by("instrument_id", MEASURES));
    assert_eq!(desk.read(view), first);
    for records in [
        "date 2026-03-03 2 version=2",
        "order O3 A1 ACME BUY 1 1 1 FILLED dayAvgPx=100 businessDate=2026-03-03",
        "movement M2 A1 USD 250 businessDate=2026-03-03",
        "holding A1 ACME 115 businessDate=2026-03-03",
        // A correction is no second holding.
        "holding A1 ACME 115 businessDate=2026-03-03 version=2",
    ] {
        desk.feed(records);
        assert_eq!(desk.read(view), first, "after {records}");
    }
    desk.feed("holding A1 USD -1470 businessDate=2026-03-03");
    // Yesterday's filled order is gone, the good-till-cancelled one has its open quantity only.
    assert_eq!(desk.read(view), second);
    // It moves only forward, and a holding of a past day counts no more.
    desk.feed("date 2026-03-02 1 version=3\nholding A1 ACME 7 version=9\nholding A2 ACME 7");
    assert_eq!(desk.read(view), second);
    check(&mut desk, "instrument_id", MEASURES, &second);
}

#[test]
fn d9_corrections_of_held_orders_wait_with_them() {
    let mut desk = Desk::of(FIRST_DAY);
    let first = "10000 11500 13000 2";
    let acme = |desk: &mut Desk| desk.cell("account_overview", "instrument_id", "ACME", MEASURES).unwrap();
    for records in [
        "date 2026-03-03 1 version=2",
        // The order of two days goes on; its state of the first day stays until the switch.
        "order O2 A1 ACME BUY 20 7 2 PARTIALLY_FILLED dayAvgPx=100 limitPrice=100 version=4 businessDate=2026-03-03",
        "order O2 A1 ACME BUY 20 6 1 PARTIALLY_FILLED dayAvgPx=100 limitPrice=100 version=3 businessDate=2026-03-03",
        "order O4 A1 ACME BUY 9 9 9 FILLED dayAvgPx=100 businessDate=2026-03-03",
        "delete order O4",
        "order O5 A1 ACME BUY 8 8 8 FILLED dayAvgPx=100 businessDate=2026-03-04",
    ] {
        desk.feed(records);
        assert_eq!(acme(&mut desk), first, "after {records}");
    }
    // A late correction of the first day still shows.
    desk.feed("order O2 A1 ACME BUY 20 4 4 PARTIALLY_FILLED dayAvgPx=100 limitPrice=100 version=2");
    assert_eq!(acme(&mut desk), "10000 11400 13000 2");
    desk.feed("holding A1 ACME 114 businessDate=2026-03-03");
    assert_eq!(acme(&mut desk), "11400 11600 12900 1");
    desk.feed("date 2026-03-04 0 version=3");
    assert_eq!(acme(&mut desk), "0 800 2100 2");
}

#[test]
fn d9_next_date_announced_in_the_tick_of_the_day_before() {
    let next = "date 2026-03-03 2 version=2\nholding A1 ACME 115 businessDate=2026-03-03";
    let mut ticks = Desk::of(FIRST_DAY);
    ticks.feed(next);
    let mut tick = Desk::of(&format!("{FIRST_DAY}\n{next}"));
    let first = ["ACME 10000 11500 13000 2", "USD 0 -1470 -2970 0", "all 10000 10030 10030 2"];
    check(&mut ticks, "instrument_id", MEASURES, &first);
    check(&mut tick, "instrument_id", MEASURES, &first);
    for desk in [&mut ticks, &mut tick] {
        desk.feed("holding A1 USD -1470 businessDate=2026-03-03");
        check(desk, "instrument_id", "mv_sod orders", &["ACME 11500 1", "USD -1470 0", "all 10030 1"]);
    }
}

#[test]
fn d9_retracted_holding_leaves_the_day_incomplete() {
    let mut desk = Desk::of(FIRST_DAY);
    desk.feed("date 2026-03-03 2 version=2\nholding A1 ACME 115 businessDate=2026-03-03");
    desk.feed("delete holding A1 ACME 115 businessDate=2026-03-03");
    desk.feed("holding A1 USD 1 businessDate=2026-03-03");
    assert_eq!(desk.cell("account_overview", "instrument_id", "ACME", "mv_sod").unwrap(), "10000");
    desk.feed("holding A1 ACME 116 businessDate=2026-03-03");
    assert_eq!(desk.cell("account_overview", "instrument_id", "ACME", "mv_sod").unwrap(), "11600");
}

#[test]
fn b1_without_its_topic_the_date_is_that_of_the_latest_holding() {
    let mut desk =
        Desk::of("instrument ACME EQUITY USD\nprice ACME 1 USD\norder O A1 ACME BUY 3 3 3 FILLED dayAvgPx=1");
    // No date yet, no rows.
    check(&mut desk, "instrument_id", "mv_current", &["all 0"]);
    desk.feed("holding A1 ACME 100");
    check(&mut desk, "instrument_id", "mv_current", &["ACME 103", "USD -3", "all 100"]);
    desk.feed("holding A1 ACME 200 businessDate=2026-03-03");
    check(&mut desk, "instrument_id", "mv_current", &["ACME 200", "all 200"]);
    desk.feed("holding A1 ACME 300 businessDate=2026-02-27");
    check(&mut desk, "instrument_id", "mv_current", &["ACME 200", "all 200"]);
}
