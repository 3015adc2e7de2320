//! The admin listener, for operators and their tools. Must not be reachable by users.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures_util::future::BoxFuture;
use tokio::net::TcpListener;

use crate::Version;
use crate::metrics::Metrics;
use crate::readiness::Readiness;
use crate::shutdown::Shutdown;

/// The state that the admin listener reports.
#[derive(Clone)]
pub struct Admin {
    pub readiness: Readiness,
    pub metrics: Metrics,
    pub version: Version,
    /// Once it has begun, `/readyz` reports unready.
    pub shutdown: Shutdown,
}

/// Serves `/livez`, `/readyz`, `/metrics` and `/version` until `stop`.
///
/// `stop` begins after all other work has ended, so that operators can watch a process drain.
pub fn serve(
    listener: TcpListener,
    admin: Admin,
    stop: Shutdown,
) -> BoxFuture<'static, std::io::Result<()>> {
    Box::pin(async move {
        let routes = Router::new()
            .route("/livez", get(|| async { "ok\n" }))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .route("/version", get(|State(admin): State<Admin>| async move { Json(admin.version) }))
            .with_state(admin);
        axum::serve(listener, routes).with_graceful_shutdown(stop.wait()).await
    })
}

async fn readyz(State(admin): State<Admin>) -> Response {
    let mut report = admin.readiness.report().await;
    if admin.shutdown.has_begun() {
        let why = crate::State::Failed("shutting down".into());
        report.components.insert("process".into(), why);
        report.ready = false;
    }
    let code = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(report)).into_response()
}

async fn metrics(State(admin): State<Admin>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let exposition = admin.metrics.render(accept.unwrap_or_default());
    ([(header::CONTENT_TYPE, exposition.content_type)], exposition.text).into_response()
}
