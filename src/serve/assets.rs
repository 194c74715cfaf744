//! The page: files of `web/dist`, built into the binary, compressed beforehand.
//!
//! A file's name under `assets/` holds a hash of its content, so a browser keeps it for good; every
//! other answer is asked for again and answered with `304` where nothing changed.

use axum::body::Body;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/web/dist"]
#[allow_missing = true]
struct Files;

const INDEX: &str = "index.html";

const NO_PAGE: &str = "<!doctype html><html lang=\"en\"><title>Tickview</title>\
    <h1>Tickview runs, but this build holds no page</h1>\
    <p>Build it with <code>npm ci &amp;&amp; npm run build</code> in <code>web/</code>, then build the server again. \
    Views are served at <code>/ws</code>, the catalogue at <code>/api/catalog</code>.</p></html>";

/// Encodings that `web/dist` may hold beside a file, the smallest first.
const ENCODINGS: [(&str, &str); 2] = [("br", ".br"), ("gzip", ".gz")];

/// Answers with the file at a path of the page; a path that names no file is a place within the page.
pub fn asset(path: &str, headers: &HeaderMap) -> Response {
    let path = path.trim_start_matches('/');
    if let Some(found) = find(path, headers) {
        return answer(path, found, headers);
    }
    if path.contains('.') {
        return (StatusCode::NOT_FOUND, "no such file\n").into_response();
    }
    match find(INDEX, headers) {
        Some(found) => answer(INDEX, found, headers),
        None => ([(CONTENT_TYPE, "text/html; charset=utf-8"), (CACHE_CONTROL, "no-cache")], NO_PAGE)
            .into_response(),
    }
}

struct Found {
    file: EmbeddedFile,
    encoding: Option<&'static str>,
}

fn find(path: &str, headers: &HeaderMap) -> Option<Found> {
    for (encoding, suffix) in ENCODINGS {
        if accepts(headers, encoding)
            && let Some(file) = Files::get(&format!("{path}{suffix}"))
        {
            return Some(Found { file, encoding: Some(encoding) });
        }
    }
    Files::get(path).map(|file| Found { file, encoding: None })
}

/// Whether a client takes an encoding: it names it, and not with the weight of nothing.
fn accepts(headers: &HeaderMap, encoding: &str) -> bool {
    let named = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    named.flat_map(|value| value.split(',')).any(|choice| {
        let mut parts = choice.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let refused =
            parts.filter_map(|part| part.strip_prefix("q=")).any(|weight| weight.parse() == Ok(0.0));
        name.eq_ignore_ascii_case(encoding) && !refused
    })
}

fn answer(path: &str, found: Found, headers: &HeaderMap) -> Response {
    let hash = found.file.metadata.sha256_hash();
    // 64 bits tell a file from the one before it; the encoding makes it another representation.
    let hash = u64::from_le_bytes(hash[..8].try_into().expect("a hash has 32 bytes"));
    let etag = format!("\"{hash:016x}-{}\"", found.encoding.unwrap_or("plain"));
    let unchanged = headers.get_all(IF_NONE_MATCH).iter().any(|known| {
        known
            .to_str()
            .is_ok_and(|known| known.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag))
    });
    let caching =
        if path.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mut response = if unchanged {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Body::from(found.file.data).into_response()
    };
    let answered = response.headers_mut();
    answered.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(path)));
    answered.insert(CACHE_CONTROL, HeaderValue::from_static(caching));
    answered.insert(VARY, HeaderValue::from_static("accept-encoding"));
    answered.insert(ETAG, HeaderValue::from_str(&etag).expect("hexadecimal digits and a word"));
    if let Some(encoding) = found.encoding {
        answered.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("wasm") => "application/wasm",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
