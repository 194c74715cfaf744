//! D3, D4, D6 and the sequences of FIX 4.2 appendix D: what an order does to a position.
//!
//! ACME costs 1, so that a value is a quantity.

use super::{check, everything};
use crate::desk::Desk;

const ACME: &str = "
    instrument ACME EQUITY USD
    price ACME 1 USD
    holding A1 ACME 100";
const BASES: &str = "mv_sod mv_current mv_expected";

#[test]
fn d3_sides_have_signs() {
    let buys = ["ACME 100 104 110", "USD 0 -4 -10", "all 100 100 100"];
    let sells = ["ACME 100 96 90", "USD 0 4 10", "all 100 100 100"];
    for (side, expected) in [
        ("BUY", buys),
        ("BUY_COVER", buys),
        ("SUBSCRIBE", buys),
        ("SELL", sells),
        ("SELL_SHORT", sells),
        ("REDEEM", sells),
    ] {
        let mut desk = Desk::of(ACME);
        desk.feed(&format!("order O A1 ACME {side} 10 4 4 PARTIALLY_FILLED dayAvgPx=1"));
        check(&mut desk, "instrument_id", BASES, &expected);
    }
}

#[test]
fn d3_only_live_orders_have_an_open_quantity() {
    let live = ["ACME 100 104 110 1 1", "USD 0 -4 -10 0 0", "all 100 100 100 1 1"];
    let dead = ["ACME 100 104 104 1 0", "USD 0 -4 -4 0 0", "all 100 100 100 1 0"];
    let mut desk = Desk::of(ACME);
    for (at, (status, expected)) in [
        ("PENDING_NEW", live),
        ("NEW", live),
        ("PARTIALLY_FILLED", live),
        ("PENDING_CANCEL", live),
        ("PENDING_REPLACE", live),
        ("SUSPENDED", live),
        ("STOPPED", live),
        ("FILLED", dead),
        ("CANCELLED", dead),
        ("REJECTED", dead),
        ("EXPIRED", dead),
        ("DONE_FOR_DAY", dead),
        ("CALCULATED", dead),
        ("REPLACED", dead),
    ]
    .into_iter()
    .enumerate()
    {
        desk.feed(&format!("order O A1 ACME BUY 10 4 4 {status} dayAvgPx=1 version={}", at + 1));
        check(&mut desk, "instrument_id", &format!("{BASES} orders live_orders"), &expected);
    }
}

#[test]
fn d3_cancelled_order_keeps_its_fills() {
    let mut desk = Desk::of(ACME);
    for (order, expected) in [
        ("0 0 NEW", ["ACME 100 100 110", "USD 0 0 -20", "all 100 100 90"]),
        ("4 4 PARTIALLY_FILLED dayAvgPx=1 version=2", ["ACME 100 104 110", "USD 0 -4 -16", "all 100 100 94"]),
        ("4 4 PENDING_CANCEL dayAvgPx=1 version=3", ["ACME 100 104 110", "USD 0 -4 -16", "all 100 100 94"]),
        ("4 4 CANCELLED dayAvgPx=1 version=4", ["ACME 100 104 104", "USD 0 -4 -4", "all 100 100 100"]),
    ] {
        desk.feed(&format!("order O A1 ACME BUY 10 {order} limitPrice=2"));
        check(&mut desk, "instrument_id", BASES, &expected);
    }
}

#[test]
fn d3_overfill_counts_its_true_fills() {
    let mut desk = Desk::of(ACME);
    desk.feed("order O A1 ACME SELL_SHORT 110 120 120 PARTIALLY_FILLED dayAvgPx=1");
    check(&mut desk, "instrument_id", BASES, &["ACME 100 -20 -20", "USD 0 120 120", "all 100 100 100"]);
}

#[test]
fn d4_replay_and_duplicates_change_nothing() {
    let records = format!(
        "{ACME}
        holding A1 USD 50
        order O1 A1 ACME BUY 10 4 4 PARTIALLY_FILLED dayAvgPx=1
        order O1 A1 ACME BUY 10 6 6 PARTIALLY_FILLED dayAvgPx=1.5 version=2
        order O2 A1 ACME SELL 5 5 5 FILLED dayAvgPx=2
        movement M1 A1 USD 7"
    );
    let mut desk = Desk::of(&records);
    let before = everything(&mut desk);
    let epoch = desk.engine.snapshot().epoch;
    for _ in 0..2 {
        assert!(!desk.feed(&records), "a replay changes nothing");
    }
    assert_eq!(desk.engine.snapshot().epoch, epoch);
    assert_eq!(everything(&mut desk), before);
    // Twice within one tick is as good as once.
    assert_eq!(everything(&mut Desk::of(&format!("{records}\n{records}"))), before);
    let expected = ["ACME 100 101 105", "USD 50 58 54", "all 150 159 159"];
    check(&mut desk, "instrument_id", BASES, &expected);
}

