//! Tickview: live SQL views on Arrow and DataFusion.

pub mod clock;
pub mod datum;
pub mod delta;
pub mod dictionary;
pub mod error;
pub mod ingest;
pub mod limits;
pub mod schema;
pub mod view;
