//! Views: what a client asks for, what it is shown, and how that is computed.

pub mod arrangement;
pub mod audit;
pub mod broadcast;
pub mod cells;
pub mod fields;
pub mod groups;
pub mod kernel;
pub mod labels;
pub mod legs;
pub mod lines;
pub mod live;
pub mod maintained;
pub mod packed;
pub mod pair;
pub mod recompute;
pub mod result;
pub mod rows;
pub mod selection;
pub mod shape;
pub mod shared;
pub mod slot_rows;
pub mod spec;
pub mod spread;
pub mod stage;
pub mod tree;
