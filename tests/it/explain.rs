//! W: EXPLAIN VIEW, what a view says of itself.

use tickview::view::live::Reply;

use crate::desk::Desk;
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

fn without_bytes(text: &str) -> String {
    let words = text.split_inclusive([' ', '\n']).collect::<Vec<_>>();
    let mut told = String::new();
    for (at, word) in words.iter().enumerate() {
        let counts_bytes = words.get(at + 1).is_some_and(|next| next.trim_end_matches('\n') == "bytes");
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
