//! D1, D2, D7, D8, Q and U: one price, its quality, and the units it is in.

use super::{check, check_view, everything};
use crate::desk::{Desk, NOW, by};
use tickview::clock::SECOND_US;
use tickview::error::Kind;
use tickview::schedule::ViewId;
use tickview::view::spec::{Selection, ViewSpec};

const ACME: &str = "
    instrument ACME EQUITY USD sector=Tech
    price ACME 100 USD
    holding A1 ACME 10 sodPrice=90";

#[test]
fn d1_one_price_in_every_view_of_an_epoch() {
    let mut desk = Desk::of(ACME);
    desk.feed(
        "holding A2 ACME 5 portfolioId=CORE
        order O A2 ACME BUY 4 4 4 FILLED dayAvgPx=100",
    );
    let measures = "mv_sod mv_current net_current";
    let views = [
        desk.open(&by("instrument_id", measures)),
        desk.open(&by("account_id side", measures)),
        desk.open(&ViewSpec { view: "pid_carve_out".to_owned(), ..by("portfolio_id", measures) }),
    ];
    for (version, price, expected) in [
        (
            2,
            "100",
            [
                vec!["ACME 1500 1900 1900", "USD 0 -400 -400", "all 1500 1500 1500"],
                vec![
                    "A1 1000 1000 1000",
                    "A1/(holding) 1000 1000 1000",
                    "A2 500 500 500",
                    "A2/(holding) 500 500 500",
                    "A2/BUY 0 0 0",
                    "all 1500 1500 1500",
                ],
                vec![" 1000 1000 1000", "CORE 500 500 500", "all 1500 1500 1500"],
            ],
        ),
        (
            3,
            "110.5",
            [
                vec!["ACME 1657.5 2099.5 2099.5", "USD 0 -400 -400", "all 1657.5 1699.5 1699.5"],
                vec![
                    "A1 1105 1105 1105",
                    "A1/(holding) 1105 1105 1105",
                    "A2 552.5 594.5 594.5",
                    "A2/(holding) 552.5 552.5 552.5",
                    "A2/BUY 0 42 42",
                    "all 1657.5 1699.5 1699.5",
                ],
                vec![" 1105 1147 1147", "CORE 552.5 552.5 552.5", "all 1657.5 1699.5 1699.5"],
            ],
        ),
    ] {
        desk.feed(&format!("price ACME {price} USD version={version}"));
        let shown: Vec<_> = views.iter().map(|&view| desk.read(view)).collect();
        assert_eq!(shown, expected);
    }
}

#[test]
fn d1_last_price_of_a_tick_is_the_price() {
    let mut desk = Desk::of(ACME);
    desk.feed("price ACME 1 USD version=2\nprice ACME 3 USD version=4\nprice ACME 2 USD version=3");
    check(&mut desk, "", "mv_sod mv_current mv_expected", &["all 30 30 30"]);
}

#[test]
fn d2_there_and_back_again() {
    let mut desk = Desk::of(ACME);
    desk.feed(
        "instrument BRIT EQUITY GBP priceScale=0.01 sector=Energy
        instrument CALL OPTION USD contractMultiplier=100 underlyingId=ACME delta=0.333
        price BRIT 333.33333333 GBP
        price CALL 7.77 USD
        fx GBP USD 1.333333333333
        fx GBP USD 1.25 rateType=SOD
        holding A1 BRIT 777.777777 sodPrice=321.123
        holding A2 CALL -3 sodPrice=7
        order O1 A2 BRIT SELL 33.3 11.1 11.1 PARTIALLY_FILLED dayAvgPx=330.7
        order O2 A1 ACME BUY 7 3 3 PARTIALLY_FILLED dayAvgPx=99.99 limitPrice=99.98",
    );
    let open = desk.open(&by("account_id instrument_id portfolio_id", "*"));
    let before = (desk.read(open), everything(&mut desk));
    for (there, back) in [
        ("price ACME 101 USD version=2", "price ACME 100 USD version=3"),
        ("price BRIT 0.00000001 GBP version=2", "price BRIT 333.33333333 GBP version=3"),
        ("fx GBP USD 1.4 version=2", "fx GBP USD 1.333333333333 version=3"),
        ("delete price ACME", "price ACME 100 USD"),
        ("delete fx GBP USD", "fx GBP USD 1.333333333333"),
        (
            "instrument ACME EQUITY EUR sector=Other version=2",
            "instrument ACME EQUITY USD sector=Tech version=3",
        ),
        (
            "order O1 A2 BRIT SELL 33.3 33.3 33.3 FILLED dayAvgPx=1 version=2",
            "order O1 A2 BRIT SELL 33.3 11.1 11.1 PARTIALLY_FILLED dayAvgPx=330.7 version=3",
        ),
    ] {
        desk.feed(there);
        assert_ne!(desk.read(open), before.0, "{there} is seen");
        desk.feed(back);
        assert_eq!((desk.read(open), everything(&mut desk)), before, "{back}");
    }
}

