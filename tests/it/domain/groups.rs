//! D10, D12, L and G: netting, groups, weights.

use super::{check, check_view, scaled};
use crate::desk::{Desk, by};
use tickview::view::spec::ViewSpec;

const ACME: &str = "
    instrument ACME EQUITY USD sector=Tech
    price ACME 100 USD";
const EXPOSURES: &str = "long_current short_current gross_current net_current";

#[test]
fn d10_nets_an_account_before_gross() {
    let mut desk = Desk::of(ACME);
    desk.feed(
        "holding A1 ACME 100 portfolioId=X
        holding A1 ACME -60 portfolioId=Y
        holding A2 ACME -30
        order O A2 ACME SELL_SHORT 5 5 5 FILLED dayAvgPx=100",
    );
    check(
        &mut desk,
        "account_id",
        EXPOSURES,
        &[
            "A1 4000 0 4000 4000",
            "A2 500 -3500 4000 -3000",
            // Accounts are not netted with each other.
            "all 4500 -3500 8000 1000",
        ],
    );
    // Within each group first: the sleeves apart are longer and shorter than the account.
    check(
        &mut desk,
        "portfolio_id",
        EXPOSURES,
        &[
            " 500 -3500 4000 -3000",
            "X 10000 0 10000 10000",
            "Y 0 -6000 6000 -6000",
            "all 4500 -3500 8000 1000",
        ],
    );
}

#[test]
fn d10_net_zero_group_is_shown_at_zero_and_vanished_group_is_not() {
    let mut desk = Desk::of(ACME);
    desk.feed(
        "instrument BETA EQUITY USD sector=Energy
        price BETA 10 USD
        holding A1 BETA 1
        holding A1 ACME 100",
    );
    let view = desk.open(&by("sector", "mv_current gross_current holdings orders"));
    assert_eq!(desk.read(view), ["Energy 10 10 1 0", "Tech 10000 10000 1 0", "all 10010 10010 2 0"]);
    desk.feed("order O A1 ACME SELL 100 100 100 FILLED dayAvgPx=100");
    assert_eq!(
        desk.read(view),
        ["Energy 10 10 1 0", "Tech 0 0 1 1", "- 10000 10000 0 0", "all 10010 10010 2 1"]
    );
    desk.feed("delete holding A1 ACME 0");
    assert_eq!(
        desk.read(view),
        ["Energy 10 10 1 0", "Tech -10000 10000 0 1", "- 10000 10000 0 0", "all 10 20010 1 1"]
    );
    desk.feed("delete order O");
    assert_eq!(desk.read(view), ["Energy 10 10 1 0", "all 10 10 1 0"]);
    desk.feed("holding A1 ACME 0\nholding A1 BETA 0 version=2");
    assert_eq!(desk.read(view), ["Energy 0 0 0 0", "Tech 0 0 0 0", "all 0 0 0 0"]);
    desk.feed("delete holding A1 ACME 0\ndelete holding A1 BETA 0");
    assert_eq!(desk.read(view), ["all 0 0 0 0"]);
}

#[test]
fn d10_sector_change_moves_its_rows() {
    let mut desk = Desk::of(ACME);
    desk.feed("holding A1 ACME 3\norder O A2 ACME BUY 2 2 2 FILLED dayAvgPx=100\nholding A2 USD 200");
    let view = desk.open(&by("sector account_id", "mv_current holdings orders"));
    let cash = ["- 0 1 0", "-/A2 0 1 0", "all 500 2 1"];
    assert_eq!(desk.read(view)[..3], ["Tech 500 1 1", "Tech/A1 300 1 0", "Tech/A2 200 0 1"]);
    desk.feed("instrument ACME EQUITY USD sector=Media version=2");
    assert_eq!(desk.read(view)[..3], ["Media 500 1 1", "Media/A1 300 1 0", "Media/A2 200 0 1"]);
    assert_eq!(desk.read(view)[3..], cash);
    desk.feed("instrument ACME EQUITY USD version=3");
    assert_eq!(desk.read(view), ["- 500 2 1", "-/A1 300 1 0", "-/A2 200 1 1", "all 500 2 1"]);
}

#[test]
fn n1_cash_can_be_left_out_of_exposures() {
    let mut desk = Desk::of(ACME);
    desk.feed("holding A1 ACME 3\nholding A1 USD 50\nholding A1 JPY 7");
    let without = ViewSpec { exclude_cash: true, ..by("instrument_id", "mv_current gross_current") };
    check_view(
        &mut desk,
        &without,
        &["ACME 300 300", "JPY -(MISSING) 0", "USD 50 0", "all 350(PARTIAL:1) 300"],
    );
    let with =
        ["ACME 300 300", "JPY -(MISSING) -(MISSING)", "USD 50 50", "all 350(PARTIAL:1) 350(PARTIAL:1)"];
    check(&mut desk, "instrument_id", "mv_current gross_current", &with);
}

