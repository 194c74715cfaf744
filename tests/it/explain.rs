//! W: EXPLAIN VIEW, what a view says of itself.

use tickview::ingest::source::{Cut, SetAside};
use tickview::view::live::Reply;
use tickview::view::spec::{Selection, ViewSpec};

use crate::desk::{Desk, NOW, by};
use crate::live::views;

/// The records that EXPLAIN is asked about: two accounts, three instruments, and then a tick.
fn explained() -> Desk {
    Desk::of(
        "account A1 USD\naccount A2 EUR\ninstrument AAA EQUITY USD sector=Tech\ninstrument BBB BOND EUR sector=Gov\n\
         price AAA 10 USD\nprice BBB 99 EUR\nfx EUR USD 1.25\nholding A1 AAA 100\nholding A2 AAA -50\n\
         holding A2 BBB 1000\norder O1 A1 AAA BUY 10 4 4 PARTIALLY_FILLED dayAvgPx=9.5 limitPrice=11",
    )
}

#[test]
fn w4_a_view_explains_itself() {
    let mut desk = explained();
    let all = views();
    let names = [
        "q1_summary",
        "sector_value",
        "sector_value_start",
        "long_short",
        "q5_by_country",
        "stale",
        "mixed",
        "medians",
        "large",
        "scaled",
        "q19_either",
        "ranked",
        "numbered",
        "held_and_ordered",
    ];
    for name in names {
        let (_, select) = all.iter().find(|(known, _)| known == name).unwrap();
        desk.engine.execute_live(&format!("CREATE LIVE VIEW {name} AS {select}")).unwrap();
    }
    desk.feed("price AAA 11 USD version=2\nholding A1 BBB 5");
    let mut text = String::new();
    for name in names.into_iter().chain(["cash_only"]) {
        let Reply::Explained(one) = desk.engine.execute_live(&format!("EXPLAIN VIEW {name}")).unwrap() else {
            panic!("an explanation");
        };
        text.push_str(&one);
        text.push_str("\n\n");
    }
    // Room that a collection keeps for more says nothing about views.
    insta::assert_snapshot!("explain_view", without_bytes(&text));
}

fn explain(desk: &mut Desk, name: &str) -> String {
    match desk.engine.execute_live(&format!("EXPLAIN VIEW {name}")) {
        Ok(Reply::Explained(text)) => text,
        other => panic!("an explanation, not {other:?}"),
    }
}

/// What is told of one open view.
fn told_of(text: &str, number: u64) -> String {
    let head = format!("view {number}: ");
    let lines = text.lines().skip_while(|line| !line.starts_with(&head));
    let told: Vec<&str> =
        lines.enumerate().take_while(|(at, l)| *at == 0 || l.starts_with(' ')).map(|(_, l)| l).collect();
    assert!(!told.is_empty(), "view {number} is not in {text}");
    told.join("\n")
}

fn only(accounts: &[&str]) -> Selection {
    Selection::Only(accounts.iter().map(|&account| account.to_owned()).collect())
}

/// Several views of each kind, some of which share what they stand on.
fn open_views(desk: &mut Desk) {
    let measures = "mv_current long_expected weight_current orders";
    let carved = ViewSpec { portfolios: Some(vec!["P1".to_owned()]), ..ViewSpec::new("pid_carve_out") };
    let cash = ["account_id", "currency"].map(str::to_owned).to_vec();
    for spec in [
        by("sector country_of_risk", measures),
        ViewSpec { accounts: only(&["A1"]), ..by("sector", measures) },
        by("account_id", measures),
        by("side long_short", measures),
        ViewSpec { currency: "EUR".to_owned(), exclude_cash: true, ..by("", measures) },
        ViewSpec { group_by: vec!["sector".to_owned()], ..carved },
        ViewSpec { group_by: cash, ..ViewSpec::new("cash_only") },
        ViewSpec { accounts: only(&["A2"]), ..ViewSpec::new("holdings") },
        ViewSpec::new("orders"),
    ] {
        desk.open(&spec);
    }
}

