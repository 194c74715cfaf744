//! D11 and C: the cash side of a trade.

use super::check;
use crate::desk::Desk;

#[test]
fn d11_fill_at_market_moves_no_nav() {
    for (records, price) in [
        ("instrument X EQUITY USD\nprice X 100 USD", "100"),
        ("instrument X EQUITY GBP priceScale=0.01\nprice X 500 GBP\nfx GBP USD 1.5", "500"),
        ("instrument X EQUITY JPY\nprice X 1000 JPY\nfx USD JPY 100", "1000"),
        ("instrument X BOND USD\nprice X 98 USD accrued=2", "100"),
        ("instrument X OPTION USD contractMultiplier=100\nprice X 5 USD", "5"),
        ("instrument X FUND EUR\nprice X 12.34567891 EUR\nfx EUR USD 1.25", "12.34567891"),
        ("instrument X FUTURE USD contractMultiplier=50\nprice X 4000 USD", "4000"),
    ] {
        for side in ["BUY", "SELL", "SELL_SHORT", "REDEEM"] {
            let mut desk = Desk::of(&format!("{records}\nholding A1 USD 10000"));
            for (version, order, limit) in [
                (1, "0 0 NEW".to_owned(), ""),
                (2, format!("300 300 PARTIALLY_FILLED dayAvgPx={price}"), ""),
                (3, format!("300 300 PENDING_REPLACE dayAvgPx={price}"), price),
                (4, format!("800 800 FILLED dayAvgPx={price}"), ""),
                (5, format!("300 300 CANCELLED dayAvgPx={price}"), ""),
            ] {
                let limit = if limit.is_empty() { String::new() } else { format!("limitPrice={limit}") };
                desk.feed(&format!("order O A1 X {side} 800 {order} {limit} version={version}"));
                check(&mut desk, "", "mv_sod mv_current mv_expected", &["all 10000 10000 10000"]);
            }
        }
    }
}

#[test]
fn d11_movements_of_a_day_add_up() {
    let mut desk = Desk::of(
        "holding A1 USD 1000
        movement M1 A1 USD 500
        movement M2 A1 USD -100
        movement M3 A1 USD 500 movementType=INTEREST
        movement M4 A1 USD 7 portfolioId=CORE
        movement M5 A2 EUR 40
        movement M6 A1 USD 99 businessDate=2026-02-27
        movement M7 A1 USD 98 businessDate=2026-03-03
        fx EUR USD 1.25",
    );
    let expected = [
        "A1 1000 1907 1907",
        "A1/USD 1000 1907 1907",
        "A1/USD/ 1000 1900 1900",
        "A1/USD/CORE 0 7 7",
        "A2 0 50 50",
        "A2/EUR 0 50 50",
        "A2/EUR/ 0 50 50",
        "all 1000 1957 1957",
    ];
    check(&mut desk, "account_id instrument_id portfolio_id", "mv_sod mv_current mv_expected", &expected);
    desk.feed("movement M1 A1 USD 400 version=2");
    assert_eq!(desk.total("mv_current"), "1857");
}

#[test]
fn c1_limit_order_settles_at_its_limit() {
    let mut desk = Desk::of(
        "instrument X EQUITY GBP priceScale=0.01
        price X 500 GBP
        fx GBP USD 1.5
        holding A1 X 1000 portfolioId=CORE
        order O A1 X SELL 500 200 200 PARTIALLY_FILLED dayAvgPx=510 limitPrice=505 portfolioId=CORE",
    );
    let measures = "mv_sod mv_current mv_expected net_current net_expected";
    let expected = [
        // 200 · 510 · 0.01 · 1.5 = 1530; 300 · 505 · 0.01 · 1.5 = 2272.5 more.
        "GBP 0 1530 3802.5 1530 3802.5",
        "X 7500 6000 3750 6000 3750",
        "all 7500 7530 7552.5 7530 7552.5",
    ];
    check(&mut desk, "instrument_id", measures, &expected);
}

#[test]
fn c2_market_order_is_taken_from_expected_value_alone() {
    let mut desk = Desk::of(
        "instrument X EQUITY EUR
        price X 40 EUR
        fx EUR USD 1.25
        holding A1 EUR 4000
        order O A1 X BUY 50 10 10 PARTIALLY_FILLED dayAvgPx=39",
    );
    let measures = "mv_current mv_expected net_current net_expected weight_expected";
    let expected = [
        // 4000 − 390 = 3610 EUR; 40 · 40 EUR = 1600 EUR more in mv_expected.
        "EUR 4512.5 2512.5 4512.5 4512.5 0.5012468828",
        "X 500 2500 500 2500 0.4987531172",
        "all 5012.5 5012.5 5012.5 7012.5 1",
    ];
    check(&mut desk, "instrument_id", measures, &expected);
}

