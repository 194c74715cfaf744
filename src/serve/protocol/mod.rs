//! The wire of `tickview.v1`: the only place where a frame is read or written.
//!
//! `client` and `server` hold one type a message, `spec` turns a client's specification into a
//! [`crate::view::spec::ViewSpec`] and back, `encode` writes snapshots and patches straight from a
//! subscription, and `catalog` and `audit` are of what `/api` answers. The golden messages of
//! `fixtures/protocol` hold for all of them.

mod audit;
mod catalog;
mod client;
mod encode;
mod server;
mod spec;

pub use audit::{audit_json, parse_spec, refusal_json};
pub use catalog::{catalog_json, status_json};
pub use client::{
    Ack, BranchRequest, Change, ClientMessage, Close, Hello, Mode, Open, Pause, Ping, Positions,
    ResumeSession, ResumeView, ResumeViewRequest, WindowRequest, parse_client,
};
pub use encode::{AsOf, Head, patch_body, snapshot_body, time_text, write_decimal};
pub use server::{
    AddedRow, AsOfTime, Bye, CellRun, ColumnSchema, Gap, HaltedFrame, Heartbeat, Limits, MoveStep, Opened,
    PatchFrame, ProgressFrame, Reject, Row, ServerMessage, SnapshotFrame, Stale, Total, TotalCell,
    TotalChange, Welcome,
};
pub use spec::{Accounts, Branches, FilterBy, Query, SortBy, Spec, SqlSpec, ViewFields};

use crate::error::{Error, Kind};

pub const VERSION: u64 = 1;
pub const SUBPROTOCOL: &str = "tickview.v1";

const CODES: [&str; 9] = [
    "BAD_FRAME",
    "UNKNOWN_TYPE",
    "UNKNOWN_VIEW",
    "UNKNOWN_FIELD",
    "UNKNOWN_ACCOUNT",
    "BAD_SPEC",
    "VIEW_GONE",
    "LIMIT",
    "INTERNAL",
];

/// The reject code that tells a client what an error means for it.
pub fn reject_code(error: &Error) -> &'static str {
    match error.kind {
        _ if CODES.contains(&error.code) => error.code,
        Kind::Invalid | Kind::Unsupported => "BAD_SPEC",
        Kind::Overloaded | Kind::Unavailable => "LIMIT",
        Kind::Data | Kind::Internal => "INTERNAL",
    }
}
