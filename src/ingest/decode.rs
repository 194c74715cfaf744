//! Turns