#[test]
fn c3_unpriced_term_counts_its_cash_position_once() {
    let mut desk = Desk::of(
        "instrument X EQUITY USD
        instrument Y EQUITY USD
        price Y 10 USD
        holding A1 Y 1
        order O1 A1 X BUY 5 0 0 NEW
        order O2 A1 X BUY 6 0 0 NEW
        order O3 A1 Y BUY 2 0 0 NEW",
    );
    let measures = "mv_current mv_expected net_expected unpriced";
    let expected = [
        "USD 0 -(MISSING) 0 0",
        "X 0 -(MISSING) -(MISSING) 1",
        "Y 10 30 30 0",
        "all 10 10(PARTIAL:2) 30(PARTIAL:1) 1",
    ];
    let rows = desk.show(&crate::desk::by("instrument_id", measures));
    // Whether the priced term of a cash position that lacks another one is in the sum is not settled here.
    assert_eq!(rows[..3], expected[..3]);
    assert!(rows[3].contains("(PARTIAL:2) 30(PARTIAL:1) 1"), "{}", rows[3]);
    desk.feed("price X 3 USD");
    let healed = ["USD 0 -53 0 0", "X 0 33 33 0", "Y 10 30 30 0", "all 10 10 63 0"];
    check(&mut desk, "instrument_id", measures, &healed);
}

#[test]
fn c4_leg_stands_at_zero_and_carries_its_order() {
    let mut desk = Desk::of(
        "instrument X EQUITY EUR
        instrument FUT FUTURE EUR
        holding A1 X 0
        order O1 A1 X BUY 50 0 0 NEW limitPrice=40 trader=kim
        order O2 A1 FUT BUY 1 0 0 NEW trader=lee
        order O3 A1 GHOST BUY 1 0 0 NEW trader=mia",
    );
    let expected = [
        "(holding) 0 0",
        "(holding)/X 0 0",
        "kim 0 1",
        "kim/EUR 0 0",
        "kim/X 0 1",
        "lee 0 1",
        "lee/FUT 0 1",
        "mia 0 1",
        "mia/GHOST 0 1",
        "all 0 3",
    ];
    check(&mut desk, "trader instrument_id", "mv_current orders", &expected);
}

#[test]
fn c2_stale_term_makes_its_cash_stale() {
    let mut desk = Desk::of(
        "instrument X EQUITY USD
        price X 40 USD priceTime=2026-03-02T08:00:00Z
        holding A1 USD 1000
        order O A1 X BUY 5 0 0 NEW",
    );
    let measures = "mv_current mv_expected net_expected stale";
    let expected =
        ["USD 1000 800(STALE) 1000 0", "X 0 200(STALE) 200(STALE) 1", "all 1000 1000(STALE) 1200(STALE) 1"];
    check(&mut desk, "instrument_id", measures, &expected);
}

#[test]
fn c3_unpriced_term_of_a_held_currency() {
    let mut desk = Desk::of(
        "instrument X EQUITY USD
        holding A1 USD 1000
        holding A2 USD 7
        order O A1 X BUY 5 0 0 NEW",
    );
    let expected = [
        "A1 1000 -(MISSING)",
        "A1/USD 1000 -(MISSING)",
        "A1/X 0 -(MISSING)",
        "A2 7 7",
        "A2/USD 7 7",
        // Of three positions one has a price.
        "all 1007 7(PARTIAL:2)",
    ];
    check(&mut desk, "account_id instrument_id", "mv_current mv_expected", &expected);
}

#[test]
fn c4_leg_follows_its_instrument() {
    let mut desk = Desk::of(
        "instrument X EQUITY USD
        price X 40 USD
        fx EUR USD 2
        order O A1 X BUY 5 5 5 FILLED dayAvgPx=40
        holding A1 X 0",
    );
    for (declared, expected) in [
        ("instrument X EQUITY EUR version=2", vec!["EUR -400 0", "X 200 1", "all -200 1"]),
        // A future settles nothing; on cash there are no orders.
        ("instrument X FUTURE EUR version=3", vec!["X 0 1", "all 0 1"]),
        ("instrument X CASH EUR version=4", vec!["X 0 0", "all 0 0"]),
        ("instrument X BOND USD version=5", vec!["USD -2 0", "X 2 1", "all 0 1"]),
        ("delete instrument X", vec!["X -(MISSING) 1", "all -(MISSING) 1"]),
    ] {
        desk.feed(declared);
        check(&mut desk, "instrument_id", "mv_current orders", &expected);
    }
}
