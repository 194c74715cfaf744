//! The client's side of a subscription: a snapshot, then patches.

use super::{Patch, Snapshot};

/// A patch does not fit what the client holds: one of the two is not what it seems.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    #[error("row {at} of {rows}")]
    Row { at: usize, rows: usize },
    #[error("column {at} of {columns}")]
    Column { at: usize, columns: usize },
}

/// What a client holds that applies every patch it gets.
///
/// The law: a model that took a snapshot and every patch since equals the snapshot taken now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewModel {
    held: Snapshot,
}

impl ViewModel {
    pub fn new(snapshot: Snapshot) -> ViewModel {
        ViewModel { held: snapshot }
    }

    pub fn held(&self) -> &Snapshot {
        &self.held
    }

    /// # Errors
    /// [`Misfit`]; the model is then good for nothing and a snapshot has to be asked for.
    pub fn apply(&mut self, patch: &Patch) -> Result<(), Misfit> {
        let Snapshot { size, rows, total, .. } = &mut self.held;
        for &at in patch.removed.iter().rev() {
            fits(at, rows.len())?;
            rows.remove(at);
        }
        for step in &patch.moved {
            fits(step.from, rows.len())?;
            fits(step.to, rows.len())?;
            let row = rows.remove(step.from);
            rows.insert(step.to, row);
        }
        for added in &patch.added {
            fits(added.at, rows.len() + 1)?;
            rows.insert(added.at, added.row.clone());
        }
        let columns = total.len();
        for run in &patch.values {
            fits_column(run.column, columns)?;
            for (&at, &value) in run.rows.iter().zip(&run.values) {
                fits(at, rows.len())?;
                rows[at].cells[run.column].value = value;
            }
        }
        for run in &patch.qualities {
            fits_column(run.column, columns)?;
            for (&at, &quality) in run.rows.iter().zip(&run.values) {
                fits(at, rows.len())?;
                rows[at].cells[run.column].quality = quality;
            }
        }
        for &(column, value) in &patch.total.values {
            fits_column(column, columns)?;
            total[column].value = value;
        }
        for &(column, quality) in &patch.total.qualities {
            fits_column(column, columns)?;
            total[column].quality = quality;
        }
        *size = patch.size;
        Ok(())
    }
}

fn fits(at: usize, rows: usize) -> Result<(), Misfit> {
    if at < rows { Ok(()) } else { Err(Misfit::Row { at, rows }) }
}

fn fits_column(at: usize, columns: usize) -> Result<(), Misfit> {
    if at < columns { Ok(()) } else { Err(Misfit::Column { at, columns }) }
}
