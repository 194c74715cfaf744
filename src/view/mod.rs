//! Views: what a client asks for, how a result is kept and compared.

pub mod arrangement;
pub mod broadcast;
pub mod cells;
pub mod groups;
pub mod legs;
pub mod lines;
pub mod maintained;
pub mod packed;
pub mod pair;
pub mod recompute;
pub mod result;
pub mod shape;
pub mod spec;
pub mod stage;
pub mod tree;