#[test]
fn d7_missing_price_is_no_value_until_it_comes() {
    let mut desk = Desk::of(ACME);
    let measures = "mv_current net_current weight_current unpriced";
    desk.feed("instrument NOPX EQUITY USD\nholding A1 NOPX 5");
    let missing = [
        "ACME 1000 1000 -(MISSING) 0",
        "NOPX -(MISSING) -(MISSING) -(MISSING) 1",
        "all 1000(PARTIAL:1) 1000(PARTIAL:1) -(MISSING) 1",
    ];
    check(&mut desk, "instrument_id", measures, &missing);
    // A late price heals the cells; a deleted one takes them back.
    desk.feed("price NOPX 200 USD");
    check(
        &mut desk,
        "instrument_id",
        measures,
        &["ACME 1000 1000 0.5 0", "NOPX 1000 1000 0.5 0", "all 2000 2000 1 0"],
    );
    desk.feed("delete price NOPX");
    check(&mut desk, "instrument_id", measures, &missing);
    // Zero is a price.
    desk.feed("price NOPX 0 USD");
    check(&mut desk, "instrument_id", measures, &["ACME 1000 1000 1 0", "NOPX 0 0 0 0", "all 1000 1000 1 0"]);
}

#[test]
fn d7_missing_rate_and_declaration() {
    for (records, late) in [
        ("instrument XX EQUITY EUR\nprice XX 4 EUR", "fx EUR USD 0.5"),
        ("price XX 2 USD", "instrument XX EQUITY USD"),
        ("instrument XX EQUITY EUR\nprice XX 4 CHF", "fx USD CHF 2"),
    ] {
        let mut desk = Desk::of(ACME);
        desk.feed(&format!("{records}\nholding A1 XX 5"));
        let missing = ["ACME 1000", "XX -(MISSING)", "all 1000(PARTIAL:1)"];
        check(&mut desk, "instrument_id", "mv_sod", &missing);
        desk.feed(late);
        check(&mut desk, "instrument_id", "mv_sod", &["ACME 1000", "XX 10", "all 1010"]);
    }
}

#[test]
fn d7_stale_is_older_than_its_limit() {
    let minute = 60 * SECOND_US;
    let day = 24 * 60 * minute;
    for (price_type, limit) in
        [("LAST", 15 * minute), ("MID", 15 * minute), ("CLOSE", 4 * day), ("EVALUATED", 4 * day)]
    {
        let mut desk = Desk::of(&format!("{ACME}\nprice ACME 100 USD priceType={price_type} version=2"));
        let view = desk.open(&by("instrument_id", "mv_sod net_sod weight_sod day_pnl_price stale"));
        assert_eq!(desk.read(view)[1], "all 1000 1000 1 100 0");
        desk.tick(NOW + limit, "");
        assert_eq!(desk.read(view)[1], "all 1000 1000 1 100 0", "{price_type} at its limit");
        // Time alone makes it stale.
        desk.tick(NOW + limit + 1, "");
        let stale = "all 1000(STALE) 1000(STALE) 1(STALE) 100(STALE) 1";
        assert_eq!(desk.read(view)[1], stale, "{price_type} a microsecond after");
        desk.tick(NOW + limit + 2, &format!("price ACME 100 USD priceType={price_type} version=3"));
        assert_eq!(desk.read(view)[1], stale, "a new record of an old price");
        desk.tick(
            NOW + limit + 2,
            &format!("price ACME 100 USD priceType={price_type} priceTime=2027-01-01T00:00:00Z version=4"),
        );
        assert_eq!(desk.read(view)[1], "all 1000 1000 1 100 0", "a new price");
    }
}