#[test]
fn d12_weights_add_up_to_one() {
    for count in [1, 3, 7, 11, 64] {
        let mut records = ACME.to_owned();
        for n in 1..=count {
            let quantity = (n * n * 37) % 101 + 1;
            records += &format!("\nholding A{n:02} ACME {quantity}.{n:06} portfolioId=P{}", n % 5);
        }
        let mut desk = Desk::of(&records);
        for fields in ["account_id", "portfolio_id", "instrument_id"] {
            let rows = desk.show(&by(fields, "weight_sod"));
            let weights: Vec<_> = rows.iter().map(|row| scaled(row.rsplit_once(' ').unwrap().1)).collect();
            let (total, groups) = weights.split_last().unwrap();
            assert_eq!(*total, scaled("1"));
            let off = (groups.iter().sum::<i128>() - scaled("1")).unsigned_abs();
            assert!(2 * off <= groups.len() as u128, "{count} accounts by {fields}: off by {off}e-10");
        }
    }
}

#[test]
fn d12_weight_of_nothing_has_no_value() {
    let mut desk = Desk::of(ACME);
    desk.feed("holding A1 ACME 1\nholding A2 USD -100");
    check(&mut desk, "account_id", "mv_sod weight_sod", &["A1 100 -", "A2 -100 -", "all 0 -"]);
    desk.feed("holding A3 USD 300");
    let expected = ["A1 100 0.3333333333", "A2 -100 -0.3333333333", "A3 300 1", "all 300 1"];
    check(&mut desk, "account_id", "mv_sod weight_sod", &expected);
    desk.feed("holding A3 NOPX 1");
    let rows = desk.show(&by("account_id", "weight_sod weight_current"));
    assert_eq!(rows, ["A1", "A2", "A3", "all"].map(|name| format!("{name} -(MISSING) -(MISSING)")));
}

#[test]
fn l1_direction_is_the_net_current_quantity_on_every_basis() {
    let mut desk = Desk::of(ACME);
    desk.feed(
        "holding A1 ACME -50 portfolioId=X
        holding A1 ACME 20 portfolioId=Y
        holding A2 ACME -10
        holding A3 ACME 5
        holding A3 ACME -5 portfolioId=X",
    );
    let measures = "mv_sod mv_current mv_expected";
    check(
        &mut desk,
        "long_short account_id",
        measures,
        &[
            "FLAT 0 0 0",
            "FLAT/A3 0 0 0",
            "SHORT -4000 -4000 -4000",
            "SHORT/A1 -3000 -3000 -3000",
            "SHORT/A2 -1000 -1000 -1000",
            "all -4000 -4000 -4000",
        ],
    );
    // A1 turns long by a fill, with its start of day; A2 only would by its open quantity.
    desk.feed(
        "order O1 A1 ACME BUY_COVER 40 40 40 FILLED dayAvgPx=100
        order O2 A2 ACME BUY_COVER 40 0 0 NEW limitPrice=100",
    );
    check(
        &mut desk,
        "long_short instrument_id account_id",
        measures,
        &[
            "FLAT 0 0 -4000",
            "FLAT/ACME 0 0 0",
            "FLAT/ACME/A3 0 0 0",
            "FLAT/USD 0 0 -4000",
            "FLAT/USD/A2 0 0 -4000",
            "LONG -3000 1000 1000",
            "LONG/ACME -3000 1000 1000",
            "LONG/ACME/A1 -3000 1000 1000",
            "SHORT -1000 -5000 -1000",
            "SHORT/ACME -1000 -1000 3000",
            "SHORT/ACME/A2 -1000 -1000 3000",
            "SHORT/USD 0 -4000 -4000",
            "SHORT/USD/A1 0 -4000 -4000",
            "all -4000 -4000 -4000",
        ],
    );
}

#[test]
fn g1_null_is_a_group_of_its_own() {
    let mut desk = Desk::of(
        "holding A1 X1 1
        holding A1 X2 2
        holding A1 X3 3
        price X1 1 USD
        price X2 1 USD
        price X3 1 USD",
    );
    let text = |id: &str, sector: &str| {
        format!(
            r#"base.instrument "{id}" {{"symbol":"X","name":"X","assetClass":"EQUITY","currency":"USD","sector":{sector},"version":1,"eventTime":"2026-03-02T09:00:00Z"}}"#
        )
    };
    desk.feed(&[text("X1", "null"), text("X2", "\"\""), text("X3", "\"null\"")].join("\n"));
    check(&mut desk, "sector", "mv_sod", &[" 2", "null 3", "- 1", "all 6"]);
}

#[test]
fn g2_keys_are_never_joined() {
    let mut desk = Desk::of(
        "holding A|B USD 1 portfolioId=C
        holding A USD 2 portfolioId=B|C
        holding A/B USD 4 portfolioId=C
        holding A USD 8 portfolioId=B/C",
    );
    let mut rows = desk.show(&by("account_id portfolio_id", "mv_sod"));
    rows.sort();
    let mut expected = ["A 10", "A/B/C 8", "A/B|C 2", "A/B 4", "A/B/C 4", "A|B 1", "A|B/C 1", "all 15"];
    expected.sort();
    assert_eq!(rows, expected);
}

