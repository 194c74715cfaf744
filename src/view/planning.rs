//! Compiling what a view of a new shape needs, away from the thread that ticks.
//!
//! A shape takes tens of milliseconds to plan, the most of them in DataFusion. [`Planning`] holds all that
//! takes and borrows nothing, so that any thread can [`run`](Planning::run) it; what comes of it is handed
//! back to the engine. It locks the dictionaries for no longer than its names take.

use std::sync::{Arc, RwLock};

use super::broadcast::Broadcasts;
use super::legs::LegColumns;
use super::shape::Shape;
use super::shared::ShapeKey;
use crate::dictionary::Dictionaries;
use crate::error::Result;
use crate::plan::catalog::Catalog;

/// A shape to be compiled.
pub struct Planning {
    pub(super) key: ShapeKey,
    pub(super) catalog: Arc<Catalog>,
    pub(super) legs: LegColumns,
    pub(super) dictionaries: Arc<RwLock<Dictionaries>>,
}

/// A shape that was compiled, without values, and the relations of its currency, without rows.
pub struct Planned {
    pub(super) key: ShapeKey,
    pub(super) shape: Shape,
    pub(super) relations: Broadcasts,
}

impl Planning {
    /// Compiles the shape.
    ///
    /// Cost: some 30 milliseconds.
    ///
    /// # Errors
    /// `Unsupported` where the SQL has no incremental form.
    pub fn run(self) -> Result<Planned> {
        let Planning { key, catalog, legs, dictionaries } = self;
        let relations = Broadcasts::new(&catalog.schema, &catalog, &key.1.currency, &dictionaries)?;
        let shape = Shape::new(&key.0, &key.1, &catalog, &legs, &relations, &dictionaries)?;
        Ok(Planned { key, shape, relations })
    }
}
