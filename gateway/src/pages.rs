//! The machine-readable and the readable description of the API.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderValue, header};
use serde_json::Value;

use crate::{Edge, JSON, with_type};

/// The OpenAPI 3.1 document.
pub(crate) async fn openapi(State(edge): State<Arc<Edge>>) -> Response {
    let mut response = with_type(edge.openapi.clone(), JSON);
    let cache = HeaderValue::from_static("public, max-age=300");
    response.headers_mut().insert(header::CACHE_CONTROL, cache);
    response
}

/// The same for people: one self-contained page without scripts.
pub(crate) async fn docs(State(edge): State<Arc<Edge>>) -> Response {
    let document: Value = serde_json::from_slice(&edge.openapi).unwrap_or_default();
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    let mut response = with_type(page(&document), html);
    let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
    let policy = HeaderValue::from_static(policy);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

fn page(document: &Value) -> String {
    let mut html = String::from(
        "<!doctype html><html lang=en><meta charset=utf-8><title>Agon API</title><style>\
         body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
         code{font-size:.95em}summary{cursor:pointer;padding:.3rem 0}pre{overflow:auto}\
         .m{display:inline-block;width:5rem;font-weight:600}</style>\
         <h1>Agon API</h1><p>Machine-readable: <a href=/openapi.json>openapi.json</a></p>",
    );
    let paths = document["paths"].as_object();
    for (path, operations) in paths.into_iter().flatten() {
        for (method, operation) in operations.as_object().into_iter().flatten() {
            let title = format!("{} {}", method.to_uppercase(), path);
            let text = operation["description"].as_str().or(operation["summary"].as_str());
            let result = write!(
                html,
                "<details><summary><span class=m>{}</span> <code>{}</code></summary><p>{}</p></details>",
                escape(&method.to_uppercase()),
                escape(path),
                escape(text.unwrap_or(&title)),
            );
            result.expect("writing to a string does not fail");
        }
    }
    html.push_str("</html>");
    html
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