#[test]
fn d4_highest_version_wins() {
    for (versions, fills, expected) in [
        // A stale version after a newer one; of equal versions the first.
        ([1, 3, 2], [1, 3, 2], "103"),
        ([3, 2, 1], [3, 2, 1], "103"),
        ([5, 5, 5], [1, 2, 3], "101"),
        ([-1, 0, -2], [1, 2, 3], "102"),
    ] {
        let mut ticks = Desk::of(ACME);
        let mut tick = Desk::of(ACME);
        let mut together = String::new();
        for (version, fill) in versions.into_iter().zip(fills) {
            let order =
                format!("order O A1 ACME BUY 10 {fill} {fill} CANCELLED dayAvgPx=1 version={version}\n");
            ticks.feed(&order);
            together += &order;
        }
        tick.feed(&together);
        for desk in [&mut ticks, &mut tick] {
            assert_eq!(
                desk.cell("account_overview", "instrument_id", "ACME", "mv_current").unwrap(),
                expected
            );
        }
    }
}

#[test]
fn d4_replace_is_one_order() {
    let mut desk = Desk::of(ACME);
    for (order, expected) in [
        ("10 4 4 PARTIALLY_FILLED", "104 110"),
        ("10 4 4 PENDING_REPLACE", "104 110"),
        ("30 4 4 PARTIALLY_FILLED", "104 130"),
        ("6 4 4 PARTIALLY_FILLED", "104 106"),
    ]
    .into_iter()
    .enumerate()
    .map(|(at, (order, expected))| (format!("order O A1 ACME BUY {order} dayAvgPx=1 version={at}"), expected))
    {
        desk.feed(&order);
        let cell = desk.cell("account_overview", "instrument_id", "ACME", "mv_current mv_expected");
        assert_eq!(cell.unwrap(), expected);
    }
}

#[test]
fn d4_order_moves_to_another_account_and_instrument() {
    let mut desk = Desk::of(ACME);
    desk.feed("order O A1 ACME BUY 10 4 4 CANCELLED dayAvgPx=1");
    desk.feed(
        "instrument BETA EQUITY USD
        price BETA 1 USD
        order O A2 BETA BUY 10 4 4 CANCELLED dayAvgPx=1 version=2",
    );
    let expected = ["A1 100 100", "A1/ACME 100 100", "A2 0 0", "A2/BETA 0 4", "A2/USD 0 -4", "all 100 100"];
    check(&mut desk, "account_id instrument_id", "mv_sod mv_current", &expected);
}

#[test]
fn d4_fills_of_earlier_days_are_in_sod() {
    let mut desk = Desk::of(ACME);
    // 60 of 90 are filled, 5 of them today; an order of yesterday has no fills of today.
    desk.feed("order O1 A1 ACME BUY 90 60 5 PARTIALLY_FILLED dayAvgPx=1");
    desk.feed("order O2 A1 ACME BUY 9 6 6 PARTIALLY_FILLED dayAvgPx=1 businessDate=2026-02-27");
    check(&mut desk, "instrument_id", BASES, &["ACME 100 105 138", "USD 0 -5 -38", "all 100 100 100"]);
    // A dead order of yesterday counts nowhere, and leaves no group.
    desk.feed("order O3 A9 BETA BUY 9 6 6 CANCELLED dayAvgPx=1 businessDate=2026-02-27");
    check(&mut desk, "account_id", "orders live_orders", &["A1 2 2", "all 2 2"]);
}

#[test]
fn d4_tombstone_begins_a_new_life() {
    let mut desk = Desk::of(ACME);
    let order = |fill, version| {
        format!("order O A1 ACME BUY 10 {fill} {fill} CANCELLED dayAvgPx=1 version={version}")
    };
    let mut expect = |lines: &str, expected: &str| {
        desk.feed(lines);
        assert_eq!(
            desk.cell("account_overview", "instrument_id", "ACME", "mv_current orders").unwrap(),
            expected
        );
    };
    expect(&order(4, 9), "104 1");
    expect("delete order O", "100 0");
    expect("delete order O", "100 0");
    expect(&order(2, 1), "102 1");
    expect(&format!("{}\ndelete order O\n{}", order(5, 7), order(3, 1)), "103 1");
}