#[test]
fn q1_partial_before_stale_and_only_what_is_used() {
    let mut desk = Desk::of(ACME);
    desk.feed(
        "instrument NOPX EQUITY USD sector=Tech
        instrument OLD EQUITY USD sector=Tech
        price OLD 1 USD priceTime=2026-03-02T08:00:00Z
        holding A1 NOPX 5
        holding A2 NOPX 5
        holding A2 NOPX 1 portfolioId=CORE
        order O A1 OLD BUY 1 1 1 FILLED dayAvgPx=1",
    );
    let expected = [
        "A1 1000(PARTIAL:1) 1000(PARTIAL:1) 1 1",
        "A1/Tech 1000(PARTIAL:1) 1001(PARTIAL:1) 1 1",
        "A1/- 0 -1 0 0",
        "A2 -(MISSING) -(MISSING) 2 0",
        "A2/Tech -(MISSING) -(MISSING) 2 0",
        "all 1000(PARTIAL:3) 1000(PARTIAL:3) 3 1",
    ];
    check(&mut desk, "account_id sector", "mv_sod mv_current unpriced stale", &expected);
    // Exposures count nets of account and instrument, and OLD is in no start-of-day cell.
    desk.feed("price NOPX 2 USD");
    let expected = ["A1 1010 1010(STALE)", "A2 12 12", "all 1022 1022(STALE)"];
    check(&mut desk, "account_id", "net_sod net_current", &expected);
}

#[test]
fn q2_position_at_zero_needs_no_price() {
    let mut desk = Desk::of(ACME);
    // Bought and sold again: no current position, but the start of day has one without a price.
    desk.feed(
        "instrument NOPX EQUITY USD
        holding A1 NOPX 5
        order O A1 NOPX SELL 5 5 5 FILLED dayAvgPx=1
        holding A1 ZERO1 0",
    );
    let expected = [
        "ACME 1000 1000 1000 0",
        "NOPX -(MISSING) 0 0 1",
        "USD 0 5 5 0",
        "ZERO1 0 0 0 0",
        "all 1000(PARTIAL:1) 1005 1005 1",
    ];
    check(&mut desk, "instrument_id", "mv_sod mv_current mv_expected unpriced", &expected);
}

#[test]
fn q3_price_times_of_positions() {
    let mut desk = Desk::of(ACME);
    desk.feed(
        "instrument B EQUITY USD
        price B 1 USD priceTime=2026-03-02T08:59:00Z
        instrument C EQUITY USD
        price C 1 USD priceTime=2026-03-02T08:50:00Z
        holding A1 B 1
        holding A1 C 0
        holding A1 USD 1",
    );
    let expected = ["ACME 0s 0s", "B -60s -60s", "C - -", "USD - -", "all -60s 0s"];
    check(&mut desk, "instrument_id", "price_time_min price_time_max", &expected);
}

#[test]
fn d8_price_to_money() {
    for (records, currency, expected) in [
        // Pence.
        ("instrument X EQUITY GBP priceScale=0.01\nprice X 500 GBP\nfx GBP USD 1.5", "USD", "75"),
        // Direct, inverse, cross over USD with each leg direct or inverse.
        ("instrument X EQUITY EUR\nprice X 40 EUR\nfx EUR USD 1.25", "USD", "500"),
        ("instrument X EQUITY JPY\nprice X 1000 JPY\nfx USD JPY 100", "USD", "100"),
        ("instrument X EQUITY USD\nprice X 40 USD\nfx EUR USD 1.25", "EUR", "320"),
        ("instrument X EQUITY EUR\nprice X 40 EUR\nfx EUR USD 1.25\nfx GBP USD 1.5", "GBP", "333.333333334"),
        ("instrument X EQUITY GBP\nprice X 40 GBP\nfx EUR USD 1.25\nfx GBP USD 1.5", "EUR", "480"),
        ("instrument X EQUITY EUR\nprice X 40 EUR\nfx USD EUR 0.8\nfx USD GBP 0.5", "GBP", "250"),
        // The direct rate of the pair before any other; not the inverse of the other direction.
        (
            "instrument X EQUITY EUR\nprice X 40 EUR\nfx EUR GBP 2\nfx GBP EUR 4\nfx EUR USD 9\nfx GBP USD 1",
            "GBP",
            "800",
        ),
        ("instrument X EQUITY EUR\nprice X 40 EUR\nfx GBP EUR 4\nfx EUR USD 9\nfx GBP USD 1", "GBP", "100"),
        // The price's currency counts, not the instrument's.
        ("instrument X EQUITY EUR\nprice X 40 GBP\nfx EUR USD 9\nfx GBP USD 1.5", "USD", "600"),
        // Multiplier, and a multiplier in pence.
        ("instrument X OPTION USD contractMultiplier=100\nprice X 5 USD", "USD", "5000"),
        (
            "instrument X OPTION GBP contractMultiplier=1000 priceScale=0.01\nprice X 5 GBP\nfx GBP USD 1.5",
            "USD",
            "750",
        ),
        // A bond's price is per 100 of par; accrued counts for bonds alone.
        ("instrument X BOND USD\nprice X 98 USD accrued=2", "USD", "10"),
        ("instrument X BOND USD\nprice X 98 USD", "USD", "9.8"),
        ("instrument X EQUITY USD\nprice X 98 USD accrued=2", "USD", "980"),
    ] {
        let mut desk = Desk::of(&format!("{records}\nholding A1 X 10"));
        let spec = ViewSpec { currency: currency.to_owned(), ..by("", "mv_sod mv_current mv_expected") };
        check_view(&mut desk, &spec, &[&format!("all {expected} {expected} {expected}")]);
    }
}

