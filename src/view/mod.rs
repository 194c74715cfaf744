//! Views: what a client asks for, what it is shown, and how that is computed.

pub mod broadcast;
pub mod factored;
pub mod legs;
pub mod maintained;
pub mod recompute;
pub mod result;
pub mod spec;
pub mod tree;
