//! What `POST /api/recompute` takes and answers.

use serde::Serialize;

use super::encode::{AsOf, snapshot_body};
use super::reject_code;
use super::server::ColumnSchema;
use super::spec::{Query, Spec};
use crate::dictionary::Dictionaries;
use crate::diff::Subscription;
use crate::error::{Error, Result};
use crate::view::result::Column;

#[derive(Serialize)]
struct Refusal<'a> {
    code: &'a str,
    message: &'a str,
}

/// Reads a specification that stands alone, as `open` carries it.
///
/// # Errors
/// `BAD_FRAME` for what is no JSON, `BAD_SPEC` for what is no specification.
pub fn parse_spec(text: &[u8]) -> Result<Query> {
    let spec: Spec = serde_json::from_slice(text).map_err(|error| match error.is_data() {
        true => Error::invalid("BAD_SPEC", error.to_string()),
        false => Error::invalid("BAD_FRAME", format!("not JSON: {error}")),
    })?;
    spec.query()
}

/// `epoch` and the schema of `opened`, then all fields of a `snapshot` but those that number its frame.
pub fn audit_json(
    held: &Subscription,
    as_of: AsOf,
    columns: &[Column],
    dictionaries: &Dictionaries,
) -> String {
    let schema: Vec<ColumnSchema> = columns.iter().map(ColumnSchema::from).collect();
    let schema = serde_json::to_string(&schema).expect("the shape has string keys only");
    let mut out = format!("{{\"epoch\":{},\"schema\":{schema},", as_of.epoch);
    snapshot_body(held, as_of, columns, dictionaries, &mut out);
    out
}

/// The code and the message that a `reject` would have.
pub fn refusal_json(error: &Error) -> String {
    let refusal = Refusal { code: reject_code(error), message: &error.message };
    serde_json::to_string(&refusal).expect("the shape has string keys only")
}
