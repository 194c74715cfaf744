//! SPEC P1, P3: previous + patch = next, and a patch carries nothing that did not change.

use std::collections::HashSet;

use proptest::prelude::*;
use tickview::datum::NULL;
use tickview::diff::{Move, Patch, Subscription, ViewModel, Window};
use tickview::view::result::{Cell, Heading, Quality};

use crate::fake::{FakeResult, FakeRow};

const COLUMNS: usize = 3;

fn cell() -> impl Strategy<Value = Cell> {
    let value = prop_oneof![4 => 0i128..3, 1 => Just(NULL)];
    let quality = prop_oneof![
        4 => Just(Quality::Ok),
        1 => Just(Quality::Stale),
        1 => (1u64..3).prop_map(Quality::Partial),
        1 => Just(Quality::Missing),
    ];
    (value, quality).prop_map(|(value, quality)| Cell { value, quality })
}

fn cells() -> impl Strategy<Value = Vec<Cell>> {
    prop::collection::vec(cell(), COLUMNS)
}

/// A result whose rows are drawn from 12 identities, so that two results share many.
fn result() -> impl Strategy<Value = FakeResult> {
    let rows = prop::collection::vec((0u64..12, 0u8..12, cells()), 0..14);
    (rows, cells()).prop_map(|(rows, total)| {
        let mut seen = HashSet::new();
        let rows = rows.into_iter().filter(|row| seen.insert(row.0)).map(|(id, mark, cells)| FakeRow {
            id,
            heading: Heading {
                key: vec![Some(format!("k{id}"))],
                label: (mark == 1).then(|| "label".to_owned()),
                depth: 1,
                expandable: mark == 0,
            },
            cells,
        });
        FakeResult { rows: rows.collect(), total, ..FakeResult::new(COLUMNS) }
    })
}

fn window() -> impl Strategy<Value = Window> {
    (0usize..6, 0usize..10).prop_map(|(from, length)| Window { from, to: from + length })
}

/// What a reader opening the window now would get.
fn fresh(result: &FakeResult, window: Window) -> tickview::diff::Snapshot {
    Subscription::new(window).snapshot(result)
}

