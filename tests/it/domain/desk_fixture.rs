//! H: the numbers that `fixtures/desk/README.md` computes by hand.

use super::{check, everything};
use crate::desk::{Desk, NOW, Recorded, recording};
use tickview::clock::{SECOND_US, Timestamp};

/// 2026-03-03T00:00:00Z.
const SECOND_DAY: Timestamp = NOW + 15 * 3_600 * SECOND_US;

fn played(records: &[Recorded]) -> Desk {
    let mut desk = Desk::new();
    desk.play(records.last().unwrap().timestamp, records);
    desk
}

fn until(end: Timestamp) -> Vec<Recorded> {
    recording("desk").into_iter().filter(|record| record.timestamp < end).collect()
}

#[test]
fn h1_values_by_sector_and_account() {
    let mut desk = played(&until(SECOND_DAY));
    assert_eq!(desk.engine.snapshot().as_of, NOW + 7 * 3_600 * SECOND_US);
    check(
        &mut desk,
        "sector",
        "mv_sod mv_current mv_expected",
        &[
            "Diversified 30000 32000 40000",
            "Energy 15000(STALE) 13500(STALE) 11250(STALE)",
            "Government 100000 80000 80000",
            "Index 0 0 0",
            "Industrials 144000 211000 613500",
            "Technology 126000(PARTIAL:1) 1203500(PARTIAL:1) 1193500(PARTIAL:1)",
            "- 84750(PARTIAL:1) -1248550(PARTIAL:1) -1646577.5(PARTIAL:1)",
            "all 499750(PARTIAL:2) 291450(PARTIAL:2) 291672.5(PARTIAL:2)",
        ],
    );
    check(
        &mut desk,
        "account_id",
        "mv_sod mv_current mv_expected weight_current",
        &[
            "ALPHA 331500(STALE) 331900(STALE) 331922.5(STALE) -(MISSING)",
            "BRAVO 114000(PARTIAL:1) 114050(PARTIAL:1) 114250(PARTIAL:1) -(MISSING)",
            "CHARLIE 53250(PARTIAL:1) -155500(PARTIAL:1) -155500(PARTIAL:1) -(MISSING)",
            "DELTA 1000 1000 1000 -(MISSING)",
            "all 499750(PARTIAL:2) 291450(PARTIAL:2) 291672.5(PARTIAL:2) -(MISSING)",
        ],
    );
}

#[test]
fn h2_values_by_position() {
    let mut desk = played(&until(SECOND_DAY));
    let rows =
        desk.show(&crate::desk::by("account_id instrument_id portfolio_id", "mv_sod mv_current mv_expected"));
    let positions: Vec<_> =
        rows.iter().filter(|row| row.split(' ').next().unwrap().matches('/').count() == 2).collect();
    assert_eq!(
        positions,
        [
            "ALPHA/ACME/ 100000 120000 120000",
            "ALPHA/ACME/CORE 50000 50000 50000",
            "ALPHA/BOND1/CORE 100000 80000 80000",
            "ALPHA/BRIT/CORE 15000(STALE) 13500(STALE) 11250(STALE)",
            "ALPHA/FUND1/ 10000 12000 20000",
            "ALPHA/FUT1/ 0 0 0",
            "ALPHA/GBP/ 1500 1500 1500",
            "ALPHA/GBP/CORE 0 1500 3772.5",
            "ALPHA/OPT1/ 5000 7500 7500",
            "ALPHA/USD/ 50000 25900 17900",
            "ALPHA/USD/CORE 0 20000 20000",
            "BRAVO/ACME/ -30000 -25000 -35000",
            "BRAVO/EUR/ 0 -26950 -426950",
            "BRAVO/EURO/ 100000 127000 527000",
            "BRAVO/FUND1/ 20000 20000 20000",
            "BRAVO/NIPP/ 4000 4000 4000",
            "BRAVO/NOPX/ -(MISSING) -(MISSING) -(MISSING)",
            "BRAVO/USD/ 20000 15000 25200",
            "CHARLIE/ACME/ 0 1050000 1050000",
            "CHARLIE/EUR/ 12500 13750 11250",
            "CHARLIE/EURO/ 40000 40000 42500",
            "CHARLIE/GBP/ 750 750 750",
            "CHARLIE/GHOST1/ -(MISSING) -(MISSING) -(MISSING)",
            "CHARLIE/JPY/ 0 -40000 -40000",
            "CHARLIE/NIPP/ 0 40000 40000",
            "CHARLIE/USD/ 0 -1260000 -1260000",
            "DELTA/ACME/ 1000 1000 1000",
        ]
    );
}

#[test]
fn h3_exposures_by_sector() {
    let mut desk = played(&until(SECOND_DAY));
    let measures = "long_sod short_sod long_current short_current long_expected short_expected";
    let rows = desk.show(&crate::desk::by("sector", measures));
    assert_eq!(
        rows[..6],
        [
            "Diversified 30000 0 32000 0 40000 0",
            "Energy 15000(STALE) 0(STALE) 13500(STALE) 0(STALE) 11250(STALE) 0(STALE)",
            "Government 100000 0 80000 0 80000 0",
            "Index 400000 0 200000 0 200000 0",
            "Industrials 144000 0 211000 0 613500 0",
            "Technology 201000(PARTIAL:1) -30000(PARTIAL:1) 1296000(PARTIAL:1) -25000(PARTIAL:1) 1296000(PARTIAL:1) -35000(PARTIAL:1)",
        ]
    );
    assert_eq!(rows[6].replace("(PARTIAL:1)", ""), "- 84750 0 78400 -1326950 82872.5 -1726950");
}

