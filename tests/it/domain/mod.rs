//! The rules of `tests/SPEC.md`, one test or more each, on the grouped views.

mod cash;
mod cash_only;
mod day;
mod desk_fixture;
mod groups;
mod positions;
mod profit;
mod selection;
mod valuation;

use crate::desk::{Desk, by};
use tickview::view::spec::ViewSpec;

/// The Account Overview by these fields has these rows, the total last, and no others.
#[track_caller]
fn check(desk: &mut Desk, fields: &str, measures: &str, expected: &[&str]) {
    check_view(desk, &by(fields, measures), expected);
}

#[track_caller]
fn check_view(desk: &mut Desk, spec: &ViewSpec, expected: &[&str]) {
    assert_eq!(desk.show(spec), expected);
}

/// Every cell of every group, for comparing two states.
fn everything(desk: &mut Desk) -> Vec<String> {
    let mut rows = desk.show(&by("account_id instrument_id portfolio_id", "*"));
    rows.extend(desk.show(&by("sector long_short side status", "*")));
    rows
}

/// A numeric cell without a quality, as an integer scaled by 10^10.
fn scaled(text: &str) -> i128 {
    tickview::datum::parse_decimal(text, 38, 10).unwrap()
}
