//! Opening and closing single groups of a tree.

use std::collections::BTreeSet;

use crate::error::{Error, Kind, Result};
use crate::limits::BRANCHES_MAX;
use crate::view::result::ViewResult;
use crate::view::spec::Expanded;

type Key = Vec<Option<String>>;

/// What is to become of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Branch {
    Open,
    Shut,
}

/// What is expanded once one group was opened or shut.
///
/// A level is turned into the list of the groups it opens now, so groups that come later stand shut.
/// The list is sorted, so that readers who opened the same groups share one view.
/// Cost: O(shown rows) where a level or everything was expanded, else O(open groups).
///
/// # Errors
/// `LIMIT` where more groups are open than a list may hold.
pub(super) fn expanded_after(
    before: &Expanded,
    result: &dyn ViewResult,
    branch: Branch,
    key: &Key,
) -> Result<Expanded> {
    let mut open: BTreeSet<Key> = match before {
        Expanded::None => BTreeSet::new(),
        Expanded::Level(level) => shown(result, *level)?,
        Expanded::All => shown(result, usize::MAX)?,
        Expanded::Keys(keys) => keys.iter().cloned().collect(),
    };
    match branch {
        Branch::Open => open.insert(key.clone()),
        Branch::Shut => open.remove(key),
    };
    bounded(open.len())?;
    Ok(Expanded::Keys(open.into_iter().collect()))
}

/// The groups that a level opens: those above it that have children.
fn shown(result: &dyn ViewResult, level: usize) -> Result<BTreeSet<Key>> {
    let mut open = BTreeSet::new();
    if level <= 1 {
        return Ok(open);
    }
    let mut rows = Vec::new();
    result.rows(0, result.size(), &mut rows);
    for row in rows {
        let heading = result.heading(row);
        if heading.expandable && heading.depth < level {
            open.insert(heading.key);
            bounded(open.len())?;
        }
    }
    Ok(open)
}

fn bounded(groups: usize) -> Result<()> {
    if groups <= BRANCHES_MAX {
        return Ok(());
    }
    let message = format!("more than {BRANCHES_MAX} groups are open one by one; expand to a level instead");
    Err(Error::new(Kind::Overloaded, "LIMIT", message))
}