#[test]
fn w4_shipped_views_explain_what_is_open() {
    let mut desk = explained();
    open_views(&mut desk);
    desk.feed("price AAA 11 USD version=2\nholding A1 BBB 5");
    let names = ["account_overview", "pid_carve_out", "cash_only", "holdings", "orders"];
    let texts: Vec<String> = names.iter().map(|name| explain(&mut desk, name)).collect();
    insta::assert_snapshot!("explain_open_views", without_bytes(&texts.join("\n\n")));
}

#[test]
fn w4_a_tick_is_told_by_what_it_touched() {
    let mut desk = explained();
    let view = desk.open(&by("sector", "mv_current weight_current"));
    let row_view = desk.open(&ViewSpec::new("holdings"));
    let last = |desk: &mut Desk, name: &str, view: u64| {
        let told = told_of(&explain(desk, name), view);
        told.lines().find_map(|line| line.trim().strip_prefix("last tick: ")).unwrap().to_owned()
    };
    assert!(last(&mut desk, "account_overview", view).starts_with("computed anew, 0 net-position rows"));
    assert!(last(&mut desk, "holdings", row_view).starts_with("found and ordered anew"));

    // A price moves the group of its sector and the total, whose shares of every group move with it.
    desk.feed("price AAA 11 USD version=2");
    let told = last(&mut desk, "account_overview", view);
    assert!(told.starts_with("0 net-position rows, "), "{told}");
    assert!(told.contains(" for 1 pairs, 2 groups computed, 2 changed"), "{told}");
    assert_eq!(last(&mut desk, "holdings", row_view), "in place, 0 base rows");
    let of_one_price = desk.engine.bytes_touched();
    assert!(of_one_price > 0);

    // The same record again is no new epoch: what is told is of the last one.
    assert!(!desk.feed("price AAA 11 USD version=2"));
    assert_eq!(last(&mut desk, "account_overview", view), told);
    assert_eq!(desk.engine.bytes_touched(), of_one_price);

    // A holding is read as it was and as it is; no price moves.
    desk.feed("holding A1 AAA 101 version=2");
    let told = last(&mut desk, "account_overview", view);
    assert!(told.starts_with("2 net-position rows, 0 values of 0 functions for 0 pairs, 2 groups"), "{told}");
    assert_eq!(last(&mut desk, "holdings", row_view), "in place, 2 base rows");

    // Both prices touch more than one.
    desk.feed("price AAA 12 USD version=4\nprice BBB 98 EUR version=2");
    assert!(last(&mut desk, "account_overview", view).contains(" for 2 pairs, 3 groups computed, 3 changed"));
    assert!(desk.engine.bytes_touched() > of_one_price);

    // A record that is set aside makes an epoch in which nothing is touched.
    let set_aside = vec![SetAside {
        topic: "base.price".to_owned(),
        position: "0".to_owned(),
        key: "AAA".to_owned(),
        reason: "not JSON".to_owned(),
        payload: Vec::new(),
    }];
    assert!(desk.engine.tick(NOW, Cut { set_aside, ..Cut::default() }).unwrap());
    let told = last(&mut desk, "account_overview", view);
    assert_eq!(
        told,
        "0 net-position rows, 0 values of 0 functions for 0 pairs, 0 groups computed, 0 changed"
    );
}

#[test]
fn w4_a_view_that_is_opening_says_how_far_it_is() {
    let mut desk = explained();
    let view = desk.engine.begin(&by("sector", "mv_current")).unwrap();
    let told = told_of(&explain(&mut desk, "account_overview"), view);
    assert!(told.ends_with("opening: 0 of 3 pairs are read"), "{told}");
    while !desk.engine.is_open(view) {
        desk.engine.advance(usize::MAX).unwrap();
    }
    let told = told_of(&explain(&mut desk, "account_overview"), view);
    assert!(told.contains("last tick: computed anew"), "{told}");
}

