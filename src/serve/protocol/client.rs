//! Messages from a client.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::server::Reject;
use super::spec::Spec;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ClientMessage {
    Hello(Hello),
    Open(Open),
    Change(Change),
    Window(WindowRequest),
    Expand(BranchRequest),
    Collapse(BranchRequest),
    Pause(Pause),
    Resume(ResumeViewRequest),
    Ack(Ack),
    Close(Close),
    Ping(Ping),
}

const TYPES: [&str; 11] =
    ["hello", "open", "change", "window", "expand", "collapse", "pause", "resume", "ack", "close", "ping"];

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hello {
    pub protocol: u64,
    pub client_id: String,
    /// Frames the client takes besides JSON; `arrow` is the only one there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<ResumeSession>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResumeSession {
    pub session_id: String,
    pub token: String,
    pub views: Vec<ResumeView>,
}

/// The last frame of a view that a returning client holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResumeView {
    pub view_id: String,
    pub view_version: u64,
    pub seq: u64,
}

/// Positions `from` up to, not including, `to`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Positions {
    pub from: usize,
    pub to: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Open {
    pub view_id: String,
    pub view_version: u64,
    pub spec: Spec,
    pub window: Positions,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Change {
    pub view_id: String,
    pub view_version: u64,
    pub spec: Spec,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WindowRequest {
    pub view_id: String,
    pub from: usize,
    pub to: usize,
    /// A hint: the columns on screen. Every column of the specification is kept up all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<String>>,
}

/// Exactly one of the two is there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BranchRequest {
    pub view_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Vec<Option<String>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Nothing is sent.
    All,
    /// Values are sent, rows stay where they are.
    Order,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pause {
    pub view_id: String,
    pub mode: Mode,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResumeViewRequest {
    pub view_id: String,
}

/// Every frame of the view up to `seq` was applied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ack {
    pub view_id: String,
    pub seq: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Close {
    pub view_id: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ping {
    /// The client's clock in milliseconds; it comes back untouched.
    pub t: i64,
}

/// What every frame may say of itself, read before the rest so that a reject can name its view.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    view_id: Option<Value>,
    view_version: Option<Value>,
    spec: Option<Value>,
}

/// Reads one frame. Strict: a field nobody knows is an error, since it would do nothing.
///
/// Cost: two passes over the text, three for a specification.
///
/// # Errors
/// The reject to answer with: `BAD_FRAME`, `UNKNOWN_TYPE`, or `BAD_SPEC` where all but the
/// specification is well-formed. It names the view where the frame does.
pub fn parse_client(text: &str) -> Result<ClientMessage, Reject> {
    let envelope: Envelope = serde_json::from_str(text).map_err(|error| Reject {
        view_id: None,
        view_version: None,
        code: "BAD_FRAME".to_owned(),
        message: if error.is_data() { format!("not a frame: {error}") } else { format!("not JSON: {error}") },
    })?;
    let reject = |code: &str, message: String| Reject {
        view_id: envelope.view_id.as_ref().and_then(Value::as_str).map(str::to_owned),
        view_version: envelope.view_version.as_ref().and_then(Value::as_u64),
        code: code.to_owned(),
        message,
    };
    let Some(kind) = envelope.kind.as_deref() else {
        return Err(reject("BAD_FRAME", "a frame has a field `type`".to_owned()));
    };
    if !TYPES.contains(&kind) {
        return Err(reject(
            "UNKNOWN_TYPE",
            format!("no frame type {kind:?}; there are {}", TYPES.join(", ")),
        ));
    }
    if matches!(kind, "open" | "change")
        && let Some(spec) = &envelope.spec
    {
        Spec::deserialize(spec).map_err(|error| reject("BAD_SPEC", error.to_string()))?;
    }
    let message = serde_json::from_str(text)
        .map_err(|error| reject("BAD_FRAME", format!("malformed {kind}: {error}")))?;
    if let ClientMessage::Expand(branch) | ClientMessage::Collapse(branch) = &message
        && branch.key.is_some() == branch.level.is_some()
    {
        return Err(reject("BAD_FRAME", format!("malformed {kind}: either a key or a level")));
    }
    Ok(message)
}
