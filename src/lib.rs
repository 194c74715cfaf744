//! Tickview: live SQL views on Arrow and DataFusion.

pub mod clock;
pub mod datum;
pub mod delta;
pub mod dictionary;
pub mod error;
pub mod ingest;
pub mod limits;
pub mod plan;
pub mod schedule;
pub mod schema;
pub mod table;
pub mod view;
