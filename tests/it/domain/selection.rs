//! D13 and S: what a selection takes.

use super::check_view;
use crate::desk::{Desk, by};
use tickview::error::Kind;
use tickview::view::spec::{Selection, ViewSpec};

const RECORDS: &str = "
    instrument ACME EQUITY USD sector=Tech
    price ACME 100 USD
    holding A1 ACME 5
    holding A1 ACME 20 portfolioId=CORE
    holding A1 ACME -30 portfolioId=ALPHA
    holding A2 ACME 40 portfolioId=CORE
    holding A3 USD 1000
    order O1 A1 ACME SELL 4 1 1 PARTIALLY_FILLED dayAvgPx=90 portfolioId=CORE
    movement M1 A2 USD 7 portfolioId=CORE";
const BASES: &str = "mv_sod mv_current mv_expected";

fn of(accounts: &[&str]) -> ViewSpec {
    let names = accounts.iter().map(|&name| name.to_owned()).collect();
    ViewSpec { accounts: Selection::Only(names), ..by("account_id", "mv_sod net_sod weight_sod") }
}

fn carve_out(portfolios: &[&str]) -> ViewSpec {
    let names = portfolios.iter().map(|&name| name.to_owned()).collect();
    ViewSpec { view: "pid_carve_out".to_owned(), portfolios: Some(names), ..by("account_id", BASES) }
}

#[test]
fn d13_unknown_account_is_rejected_and_the_view_before_stays() {
    let mut desk = Desk::of(RECORDS);
    let before = desk.open(&of(&["A2"]));
    let shown = desk.read(before);
    let error = desk.engine.open(&of(&["A1", "NOBODY"])).unwrap_err();
    assert_eq!((error.kind, error.code), (Kind::Invalid, "UNKNOWN_ACCOUNT"));
    for name in ["NOBODY", "A1", "A2", "A3"] {
        assert!(error.message.contains(name), "{error} does not name {name}");
    }
    assert_eq!(desk.engine.views(), 1);
    assert_eq!(desk.read(before), shown);
    // An account that any topic names can be chosen, declared or not.
    desk.feed("movement M9 NOBODY USD 1");
    check_view(&mut desk, &of(&["NOBODY"]), &["NOBODY 0 0 -", "all 0 0 -"]);
}

#[test]
fn d13_changed_selection_is_whole_at_once() {
    let mut desk = Desk::of(RECORDS);
    let before = desk.open(&of(&["A1"]));
    let after = desk.open(&of(&["A2", "A3"]));
    assert_eq!(desk.read(before), ["A1 -500 -500 1", "all -500 -500 1"]);
    assert_eq!(desk.read(after), ["A2 4000 4000 0.8", "A3 1000 1000 0.2", "all 5000 5000 1"]);
    desk.engine.close(before);
    desk.feed("price ACME 50 USD version=2");
    assert_eq!(
        desk.read(after),
        ["A2 2000 2000 0.6666666667", "A3 1000 1000 0.3333333333", "all 3000 3000 1"]
    );
}

#[test]
fn s1_selection_takes_exactly_its_accounts() {
    let mut desk = Desk::of(RECORDS);
    check_view(&mut desk, &of(&[]), &["all 0 0 -"]);
    check_view(&mut desk, &of(&["A3"]), &["A3 1000 1000 1", "all 1000 1000 1"]);
    check_view(&mut desk, &of(&["A3", "A3"]), &["A3 1000 1000 1", "all 1000 1000 1"]);
    let all = ViewSpec { accounts: Selection::All, ..of(&[]) };
    let expected = [
        "A1 -500 -500 -0.1111111111",
        "A2 4000 4000 0.8888888889",
        "A3 1000 1000 0.2222222222",
        "all 4500 4500 1",
    ];
    check_view(&mut desk, &all, &expected);
}

#[test]
fn s2_carve_outs_and_remainder_are_the_account() {
    let mut desk = Desk::of(RECORDS);
    check_view(
        &mut desk,
        &carve_out(&["CORE"]),
        &["A1 2000 1990 1990", "A2 4000 4007 4007", "all 6000 5997 5997"],
    );
    check_view(&mut desk, &carve_out(&["ALPHA"]), &["A1 -3000 -3000 -3000", "all -3000 -3000 -3000"]);
    check_view(&mut desk, &carve_out(&[""]), &["A1 500 500 500", "A3 1000 1000 1000", "all 1500 1500 1500"]);
    let whole = ["A1 -500 -510 -510", "A2 4000 4007 4007", "A3 1000 1000 1000", "all 4500 4497 4497"];
    check_view(&mut desk, &carve_out(&["", "ALPHA", "CORE"]), &whole);
    check_view(&mut desk, &by("account_id", BASES), &whole);
    check_view(&mut desk, &carve_out(&[]), &["all 0 0 0"]);
}

#[test]
fn s3_direction_and_weights_are_those_of_the_selection() {
    let mut desk = Desk::of(RECORDS);
    let by_direction = |portfolios: &[&str]| ViewSpec {
        accounts: Selection::Only(vec!["A1".to_owned()]),
        group_by: vec!["instrument_id".to_owned(), "long_short".to_owned()],
        columns: Some(vec!["mv_sod".to_owned(), "weight_sod".to_owned()]),
        ..carve_out(portfolios)
    };
    let core = ["ACME 2000 1", "ACME/LONG 2000 1", "USD 0 0", "USD/LONG 0 0", "all 2000 1"];
    check_view(&mut desk, &by_direction(&["CORE"]), &core);
    let both = ["ACME -1000 1", "ACME/SHORT -1000 1", "USD 0 0", "USD/LONG 0 0", "all -1000 1"];
    check_view(&mut desk, &by_direction(&["CORE", "ALPHA"]), &both);
}