#[test]
fn w4_a_live_view_takes_the_name_of_a_shipped_one() {
    let mut desk = explained();
    assert!(explain(&mut desk, "holdings").starts_with("view holdings: shipped, rows of base.sod_holding"));
    desk.engine.execute_live("CREATE LIVE VIEW holdings AS SELECT COUNT(*) FROM base.sod_holding").unwrap();
    assert!(explain(&mut desk, "holdings").starts_with("view holdings: SELECT COUNT(*)"));
    desk.engine.execute_live("DROP LIVE VIEW holdings").unwrap();
    assert!(explain(&mut desk, "holdings").starts_with("view holdings: shipped, rows of base.sod_holding"));
}

#[test]
fn w4_a_stopwatch_gives_the_times_of_a_tick() {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NANOSECONDS: AtomicU64 = AtomicU64::new(0);
    let mut desk = explained();
    let view = desk.open(&by("sector", "mv_current"));
    assert_eq!(desk.engine.tick_times().stages().count(), 0, "there is no clock yet");
    desk.engine.set_stopwatch(|| NANOSECONDS.fetch_add(1_500, Ordering::Relaxed));
    desk.tick(NOW, "price AAA 11 USD version=2");
    // Each reading is 1.5 µs after the one before: a stage takes as long as there are readings in it.
    let stages: Vec<_> = desk.engine.tick_times().stages().collect();
    let wanted = [
        ("tables", 1_500),
        ("relations", 1_500),
        ("positions", 3_000),
        ("shapes", 1_500),
        ("views", 10_500),
        ("sql", 1_500),
    ];
    assert_eq!(stages, wanted);
    let text = explain(&mut desk, "account_overview");
    let told = told_of(&text, view);
    assert!(told.ends_with("time: sums 3.000 µs, cells 1.500 µs, order 1.500 µs"), "{told}");
    let shared = "time: tables 1.500 µs, relations 1.500 µs, net positions 3.000 µs, shapes 1.500 µs\n  time: views \
                  10.500 µs, views of SQL 1.500 µs";
    assert!(text.ends_with(shared), "{text}");
}

fn without_bytes(text: &str) -> String {
    let words = text.split_inclusive([' ', '\n']).collect::<Vec<_>>();
    let mut told = String::new();
    for (at, word) in words.iter().enumerate() {
        let counts_bytes =
            words.get(at + 1).is_some_and(|next| next.trim_end().trim_end_matches(';') == "bytes");
        told.push_str(if counts_bytes { "[n] " } else { word });
    }
    told
}

#[test]
fn w4_a_stopwatch_gives_times() {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NANOSECONDS: AtomicU64 = AtomicU64::new(0);
    let mut desk = explained();
    desk.engine.set_stopwatch(|| NANOSECONDS.fetch_add(1_500, Ordering::Relaxed));
    desk.engine.execute_live("CREATE LIVE VIEW v AS SELECT COUNT(*) FROM base.price").unwrap();
    let Reply::Explained(text) = desk.engine.execute_live("EXPLAIN VIEW v").unwrap() else {
        panic!("a text")
    };
    assert!(text.ends_with("time: stages 1.500 µs, plan around them 1.500 µs"), "{text}");
}

#[test]
fn w4_views_of_the_same_rows_share_their_sums() {
    let mut desk = explained();
    let all = views();
    let explain =
        |desk: &mut Desk, name: &str| match desk.engine.execute_live(&format!("EXPLAIN VIEW {name}")) {
            Ok(Reply::Explained(text)) => text,
            other => panic!("an explanation, not {other:?}"),
        };
    for name in ["sector_value", "sector_value_start"] {
        let (_, select) = all.iter().find(|(known, _)| known == name).unwrap();
        desk.engine.execute_live(&format!("CREATE LIVE VIEW {name} AS {select}")).unwrap();
    }
    assert!(explain(&mut desk, "sector_value").contains("shared with sector_value_start"));
    assert!(explain(&mut desk, "sector_value_start").contains("shared with sector_value\n"));
    desk.engine.execute_live("DROP LIVE VIEW sector_value").unwrap();
    let text = explain(&mut desk, "sector_value_start");
    assert!(text.contains("shared with no other view"), "{text}");
}
