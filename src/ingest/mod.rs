//! Records in: sources, decoding, and what is set aside.

pub mod decode;
pub mod replay;
pub mod source;