/// Panics where the patch says anything that `before` already held.
fn assert_minimal(before: &ViewModel, patch: &Patch) {
    let mut shaped = before.clone();
    let mut only_shape = patch.clone();
    only_shape.values.clear();
    only_shape.qualities.clear();
    only_shape.total = Default::default();
    shaped.apply(&only_shape).unwrap();
    let added: HashSet<usize> = patch.added.iter().map(|added| added.at).collect();
    for run in &patch.values {
        for (row, value) in run.rows.iter().zip(&run.values) {
            assert!(!added.contains(row));
            assert_ne!(shaped.held().rows[*row].cells[run.column].value, *value);
        }
    }
    for run in &patch.qualities {
        for (row, quality) in run.rows.iter().zip(&run.values) {
            assert!(!added.contains(row));
            assert_ne!(shaped.held().rows[*row].cells[run.column].quality, *quality);
        }
    }
    for &(column, value) in &patch.total.values {
        assert_ne!(before.held().total[column].value, value);
    }
    for &(column, quality) in &patch.total.qualities {
        assert_ne!(before.held().total[column].quality, quality);
    }
    for added in &patch.added {
        let same = |at: &&usize| before.held().rows[**at].heading == added.row.heading;
        assert!(patch.removed.iter().find(same).is_none(), "a row that stays was sent again");
    }
    assert!(patch.removed.is_sorted_by(|a, b| a < b));
    assert!(patch.added.is_sorted_by(|a, b| a.at < b.at));
    for run in &patch.values {
        assert!(run.rows.is_sorted_by(|a, b| a < b));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn p1_previous_and_patch_are_next(
        window in window(),
        first in result(),
        next in prop::collection::vec(result(), 1..6),
    ) {
        let mut subscription = Subscription::new(window);
        let mut model = ViewModel::new(subscription.snapshot(&first));
        prop_assert_eq!(model.held(), &fresh(&first, window));
        for result in &next {
            let before = model.clone();
            match subscription.patch(result) {
                None => prop_assert_eq!(before.held(), &fresh(result, window), "P3: None means equal"),
                Some(patch) => {
                    model.apply(&patch).unwrap();
                    prop_assert_ne!(before.held(), model.held(), "P3: nothing changed, nothing sent");
                    assert_minimal(&before, &patch);
                }
            }
            prop_assert_eq!(model.held(), &fresh(result, window));
            prop_assert_eq!(model.held(), &subscription.held());
            prop_assert!(subscription.patch(result).is_none());
        }
    }

    /// Only values change: rows stay where they are and nothing but cells is sent.
    #[test]
    fn p3_values_alone_move_nothing(first in result(), cells in prop::collection::vec(cells(), 14)) {
        let mut next = first.clone();
        for (row, cells) in next.rows.iter_mut().zip(cells) {
            row.cells = cells;
        }
        let mut subscription = Subscription::new(Window::ALL);
        subscription.load(&first);
        if let Some(patch) = subscription.patch(&next) {
            prop_assert_eq!(patch.steps(), 0);
        }
    }

    #[test]
    fn order_held_keeps_rows_and_follows_values(window in window(), first in result(), next in result()) {
        let mut subscription = Subscription::new(window);
        let mut model = ViewModel::new(subscription.snapshot(&first));
        if let Some(patch) = subscription.patch_order_held(&next) {
            prop_assert!(patch.moved.is_empty());
            model.apply(&patch).unwrap();
        }
        prop_assert_eq!(model.held(), &subscription.held());
        let by_key = |mut snapshot: tickview::diff::Snapshot| {
            snapshot.rows.sort_by(|a, b| a.heading.key.cmp(&b.heading.key));
            snapshot
        };
        prop_assert_eq!(by_key(model.held().clone()), by_key(fresh(&next, window)));
        if let Some(patch) = subscription.patch(&next) {
            prop_assert_eq!(patch.cells(), 0, "letting the order go moves rows and nothing else");
            model.apply(&patch).unwrap();
        }
        prop_assert_eq!(model.held(), &fresh(&next, window));
    }
}

/// Opens a view with rows in one order and returns the moves to the other.
fn moves(before: &[u64], after: &[u64]) -> Vec<Move> {
    let result = |ids: &[u64]| {
        let mut result = FakeResult::new(1);
        for &id in ids {
            result = result.with(&id.to_string(), &[id.into()]);
            result.rows.last_mut().unwrap().id = id;
        }
        result
    };
    let mut subscription = Subscription::new(Window::ALL);
    let mut model = ViewModel::new(subscription.snapshot(&result(before)));
    let Some(patch) = subscription.patch(&result(after)) else { return Vec::new() };
    model.apply(&patch).unwrap();
    assert_eq!(model.held(), &subscription.held());
    patch.moved
}

#[test]
fn moves_are_few() {
    let rows: [(&[u64], &[u64], usize); 6] = [
        (&[1, 2, 3, 4], &[1, 2, 3, 4], 0),
        (&[1, 2, 3, 4], &[4, 1, 2, 3], 1),
        (&[1, 2, 3, 4], &[2, 3, 4, 1], 1),
        (&[1, 2, 3, 4], &[2, 1, 4, 3], 2),
        (&[1, 2, 3, 4], &[4, 3, 2, 1], 3),
        (&[1, 2, 3, 4, 5], &[3, 9, 1, 5], 1),
    ];
    for (before, after, expected) in rows {
        assert_eq!(moves(before, after).len(), expected, "{before:?} to {after:?}");
    }
}

#[test]
fn a_changed_heading_is_another_row() {
    let first = FakeResult::new(1).with("a", &[1]).with("b", &[2]);
    let mut next = first.clone();
    next.rows[1].heading.expandable = true;
    let mut subscription = Subscription::new(Window::ALL);
    subscription.load(&first);
    let patch = subscription.patch(&next).unwrap();
    assert_eq!((patch.removed, patch.added.len(), patch.added[0].at), (vec![1], 1, 1));
}

#[test]
fn rows_outside_the_window_change_its_size_alone() {
    let first = FakeResult::new(1).with("a", &[1]);
    let next = first.clone().with("b", &[2]);
    let mut subscription = Subscription::new(Window { from: 0, to: 1 });
    subscription.load(&first);
    let patch = subscription.patch(&next).unwrap();
    assert_eq!((patch.size, patch.steps(), patch.cells()), (2, 0, 0));
}
