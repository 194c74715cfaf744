//! Records in: sources, decoding, and what is set aside.

pub mod ahead;
pub mod decode;
pub mod encode;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod market;
pub mod quarantine;
pub mod replay;
pub mod source;
