//! Views.

pub mod recompute;
pub mod result;
pub mod spec;
