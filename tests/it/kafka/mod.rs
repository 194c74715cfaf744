//! J: a cluster as a source, against the real one.

mod cluster;
mod faults;
mod same;
mod source;
mod tool;
mod topics;
