//! `POST /api/recompute`: a view computed from nothing, so that whoever doubts a figure can check it.
//!
//! It takes a specification as `open` does and answers with the view at the epoch that stands. The desk
//! hands out a snapshot and goes on; a thread of its own computes. It refuses what `open` would reject, a
//! page of another origin, a second computation beside the first, any while memory is short, and more rows
//! than a window may have.
//!
//! Memory: a few copies of the selection's rows while it computes, for one computation at a time.

use std::sync::{Arc, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tokio::sync::Semaphore;

use super::desk::DeskHandle;
use super::http::{foreign, same_origin};
use super::protocol::{AsOf, Query, audit_json, parse_spec, refusal_json};
use crate::diff::{Subscription, Window};
use crate::error::{Error, Kind, Result};
use crate::limits::{AUDITS_MAX, CLIENT_FRAME_BYTES_MAX, WINDOW_ROWS_MAX};
use crate::table::snapshot::Snapshot;
use crate::view::audit::audit;
use crate::view::result::ViewResult;
use crate::view::spec::ViewSpec;

/// When to ask again while another computation runs; most take about as long.
const RETRY_AFTER_S: HeaderValue = HeaderValue::from_static("1");

#[derive(Clone)]
struct Audits {
    desk: DeskHandle,
    turns: Arc<Semaphore>,
}

pub(super) fn routes(desk: DeskHandle) -> Router {
    Router::new()
        .route("/api/recompute", post(recompute))
        .layer(DefaultBodyLimit::max(CLIENT_FRAME_BYTES_MAX))
        .with_state(Audits { desk, turns: Arc::new(Semaphore::new(AUDITS_MAX)) })
}

async fn recompute(
    State(audits): State<Audits>,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    if !same_origin(&headers, &uri) {
        return foreign();
    }
    let answer = match body {
        Ok(body) => audits.answer(&body).await,
        Err(broken) => {
            let code = if broken.status() == StatusCode::PAYLOAD_TOO_LARGE { "LIMIT" } else { "BAD_FRAME" };
            return refusal(broken.status(), &Error::invalid(code, broken.body_text()));
        }
    };
    match answer {
        Ok(text) => json(StatusCode::OK, text),
        Err(error) => {
            let status = match error.kind {
                Kind::Invalid | Kind::Unsupported => StatusCode::BAD_REQUEST,
                Kind::Overloaded => StatusCode::TOO_MANY_REQUESTS,
                Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
                Kind::Data | Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            };
            refusal(status, &error)
        }
    }
}

impl Audits {
    async fn answer(&self, body: &[u8]) -> Result<String> {
        let Query::View(spec) = parse_spec(body)? else {
            return Err(Error::unsupported("SQL is not recomputed here; name a view"));
        };
        let Ok(turn) = Arc::clone(&self.turns).try_acquire_owned() else {
            return Err(Error::new(
                Kind::Overloaded,
                "LIMIT",
                "another recomputation runs; ask again in a second",
            ));
        };
        if let Some(halted) = self.desk.halted() {
            let message = format!("{}: nothing is recomputed until data moves again", halted.reason);
            return Err(Error::new(Kind::Overloaded, "LIMIT", message));
        }
        let snapshot = self.desk.snapshot().await;
        let snapshot = snapshot.map_err(|gone| Error::new(Kind::Unavailable, "LIMIT", gone.to_string()))?;
        let snapshot = snapshot.ok_or_else(|| {
            Error::new(Kind::Unavailable, "LIMIT", "no consistent snapshot stands yet; wait for /readyz")
        })?;
        let computed = tokio::task::spawn_blocking(move || {
            // Kept to the end even where whoever asked has gone: the work goes on all the same.
            let _turn = turn;
            computed(&snapshot, &spec)
        });
        computed.await.unwrap_or_else(|panic| {
            tracing::error!(%panic, "a recomputation broke an invariant");
            Err(Error::internal(
                "the recomputation broke an invariant of the engine; the server's log says more",
            ))
        })
    }
}

fn computed(snapshot: &Arc<Snapshot>, spec: &ViewSpec) -> Result<String> {
    let view = audit(snapshot, spec)?;
    if view.size() > WINDOW_ROWS_MAX {
        let message = format!(
            "the view shows {} rows and at most {WINDOW_ROWS_MAX} are answered; expand fewer groups or filter",
            view.size()
        );
        return Err(Error::invalid("LIMIT", message));
    }
    let mut held = Subscription::new(Window::ALL);
    held.load(&view);
    let as_of = AsOf { epoch: snapshot.epoch, time: snapshot.as_of };
    // Codes are only ever added, so what a panicked writer left is as good as before.
    let dictionaries = snapshot.dictionaries.read().unwrap_or_else(PoisonError::into_inner);
    Ok(audit_json(&held, as_of, view.columns(), &dictionaries))
}

fn refusal(status: StatusCode, error: &Error) -> Response {
    let mut response = json(status, refusal_json(error));
    if status == StatusCode::TOO_MANY_REQUESTS {
        response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_S);
    }
    response
}

fn json(status: StatusCode, text: String) -> Response {
    (status, [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")], text).into_response()
}
