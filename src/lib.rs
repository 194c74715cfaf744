//! Tickview: live SQL views on Arrow and DataFusion.
//!
//! Records of base topics are fed to an [`schedule::Engine`], which keeps them in tables and brings every
//! open view to a new epoch at each tick. The engine has no thread, clock or socket of its own.
//!
//! Invariants:
//! - From [`schema`] to [`diff`]: no I/O, no clock, no spawn. Long passes are shared out in the thread pool
//!   (`rayon`) that the caller runs them in, and have ended when the call returns; how many cores took part
//!   leaves no trace in a result.
//! - Only the engine writes tables. Readers hold snapshots.
//! - Work happens at ticks; every queue is bounded by [`limits`].
//! - The same cuts at the same times give the same patches, byte for byte.
//! - One epoch, one price per instrument, everywhere.
//! - Only `ingest::decode`, its inverse `ingest::encode` and `serve::protocol` know wire formats.

pub mod error;

pub mod clock;
pub mod limits;
mod prefetch;

pub mod datum;
pub mod index;

pub mod dictionary;
pub mod schema;

pub mod delta;
pub mod table;

pub mod plan;
pub mod view;

pub mod diff;

pub mod ingest;

pub mod checkpoint;

pub mod schedule;

pub mod catalog;
pub mod console;
#[cfg(feature = "server")]
pub mod serve;
