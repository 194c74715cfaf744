//! P: the profit and loss of the day.

use super::{check, check_view};
use crate::desk::{Desk, by};
use tickview::view::spec::ViewSpec;

const SPLIT: &str = "day_pnl_price day_pnl_fx day_pnl_trading day_pnl";

#[test]
fn p1_split_adds_up() {
    let mut desk = Desk::of(
        "instrument BRIT EQUITY GBP priceScale=0.01
        price BRIT 500 GBP
        fx GBP USD 1.5
        fx GBP USD 1.4 rateType=SOD
        holding A1 BRIT 2000 sodPrice=480
        holding A1 GBP 1000
        order O A1 BRIT SELL 300 200 200 PARTIALLY_FILLED dayAvgPx=510 limitPrice=505",
    );
    // b = 9600 GBP. 2000 · 7.5 − 9600 · 1.5; 9600 · 0.1; −200 · 7.5 + 200 · 5.1 · 1.5. Cash has none.
    check(&mut desk, "instrument_id", SPLIT, &["BRIT 600 960 30 1590", "GBP 0 0 0 0", "all 600 960 30 1590"]);
}

#[test]
fn p2_start_of_day_rates() {
    for (rates, expected) in [
        ("fx EUR USD 1.25\nfx EUR USD 1.2 rateType=SOD", "0.5 0.5 0 1"),
        // Inverse.
        ("fx USD EUR 0.8\nfx USD EUR 0.5 rateType=SOD", "0.5 -7.5 0 -7"),
        // Without any start-of-day rate, the live one.
        ("fx EUR USD 1.25", "0.5 0 0 0.5"),
    ] {
        let mut desk = Desk::of(&format!(
            "instrument X EQUITY EUR
            price X 10.4 EUR
            holding A1 X 1 sodPrice=10
            {rates}"
        ));
        check(&mut desk, "", SPLIT, &[&format!("all {expected}")]);
    }
}

#[test]
fn p3_future_gains_without_value() {
    let mut desk = Desk::of(
        "instrument FUT FUTURE EUR contractMultiplier=50
        price FUT 4000 EUR
        fx EUR USD 1.25
        fx EUR USD 1 rateType=SOD
        holding A1 FUT 2 sodPrice=3990
        order O A1 FUT SELL 1 1 1 FILLED dayAvgPx=4010",
    );
    check(&mut desk, "", &format!("{SPLIT} mv_current"), &["all 1250 0 625 1875 0"]);
}

#[test]
fn p4_without_price_or_basis_there_is_no_profit() {
    let mut desk = Desk::of(
        "instrument X EQUITY USD
        instrument Y EQUITY USD
        instrument Z EQUITY USD
        price X 10 USD
        price Z 10 USD
        holding A1 X 1 sodPrice=9
        holding A1 Y 1 sodPrice=9
        holding A1 Z 1
        order O1 A1 Y BUY 1 1 1 FILLED dayAvgPx=9
        order O2 A1 Z BUY 1 1 1 FILLED dayAvgPx=9",
    );
    let expected =
        ["USD 0 0", "X 1 0", "Y -(MISSING) -(MISSING)", "Z -(MISSING) 1", "all 1(PARTIAL:2) 1(PARTIAL:1)"];
    check(&mut desk, "instrument_id", "day_pnl_price day_pnl_trading", &expected);
    desk.feed("price Y 11 USD\nholding A1 Z 1 sodPrice=8 version=2");
    check(
        &mut desk,
        "instrument_id",
        SPLIT,
        &["USD 0 0 0 0", "X 1 0 0 1", "Y 2 0 2 4", "Z 2 0 1 3", "all 5 0 3 8"],
    );
}

#[test]
fn p5_basis_is_rounded_a_row() {
    // Each b is 0.0000005, which rounds to 0; together they would be 0.000001.
    let mut desk = Desk::of(
        "instrument X EQUITY USD
        price X 1 USD
        holding A1 X 0.000001 sodPrice=0.5
        holding A2 X 0.000001 sodPrice=0.5",
    );
    check(&mut desk, "", SPLIT, &["all 0.000002 0 0 0.000002"]);
}

#[test]
fn p2_start_of_day_rates_cross_over_usd_or_not_at_all() {
    for (rates, expected) in [
        // EUR to GBP at 1.5 live; 1.2 · (1 ÷ 2) = 0.6 at the start of day.
        ("fx EUR USD 1.2 rateType=SOD\nfx GBP USD 2 rateType=SOD", "6 9 0 15"),
        // Half a cross is none.
        ("fx EUR USD 1.2 rateType=SOD", "6 0 0 6"),
    ] {
        let mut desk = Desk::of(&format!(
            "instrument X EQUITY EUR
            price X 14 EUR
            fx EUR GBP 1.5
            holding A1 X 1 sodPrice=10
            {rates}"
        ));
        let spec = ViewSpec { currency: "GBP".to_owned(), ..by("", SPLIT) };
        check_view(&mut desk, &spec, &[&format!("all {expected}")]);
    }
}
