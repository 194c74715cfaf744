//! A view at a snapshot, computed from nothing and shown as a client is shown it: what any figure on a
//! screen can be held against.
//!
//! It shares with a maintained view the SQL, the roundings and the order of rows, and no state at all.
//! It may run beside the engine on another thread: all it reads is the snapshot and its dictionaries.
//!
//! Cost: planning, about a tenth of a second, and then every row of the selection once for each level.

use std::sync::Arc;

use super::labels::Labels;
use super::recompute::Oracle;
use super::spec::{Kind, ViewSpec};
use super::tree::Tree;
use crate::error::{Error, Result};
use crate::plan::bind::{bind, kind_of};
use crate::plan::catalog::Catalog;
use crate::table::snapshot::Snapshot;

/// The view that a specification asks for, on one thread.
///
/// # Errors
/// `Invalid` with a reject code of the protocol for what the specification names and the snapshot lacks;
/// `Internal` where the SQL does not plan or run.
pub fn audit(snapshot: &Arc<Snapshot>, spec: &ViewSpec) -> Result<Tree> {
    let shown = bind(spec, &Catalog::new(Arc::clone(&snapshot.schema)), snapshot)?;
    if kind_of(&spec.view) == Kind::Rows {
        let message = format!("{} is a list of rows; recomputation takes views of groups", spec.view);
        return Err(Error::invalid("BAD_SPEC", message));
    }
    let recomputed = Oracle::new(&snapshot.schema, 1).recompute(snapshot, spec)?;
    let dictionaries = Arc::clone(&snapshot.dictionaries);
    Ok(Tree::of(spec.clone(), recomputed, shown, &Arc::new(Labels::of(snapshot)), dictionaries))
}
