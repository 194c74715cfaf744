//! SQL to plans: parsing, binding, and the compiled forms a tick runs.
//!
//! All of DataFusion that the engine uses is called from here.

pub mod bind;
pub mod catalog;
pub mod execute;
pub mod function;
pub mod grouped;
mod in_turn;
pub mod live;
pub mod part;
pub mod relation;
pub mod rows;
pub mod scalar;
pub mod scan;
pub mod view_exec;