#[test]
fn g3_order_fields_sum_to_the_total() {
    let mut desk = Desk::of(ACME);
    desk.feed(
        "holding A1 ACME 10
        movement M A1 USD 70
        order O1 A1 ACME BUY 3 3 3 FILLED dayAvgPx=90 trader=kim venue=XNYS timeInForce=DAY
        order O2 A1 ACME SELL 5 1 1 PARTIALLY_FILLED dayAvgPx=95 limitPrice=95 trader=lee",
    );
    for (field, expected) in [
        ("side", ["(holding) 1000 1070 1070 1 0", "BUY 0 30 30 0 1", "SELL 0 -5 -25 0 1"]),
        ("status", ["(holding) 1000 1070 1070 1 0", "FILLED 0 30 30 0 1", "PARTIALLY_FILLED 0 -5 -25 0 1"]),
        ("order_type", ["(holding) 1000 1070 1070 1 0", "LIMIT 0 -5 -25 0 1", "MARKET 0 30 30 0 1"]),
        ("trader", ["(holding) 1000 1070 1070 1 0", "kim 0 30 30 0 1", "lee 0 -5 -25 0 1"]),
        ("venue", ["(holding) 1000 1070 1070 1 0", "XNYS 0 30 30 0 1", "- 0 -5 -25 0 1"]),
        ("time_in_force", ["(holding) 1000 1070 1070 1 0", "DAY 0 30 30 0 1", "- 0 -5 -25 0 1"]),
    ] {
        let rows = desk.show(&by(field, "mv_sod mv_current mv_expected holdings orders"));
        assert_eq!(rows[..3], expected);
        assert_eq!(rows[3], "all 1000 1095 1075 1 2");
    }
}

#[test]
fn g4_every_field_groups_to_the_same_total() {
    let mut desk = Desk::of(ACME);
    desk.feed(
        "account A1 USD strategy=Growth region=EMEA
        instrument B BOND EUR industry=Gov issuer=DE countryOfRisk=DE countryOfDomicile=DE
        price B 99 EUR accrued=1
        fx EUR USD 1.25
        holding A1 ACME 10 sodPrice=99
        holding A2 B -1000 sodPrice=99 portfolioId=X
        order O A2 B BUY 600 200 200 PARTIALLY_FILLED dayAvgPx=99.5 trader=kim",
    );
    let measures = "mv_sod mv_current mv_expected day_pnl holdings orders live_orders";
    let total = desk.total(measures);
    for field in tickview::plan::bind::GROUP_FIELDS {
        let rows = desk.show(&by(field, measures));
        let (all, groups) = rows.split_last().unwrap();
        assert_eq!(*all, format!("all {total}"));
        let sums = (0..7).map(|column| {
            groups.iter().map(|row| scaled(row.rsplit(' ').nth(6 - column).unwrap())).sum::<i128>()
        });
        let expected: Vec<_> = total.split(' ').map(scaled).collect();
        assert_eq!(sums.collect::<Vec<_>>(), expected, "by {field}");
    }
}

#[test]
fn g5_no_portfolio_is_the_empty_portfolio() {
    let mut desk = Desk::of("holding A1 USD 100\nholding A1 USD 90 portfolioId= version=2\nfx USD EUR 1");
    check(&mut desk, "portfolio_id", "mv_sod holdings", &[" 90 1", "all 90 1"]);
}

#[test]
fn g6_changed_account_moves_its_rows() {
    let mut desk = Desk::of(ACME);
    desk.feed("holding A1 ACME 3\nholding A2 ACME 4\naccount A2 USD strategy=Growth region=EMEA");
    let fields = "strategy region";
    check(&mut desk, fields, "mv_sod", &["Growth 400", "Growth/EMEA 400", "- 300", "-/- 300", "all 700"]);
    desk.feed("account A1 USD strategy=Growth\naccount A2 USD strategy=Value region=EMEA version=2");
    let expected = ["Growth 300", "Growth/- 300", "Value 400", "Value/EMEA 400", "all 700"];
    check(&mut desk, fields, "mv_sod", &expected);
    desk.feed("delete account A2");
    check(&mut desk, fields, "mv_sod", &["Growth 300", "Growth/- 300", "- 400", "-/- 400", "all 700"]);
}

#[test]
fn l_quantities_of_many_digits_in_several_sleeves_add_up() {
    let mut desk = Desk::of(ACME);
    desk.feed(
        "holding A1 ACME 2000000000
        holding A1 ACME 2000000000 portfolioId=X
        holding A1 ACME 2000000000 portfolioId=Y
        holding A1 ACME 2000000000 portfolioId=Z",
    );
    let view = desk.open(&by("account_id", "mv_current long_current"));
    let prices = [(2, "100.1", "800800000000"), (3, "101.6", "812800000000"), (4, "100.3", "802400000000")];
    for (version, price, value) in prices {
        desk.feed(&format!("price ACME {price} USD version={version}"));
        let row = format!("{value} {value}");
        assert_eq!(desk.read(view), [format!("A1 {row}"), format!("all {row}")]);
    }
}
