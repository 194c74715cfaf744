//! Views: what a client asks for, what it is shown, and how that is computed.

pub mod recompute;
pub mod result;
pub mod spec;
pub mod tree;