#[test]
fn h4_profit_by_sector() {
    let mut desk = played(&until(SECOND_DAY));
    check(
        &mut desk,
        "sector",
        "day_pnl_price day_pnl_trading",
        &[
            "Diversified 0 0",
            "Energy 600(STALE) 0(STALE)",
            "Government 1000 0",
            "Index 1000 500",
            "Industrials 7040 50",
            "Technology 7050(PARTIAL:1) -210000",
            "- -(MISSING) 0",
            "all 16690(PARTIAL:2) -209450(STALE)",
        ],
    );
    let rows = desk.show(&crate::desk::by("sector", "day_pnl_fx"));
    let values: Vec<_> = rows.iter().map(|row| row.split('(').next().unwrap()).collect();
    let expected = [
        "Diversified 0",
        "Energy 0",
        "Government 0",
        "Index 0",
        "Industrials 6112",
        "Technology 0",
        "- -",
        "all 6112",
    ];
    assert_eq!(values, expected);
    assert_eq!(desk.total("day_pnl"), "-186648(PARTIAL:2)");
}

#[test]
fn h5_record_by_record_is_as_all_at_once() {
    let records = until(SECOND_DAY);
    let mut steps = Desk::new();
    for record in &records {
        steps.play(record.timestamp, std::slice::from_ref(record));
    }
    assert_eq!(everything(&mut steps), everything(&mut played(&records)));
}

/// A restart reads the topics from their beginning, all in one cut; the views go on as they were.
#[test]
fn d4_restart_shows_what_stood_before_it() {
    let all = recording("desk");
    // In the middle of the first day; while holdings of the second arrive; a record before the switch.
    let switch = SECOND_DAY + (6 * 3_600 + 36) * SECOND_US;
    for stopped in [NOW + 2 * 3_600 * SECOND_US, switch - 10 * SECOND_US, switch] {
        let (before, after): (Vec<_>, Vec<_>) =
            all.iter().cloned().partition(|record| record.timestamp < stopped);
        let mut kept = Desk::new();
        for record in &before {
            kept.play(record.timestamp, std::slice::from_ref(record));
            everything(&mut kept);
        }
        let mut restarted = played(&before);
        assert_eq!(everything(&mut restarted), everything(&mut kept), "stopped at {stopped}");
        for record in &after {
            let record = std::slice::from_ref(record);
            let now = record[0].timestamp;
            assert_eq!(restarted.play(now, record), kept.play(now, record));
        }
        assert_eq!(everything(&mut restarted), everything(&mut kept), "went on from {stopped}");
    }
    let waiting = |end: Timestamp| {
        let records: Vec<_> = all.iter().filter(|record| record.timestamp < end).cloned().collect();
        played(&records).engine.day()
    };
    assert!(waiting(switch) < waiting(switch + 1), "the last stop is in the middle of the switch");
}

#[test]
fn h6_second_day_begins_with_its_last_holding() {
    let records = recording("desk");
    let switch = SECOND_DAY + (6 * 3_600 + 36) * SECOND_US;
    let totals = "mv_sod mv_current mv_expected holdings orders live_orders";
    let mut desk = Desk::new();
    let (before, after): (Vec<_>, Vec<_>) = records.into_iter().partition(|record| record.timestamp < switch);
    let (day, night): (Vec<_>, Vec<_>) = before.into_iter().partition(|record| record.timestamp < SECOND_DAY);
    desk.play(day.last().unwrap().timestamp, &day);
    desk.play(switch - SECOND_US, &night);
    let first = "499750(PARTIAL:2) 291450(PARTIAL:2) 291672.5(PARTIAL:2) 20 13 5";
    assert_eq!(desk.total(totals), first);
    let (last, after): (Vec<_>, Vec<_>) = after.into_iter().partition(|record| record.timestamp == switch);
    assert_eq!(last.len(), 1);
    desk.play(switch, &last);
    // The start of day is the end of the day before; +250 of M4; PART, SHORT, MKT, GTC and D36 are open.
    assert_eq!(desk.total(totals), "291450(PARTIAL:2) 291700(PARTIAL:2) 291922.5(PARTIAL:2) 27 5 5");
    desk.play(after.last().unwrap().timestamp, &after);
    assert_eq!(desk.total(totals), "291450(PARTIAL:2) 291700(PARTIAL:2) 291700(PARTIAL:2) 27 2 2");
    let euro = desk.cell(
        "account_overview",
        "account_id instrument_id",
        "BRAVO/EURO",
        "mv_sod mv_current mv_expected",
    );
    assert_eq!(euro.unwrap(), "127000(STALE) 177000(STALE) 527000(STALE)");
}