#[test]
fn d8_currencies_are_converted_before_they_are_added() {
    let mut desk = Desk::of(
        "holding A1 USD 100
        holding A1 EUR 100
        holding A1 JPY 10000
        fx EUR USD 1.25
        fx USD JPY 100",
    );
    for (currency, expected) in [
        ("USD", ["EUR 125", "JPY 100", "USD 100", "all 325"]),
        ("EUR", ["EUR 100", "JPY 80", "USD 80", "all 260"]),
        ("JPY", ["EUR 12500", "JPY 10000", "USD 10000", "all 32500"]),
    ] {
        let spec = ViewSpec { currency: currency.to_owned(), ..by("currency", "mv_current") };
        check_view(&mut desk, &spec, &expected);
    }
    let spec = ViewSpec { currency: "CHF".to_owned(), ..by("currency", "mv_current") };
    check_view(&mut desk, &spec, &["EUR -(MISSING)", "JPY -(MISSING)", "USD -(MISSING)", "all -(MISSING)"]);
}

#[test]
fn d8_a_currency_is_worth_one_of_itself() {
    // No record but the holding names it.
    let mut desk = Desk::of("holding A1 CHF 100");
    for (currency, expected) in [("CHF", "100"), ("USD", "-(MISSING)")] {
        let spec =
            ViewSpec { currency: currency.to_owned(), ..by("instrument_id", "mv_current net_current") };
        check_view(
            &mut desk,
            &spec,
            &[&format!("CHF {expected} {expected}"), &format!("all {expected} {expected}")],
        );
    }
}

#[test]
fn u1_future_has_exposure_and_no_value() {
    let mut desk = Desk::of("instrument FUT FUTURE USD contractMultiplier=50\nholding A1 FUT 2");
    let measures = "mv_sod mv_current gross_sod net_current unpriced orders";
    check(
        &mut desk,
        "instrument_id",
        measures,
        &["FUT 0 0 -(MISSING) -(MISSING) 0 0", "all 0 0 -(MISSING) -(MISSING) 0 0"],
    );
    desk.feed("price FUT 4000 USD\norder O A1 FUT SELL 1 1 1 FILLED dayAvgPx=4010");
    // No cash leg: there is no group of USD.
    check(&mut desk, "instrument_id", measures, &["FUT 0 0 400000 200000 0 1", "all 0 0 400000 200000 0 1"]);
}

#[test]
fn u2_option_is_exposed_to_its_underlying() {
    let mut desk = Desk::of(
        "instrument CALL OPTION USD contractMultiplier=100 priceScale=0.5 underlyingId=BRIT delta=-0.5
        price CALL 4 USD
        fx GBP USD 1.5
        holding A1 CALL 10",
    );
    let measures = "mv_sod long_sod short_sod";
    for (record, expected) in [
        // Its value needs its own price alone: 10 · 4 · 0.5 · 100.
        ("", "2000 -(MISSING) -(MISSING)"),
        ("price BRIT 500 GBP", "2000 -(MISSING) -(MISSING)"),
        // 10 · −0.5 · 500 · 0.01 · 100 · 1.5
        ("instrument BRIT EQUITY GBP priceScale=0.01", "2000 0 -3750"),
        (
            "instrument CALL OPTION USD contractMultiplier=100 priceScale=0.5 underlyingId=BRIT version=2",
            "2000 -(MISSING) -(MISSING)",
        ),
        (
            "instrument CALL OPTION USD contractMultiplier=100 priceScale=0.5 underlyingId=BRIT delta=0.25 version=3",
            "2000 1875 0",
        ),
        ("price BRIT 500 GBP priceTime=2026-03-02T08:00:00Z version=2", "2000 1875(STALE) 0(STALE)"),
        ("delete price CALL", "-(MISSING) 1875(STALE) 0(STALE)"),
    ] {
        desk.feed(record);
        check(&mut desk, "", measures, &[&format!("all {expected}")]);
    }
}

