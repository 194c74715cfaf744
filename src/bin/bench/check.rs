//! Holds what a view shows against what it has to show: every heading, value and quality, bit for bit.
//!
//! The tests read this file too, to see that a wrong cell is found.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use anyhow::{Context, Result, bail};
use tickview::datum::{Datum, NULL};
use tickview::dictionary::Dictionaries;
use tickview::diff::{Snapshot, SnapshotRow, Subscription, Window};
use tickview::plan::grouped::{GroupedView, MeasureKind};
use tickview::view::groups::Group;
use tickview::view::recompute::{Recomputed, weight};
use tickview::view::result::{Cell, Column, Quality, Unit};
use tickview::view::spec::ViewSpec;
use tickview::view::tree::Tree;

/// A recomputation as the view it is of would show it, without labels.
pub fn displayed(result: Recomputed, spec: &ViewSpec, dictionaries: &Arc<RwLock<Dictionaries>>) -> Snapshot {
    let shown = (0..result.columns.len())
        .filter(|&at| spec.columns.as_ref().is_none_or(|names| names.contains(&result.columns[at].name)))
        .collect();
    let tree = Tree::of(spec.clone(), result, shown, &Arc::default(), Arc::clone(dictionaries));
    Subscription::new(Window::ALL).snapshot(&tree)
}

/// The first thing in which a view is not as expected, in words; labels are of the display and not compared.
pub fn difference(shown: &Snapshot, expected: &Snapshot, columns: &[Column]) -> Option<String> {
    let cells = |place: &str, is: &[Cell], should: &[Cell]| {
        if is.len() != should.len() || is.len() != columns.len() {
            return Some(format!("{place} has {} cells, not {}", is.len(), should.len()));
        }
        let at = (0..is.len()).find(|&at| is[at] != should[at])?;
        Some(format!(
            "{} of {place} is {} ({}), not {} ({})",
            columns[at].name, is[at].value, is[at].quality, should[at].value, should[at].quality
        ))
    };
    let row = |(is, should): (&SnapshotRow, &SnapshotRow)| {
        let (a, b) = (&is.heading, &should.heading);
        if (&a.key, a.depth, a.expandable) != (&b.key, b.depth, b.expandable) {
            return Some(format!("a row is {:?}, not {:?}", a.key, b.key));
        }
        cells(&format!("the row {:?}", a.key), &is.cells, &should.cells)
    };
    if (shown.size, shown.from, shown.rows.len()) != (expected.size, expected.from, expected.rows.len()) {
        return Some(format!("it has {} rows, not {}", shown.rows.len(), expected.rows.len()));
    }
    cells("the total", &shown.total, &expected.total)
        .or_else(|| shown.rows.iter().zip(&expected.rows).find_map(row))
}

/// The recomputation of many accounts from those of some of them each, no account in two.
///
/// Measures are sums over accounts, qualities count positions; weights are taken anew of the whole.
///
/// # Errors
/// Where a value is MISSING: it does not say how many positions it lacks.
pub fn added_up(
    parts: impl IntoIterator<Item = Result<Recomputed>>,
    view: &GroupedView,
) -> Result<Recomputed> {
    let mut parts = parts.into_iter();
    let mut whole = parts.next().context("there is nothing to add up")??;
    let mut places: Vec<HashMap<Vec<Datum>, usize>> = Vec::new();
    for level in &whole.levels {
        places.push(level.iter().enumerate().map(|(at, group)| (group.key.clone(), at)).collect());
    }
    let weights: Vec<Option<usize>> =
        view.measures.iter().map(|measure| weight_of(view, &measure.kind)).collect();
    for part in parts {
        for (level, groups) in part?.levels.into_iter().enumerate() {
            for group in groups {
                let known = &mut whole.levels[level];
                match places[level].get(&group.key) {
                    Some(&at) => add(&mut known[at], &group, &whole.columns, &weights)?,
                    None => {
                        places[level].insert(group.key.clone(), known.len());
                        known.push(group);
                    }
                }
            }
        }
    }
    let total = whole.levels[0][0].cells.clone();
    for group in whole.levels.iter_mut().flatten() {
        for (at, of) in weights.iter().enumerate() {
            if let Some(of) = *of {
                group.cells[at] = weight(group.cells[of], total[of]);
            }
        }
    }
    Ok(whole)
}

/// The place of the measure that a weight is a share of.
fn weight_of(view: &GroupedView, kind: &MeasureKind) -> Option<usize> {
    match kind {
        MeasureKind::Weight { of } => view.measures.iter().position(|measure| measure.name == *of),
        _ => None,
    }
}

fn add(whole: &mut Group, part: &Group, columns: &[Column], weights: &[Option<usize>]) -> Result<()> {
    for (at, (whole, part)) in whole.cells.iter_mut().zip(&part.cells).enumerate() {
        let name = &columns[at].name;
        if weights[at].is_some() {
            continue;
        }
        whole.quality = match (whole.quality, part.quality) {
            (Quality::Missing, _) | (_, Quality::Missing) => {
                bail!("{name} is MISSING for some accounts: recompute more of them at once")
            }
            (Quality::Partial(a), Quality::Partial(b)) => Quality::Partial(a + b),
            (Quality::Partial(n), _) | (_, Quality::Partial(n)) => Quality::Partial(n),
            (Quality::Stale, _) | (_, Quality::Stale) => Quality::Stale,
            (Quality::Ok, Quality::Ok) => Quality::Ok,
        };
        whole.value = match (columns[at].unit, whole.value, part.value) {
            (Unit::Time, NULL, other) | (Unit::Time, other, NULL) => other,
            (Unit::Time, a, b) if name.ends_with("_min") => a.min(b),
            (Unit::Time, a, b) => a.max(b),
            (_, NULL, _) | (_, _, NULL) => bail!("{name} has no value for some accounts"),
            (_, a, b) => a + b,
        };
    }
    Ok(())
}
