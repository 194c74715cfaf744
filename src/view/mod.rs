//! Views.

pub mod result;
pub mod spec;
