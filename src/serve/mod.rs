//! The server: views over WebSockets, the catalogue, health, metrics and the page.
//!
//! One thread owns the engine and everything that clients hold of it; sockets talk to it through
//! bounded queues, so a slow client costs itself and nobody else.
//!
//! ```text
//! socket task ─ message ─▶ desk (one thread: tick, sessions, windows) ─ frame ─▶ socket task
//! ```

pub mod assets;
mod audit;
mod branch;
pub mod desk;
pub mod http;
pub mod keeper;
pub mod live;
pub mod loading;
pub mod memory;
pub mod metrics;
pub mod pace;
pub mod protocol;
pub mod session;
mod socket;
mod topics;
pub mod views;
mod window;
