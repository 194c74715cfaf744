//! The routes: views at `/ws`; catalogue, status and recomputation at `/api`; health, metrics, and the page.

use std::future::Future;

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, ORIGIN, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::serve::ListenerExt;
use tokio::net::TcpListener;

use super::desk::DeskHandle;
use super::protocol::{SUBPROTOCOL, catalog_json, status_json};
use super::{assets, audit, metrics, socket};
use crate::limits::CLIENT_FRAME_BYTES_MAX;

/// The page loads nothing from elsewhere; its controls write a style element, its icon is a data URL.
const CONTENT_SECURITY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'";

/// Everything the server answers, over one desk.
pub fn router(desk: DeskHandle) -> Router {
    Router::new()
        .route("/ws", any(upgrade))
        .route("/api/catalog", get(catalog))
        .route("/api/status", get(status))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(prometheus))
        .fallback(page)
        .with_state(desk.clone())
        .merge(audit::routes(desk))
        .layer(middleware::from_fn(security_headers))
}

/// Serves until `ended`, then lets open requests finish; sockets end as the desk says goodbye.
///
/// # Errors
/// Where the listener breaks.
pub async fn serve(
    listener: TcpListener,
    desk: DeskHandle,
    ended: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    // A patch is one small write: waiting to fill a packet would cost more than it saves.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a socket keeps its delay");
        }
    });
    let goodbye = desk.clone();
    let ended = async move {
        ended.await;
        goodbye.shut_down().await;
    };
    axum::serve(listener, router(desk)).with_graceful_shutdown(ended).await
}

async fn upgrade(
    State(desk): State<DeskHandle>,
    uri: Uri,
    headers: HeaderMap,
    upgrade: Option<Upgrade>,
) -> Response {
    if !same_origin(&headers, &uri) {
        return foreign();
    }
    let Some(Upgrade(upgrade)) = upgrade else {
        return (StatusCode::UPGRADE_REQUIRED, "a WebSocket of subprotocol tickview.v1 is served here\n")
            .into_response();
    };
    // A frame somewhat too large is read and rejected; beyond that the connection is not worth keeping.
    upgrade
        .protocols([SUBPROTOCOL])
        .max_message_size(4 * CLIENT_FRAME_BYTES_MAX)
        .max_frame_size(4 * CLIENT_FRAME_BYTES_MAX)
        .on_upgrade(move |socket| socket::serve(socket, desk))
}

/// A request to upgrade, where it is one.
struct Upgrade(WebSocketUpgrade);

impl<S: Send + Sync> axum::extract::OptionalFromRequestParts<S> for Upgrade {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut axum::http::request::Parts,
        state: &S,
    ) -> Result<Option<Self>, Self::Rejection> {
        use axum::extract::FromRequestParts;
        Ok(WebSocketUpgrade::from_request_parts(parts, state).await.ok().map(Upgrade))
    }
}

/// P12: a browser says which page asks, and only a page of this very host and port is served. A request
/// without `Origin` is no browser's.
pub(super) fn same_origin(headers: &HeaderMap, uri: &Uri) -> bool {
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let Some(host) = host.or_else(|| uri.authority().map(|authority| authority.as_str())) else {
        return false;
    };
    let Some((scheme, authority)) = origin.to_str().ok().and_then(|origin| origin.split_once("://")) else {
        return false;
    };
    let port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return false,
    };
    // A port may be left out where it is the scheme's own.
    let bare = |authority: &str| authority.strip_suffix(port).unwrap_or(authority).to_ascii_lowercase();
    bare(authority) == bare(host)
}

pub(super) fn foreign() -> Response {
    (StatusCode::FORBIDDEN, "a page of another origin is not served\n").into_response()
}

async fn catalog(State(desk): State<DeskHandle>) -> Response {
    match desk.catalog().await {
        Ok(catalog) => json(catalog_json(&catalog)),
        Err(gone) => (StatusCode::SERVICE_UNAVAILABLE, format!("{gone}\n")).into_response(),
    }
}

async fn status(State(desk): State<DeskHandle>) -> Response {
    json(status_json(&desk.status()))
}

async fn ready(State(desk): State<DeskHandle>) -> Response {
    if desk.status().ready {
        "ready\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "no consistent snapshot stands yet\n").into_response()
    }
}

async fn prometheus() -> Response {
    let registry = metrics::registry();
    registry.run_upkeep();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], registry.render()).into_response()
}

async fn page(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    if uri.path().starts_with("/api/") {
        return (StatusCode::NOT_FOUND, "no such resource\n").into_response();
    }
    assets::asset(uri.path(), &headers)
}

async fn security_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

fn json(text: String) -> Response {
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")], text).into_response()
}