#[test]
fn u3_unit_price_is_rounded_half_to_even() {
    for (price, expected) in [
        // Price times 0.00000000005, to ten decimals.
        ("1", "0"),
        ("3", "0.0000000002"),
        ("5", "0.0000000002"),
        ("5.00000001", "0.0000000003"),
        ("7", "0.0000000004"),
        ("-1", "0"),
        ("-3", "-0.0000000002"),
    ] {
        let mut desk = Desk::of(&format!(
            "instrument X EQUITY EUR\nfx EUR USD 0.00000000005\nprice X {price} EUR\nholding A1 X 1"
        ));
        assert_eq!(desk.total("mv_sod"), expected, "price {price}");
    }
}

#[test]
fn u4_cash_leg_is_rounded_half_to_even() {
    for (quantity, expected) in [
        ("0.000001", "0 0"),
        ("0.000003", "-0.000002 -0.000002"),
        ("0.000005", "-0.000002 -0.000002"),
        ("0.000007", "-0.000004 -0.000004"),
        ("123456789012.123456", "-61728394506.061728 -61728394506.061728"),
    ] {
        let mut desk = Desk::of(&format!(
            "instrument X EQUITY USD
            holding A3 X 0
            order O1 A1 X BUY {quantity} {quantity} {quantity} FILLED dayAvgPx=0.5
            order O2 A2 X BUY {quantity} 0 0 NEW limitPrice=0.5"
        ));
        let fields = "instrument_id account_id";
        let current = desk.cell("account_overview", fields, "USD/A1", "mv_current mv_expected").unwrap();
        assert_eq!(current, expected);
        let open = desk.cell("account_overview", fields, "USD/A2", "mv_expected").unwrap();
        assert_eq!(open, expected.split(' ').next().unwrap());
    }
}

#[test]
fn u5_sums_are_exact() {
    let mut desk = Desk::of(
        "instrument X EQUITY EUR
        fx EUR USD 0.01
        price X 0.00000001 EUR
        holding A1 X 0.000001
        holding A2 X 0.000001
        holding A3 X 0.000001
        holding A4 USD 999999999999.999999",
    );
    check(
        &mut desk,
        "asset_class",
        "mv_sod net_sod",
        &[
            "CASH 999999999999.999999 999999999999.999999",
            "EQUITY 0.0000000000000003 0.0000000000000003",
            "all 999999999999.9999990000000003 999999999999.9999990000000003",
        ],
    );
}

/// Two accounts hold X, each with a view; one's value gets more digits than a sum can have.
fn out_of_range() -> (Desk, [ViewSpec; 2], [ViewId; 2]) {
    let mut desk = Desk::of("instrument X EQUITY USD\nprice X 1 USD\nholding A1 X 7\nholding A2 X 5");
    let specs = ["A1", "A2"].map(|name| ViewSpec {
        accounts: Selection::Only(vec![name.to_owned()]),
        ..by("instrument_id", "mv_sod mv_current")
    });
    let views = [desk.open(&specs[0]), desk.open(&specs[1])];
    let records =
        "price X 9999999999 USD version=2\nholding A1 X 999999999999 version=2\nholding A2 X 6 version=2";
    assert_eq!(desk.try_tick(NOW, records).unwrap_err().kind, Kind::Data);
    (desk, specs, views)
}

#[test]
fn u6_value_out_of_range_is_an_error_of_the_data() {
    let (mut desk, [bad, good], _) = out_of_range();
    assert_eq!(desk.engine.open(&bad).unwrap_err().kind, Kind::Data);
    check_view(&mut desk, &good, &["X 59999999994 59999999994", "all 59999999994 59999999994"]);
}

#[test]
fn u6_value_out_of_range_can_be_mended() {
    let (mut desk, _, views) = out_of_range();
    desk.feed("holding A1 X 8 version=3");
    assert_eq!(desk.read(views[0]), ["X 79999999992 79999999992", "all 79999999992 79999999992"]);
    assert_eq!(desk.read(views[1]), ["X 59999999994 59999999994", "all 59999999994 59999999994"]);
}

#[test]
fn u6_value_out_of_range_stops_no_other_view() {
    // In whichever order an engine brings its views to the epoch.
    for _ in 0..8 {
        let (desk, _, views) = out_of_range();
        assert_eq!(desk.read(views[1]), ["X 59999999994 59999999994", "all 59999999994 59999999994"]);
    }
}
