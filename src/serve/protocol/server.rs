//! Messages from the server, as types: to write the small ones, and to read all of them in a client.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::encode::{AsOf, time_text};
use crate::error::Error;
use crate::ingest::source::{Progress, Unit};
use crate::serve::views::Halted;
use crate::view::result::{self, Column, Form};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ServerMessage {
    Welcome(Welcome),
    Opened(Opened),
    Progress(ProgressFrame),
    Snapshot(SnapshotFrame),
    Patch(PatchFrame),
    Gap(Gap),
    Stale(Stale),
    Heartbeat(Heartbeat),
    Reject(Reject),
    Bye(Bye),
}

impl ServerMessage {
    pub fn text(&self) -> String {
        serde_json::to_string(self).expect("messages have string keys only")
    }

    /// # Errors
    /// Where the text is no message of a server.
    pub fn parse(text: &str) -> Result<ServerMessage, Error> {
        serde_json::from_str(text).map_err(|error| Error::invalid("BAD_FRAME", error.to_string()))
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Welcome {
    pub session_id: String,
    pub token: String,
    pub grace_ms: u64,
    pub heartbeat_ms: u64,
    pub limits: Limits,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    pub window_rows: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Opened {
    pub view_id: String,
    pub view_version: u64,
    pub schema: Vec<ColumnSchema>,
    pub strategy: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ColumnSchema {
    pub name: String,
    /// `decimal`, `count`, `time` or `text`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Digits after the point; 0 where there are none.
    pub scale: u8,
    pub unit: String,
}

impl From<&Column> for ColumnSchema {
    fn from(column: &Column) -> ColumnSchema {
        let (kind, scale) = match column.form {
            Form::Decimal { .. } if column.unit == result::Unit::Count => ("count", 0),
            Form::Decimal { scale } => ("decimal", scale),
            Form::Time | Form::Date => ("time", 0),
            Form::Name | Form::Id { .. } => ("text", 0),
        };
        ColumnSchema {
            name: column.name.clone(),
            kind: kind.to_owned(),
            scale,
            unit: column.unit.name().to_owned(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProgressFrame {
    pub source: String,
    pub done: u64,
    pub total: u64,
    /// `bytes` where `done` and `total` are no rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

impl From<&Progress> for ProgressFrame {
    fn from(progress: &Progress) -> ProgressFrame {
        ProgressFrame {
            source: progress.topic.clone(),
            done: progress.done,
            total: progress.total,
            unit: (progress.unit == Unit::Bytes).then(|| "bytes".to_owned()),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AsOfTime {
    pub epoch: u64,
    /// ISO 8601, UTC.
    pub time: String,
}

impl From<AsOf> for AsOfTime {
    fn from(as_of: AsOf) -> AsOfTime {
        AsOfTime { epoch: as_of.epoch, time: time_text(as_of.time) }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotFrame {
    pub view_id: String,
    pub view_version: u64,
    pub seq: u64,
    pub as_of: AsOfTime,
    pub size: usize,
    pub from: usize,
    pub rows: Vec<Row>,
    pub total: Total,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub key: Vec<Option<String>>,
    pub depth: usize,
    pub expandable: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    pub values: Vec<Option<String>>,
    /// By column number; a good cell is absent.
    pub quality: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Total {
    pub values: Vec<Option<String>>,
    pub quality: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PatchFrame {
    pub view_id: String,
    pub view_version: u64,
    pub seq: u64,
    pub as_of: AsOfTime,
    pub size: usize,
    pub removed: Vec<usize>,
    pub added: Vec<AddedRow>,
    pub moved: Vec<MoveStep>,
    pub cells: Vec<CellRun>,
    pub quality: Vec<CellRun>,
    pub total: TotalChange,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AddedRow {
    pub at: usize,
    #[serde(flatten)]
    pub row: Row,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MoveStep {
    pub from: usize,
    pub to: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CellRun {
    pub column: usize,
    pub rows: Vec<usize>,
    pub values: Vec<Option<String>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TotalChange {
    pub cells: Vec<TotalCell>,
    pub quality: Vec<TotalCell>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TotalCell {
    pub column: usize,
    pub value: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Gap {
    pub view_id: String,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stale {
    pub source: String,
    /// 0 once the source is back.
    pub since_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Heartbeat {
    /// A ping's own `t` in its answer; else the server's clock in milliseconds.
    pub t: i64,
    /// Null until the first epoch stands.
    pub as_of: Option<AsOfTime>,
    pub lag_ms: u64,
    /// There while the data stands still that should not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub halted: Option<HaltedFrame>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HaltedFrame {
    pub reason: String,
    /// ISO 8601, UTC.
    pub since: String,
}

impl From<Halted> for HaltedFrame {
    fn from(halted: Halted) -> HaltedFrame {
        HaltedFrame { reason: halted.reason.to_owned(), since: time_text(halted.since) }
    }
}

/// A frame that was not followed, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reject {
    /// Null where the frame was too broken to say which view it meant.
    pub view_id: Option<String>,
    pub view_version: Option<u64>,
    pub code: String,
    pub message: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bye {
    pub reason: String,
    pub retry_after_ms: u64,
}