#[test]
fn d6_bust_and_correction_take_back_what_they_correct() {
    let mut desk = Desk::of(ACME);
    let before = everything(&mut desk);
    for (records, expected) in [
        (
            "order O A1 ACME BUY 10 10 10 FILLED dayAvgPx=2",
            ["ACME 100 110 110", "USD 0 -20 -20", "all 100 90 90"],
        ),
        // Bust of 4.
        (
            "order O A1 ACME BUY 10 6 6 CANCELLED dayAvgPx=2 version=2",
            ["ACME 100 106 106", "USD 0 -12 -12", "all 100 94 94"],
        ),
        // Correction of the price, then of the quantity.
        (
            "order O A1 ACME BUY 10 6 6 CANCELLED dayAvgPx=1.5 version=3",
            ["ACME 100 106 106", "USD 0 -9 -9", "all 100 97 97"],
        ),
        (
            "order O A1 ACME BUY 10 8 8 CANCELLED dayAvgPx=1.5 version=4",
            ["ACME 100 108 108", "USD 0 -12 -12", "all 100 96 96"],
        ),
        // Bust of all: the order and its leg stay, at zero.
        (
            "order O A1 ACME BUY 10 0 0 CANCELLED version=5",
            ["ACME 100 100 100", "USD 0 0 0", "all 100 100 100"],
        ),
    ] {
        desk.feed(records);
        check(&mut desk, "instrument_id", BASES, &expected);
    }
    desk.feed("delete order O");
    assert_eq!(everything(&mut desk), before);
}

#[test]
fn d6_corrected_holding_and_movement() {
    let mut desk = Desk::of(ACME);
    desk.feed("movement M A1 USD 500");
    check(&mut desk, "instrument_id", BASES, &["ACME 100 100 100", "USD 0 500 500", "all 100 600 600"]);
    desk.feed(
        "movement M A1 USD 50 version=2
        holding A1 ACME 90 version=2",
    );
    check(&mut desk, "instrument_id", BASES, &["ACME 90 90 90", "USD 0 50 50", "all 90 140 140"]);
    desk.feed("delete movement M");
    check(&mut desk, "instrument_id", BASES, &["ACME 90 90 90", "all 90 90 90"]);
}

#[test]
fn f1_d34_order_of_ten_thousand() {
    let mut desk = Desk::of("instrument ACME EQUITY USD\nprice ACME 1 USD\nholding A1 USD 0");
    for (at, (cum, px, status, expected)) in [
        (1_000, 100, "PARTIALLY_FILLED", ["ACME 1000 10000", "USD -100000 -1180000"]),
        (10_000, 109, "FILLED", ["ACME 10000 10000", "USD -1090000 -1090000"]),
        (9_000, 110, "PARTIALLY_FILLED", ["ACME 9000 10000", "USD -990000 -1110000"]),
        (9_000, 100, "PARTIALLY_FILLED", ["ACME 9000 10000", "USD -900000 -1020000"]),
        (10_000, 102, "FILLED", ["ACME 10000 10000", "USD -1020000 -1020000"]),
        (10_000, 120, "FILLED", ["ACME 10000 10000", "USD -1200000 -1200000"]),
        (10_500, 120, "FILLED", ["ACME 10500 10500", "USD -1260000 -1260000"]),
    ]
    .into_iter()
    .enumerate()
    {
        desk.feed(&format!(
            "order O A1 ACME BUY 10000 {cum} {cum} {status} dayAvgPx={px} limitPrice=120 version={at}"
        ));
        let rows = desk.show(&crate::desk::by("instrument_id", "mv_current mv_expected"));
        assert_eq!(rows[..2], expected);
    }
}

#[test]
fn f2_d36_good_till_cancelled_over_two_days() {
    let mut desk = Desk::of("instrument ACME EQUITY USD\nprice ACME 1 USD\nholding A1 ACME 2000");
    for (at, (cum, day, expected)) in [
        (2_000, 0, "2000 2000 10000"),
        (3_000, 1_000, "2000 3000 10000"),
        (2_500, 1_000, "2000 3000 10500"),
        (2_000, 500, "2000 2500 10500"),
    ]
    .into_iter()
    .enumerate()
    {
        desk.feed(&format!(
            "order O A1 ACME BUY 10000 {cum} {day} PARTIALLY_FILLED dayAvgPx=1 timeInForce=GTC version={at}"
        ));
        assert_eq!(desk.cell("account_overview", "instrument_id", "ACME", BASES).unwrap(), expected);
    }
}

#[test]
fn f3_j1b_busted_after_cancel() {
    let mut desk = Desk::of("instrument ACME EQUITY USD\nprice ACME 1 USD\nholding A1 USD 0");
    for (at, (cum, status, expected)) in [
        (0, "NEW", ["ACME 0 10000", "USD 0 -10000"]),
        (5_000, "PARTIALLY_FILLED", ["ACME 5000 10000", "USD -5000 -10000"]),
        (5_000, "CANCELLED", ["ACME 5000 5000", "USD -5000 -5000"]),
        (0, "CANCELLED", ["ACME 0 0", "USD 0 0"]),
        (4_000, "CANCELLED", ["ACME 4000 4000", "USD -4000 -4000"]),
    ]
    .into_iter()
    .enumerate()
    {
        desk.feed(&format!(
            "order O A1 ACME BUY 10000 {cum} {cum} {status} dayAvgPx=1 limitPrice=1 version={at}"
        ));
        let rows = desk.show(&crate::desk::by("instrument_id", "mv_current mv_expected"));
        assert_eq!(rows[..2], expected);
    }
}
