//! What the binary does beside serving.

pub mod kafka;
pub mod produce;
pub mod topics;
