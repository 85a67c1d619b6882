//! The small HTTP server of `run`: metrics and probes.

use crate::progress;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use citystream_model::{Error, Result};
use citystream_runtime::metrics::Metrics;
use citystream_runtime::status::{State as JobState, StatusBoard};
use std::net::SocketAddr;
use tokio::runtime::Handle;

/// What the pages show.
#[derive(Clone)]
pub(crate) struct Pages {
    pub(crate) metrics: Metrics,
    pub(crate) jobs: Vec<(String, StatusBoard)>,
}

/// Serves `/metrics`, `/healthz` and `/readyz` on `address`; returns the address that was bound.
///
/// # Errors
/// [`citystream_model::ErrorKind::Unavailable`] when the port is taken.
pub(crate) fn serve(address: SocketAddr, pages: Pages, handle: &Handle) -> Result<SocketAddr> {
    let listener = handle.block_on(tokio::net::TcpListener::bind(address)).map_err(|error| {
        Error::unavailable(format!("cannot listen on {address}; choose another --metrics-addr"))
            .permanent()
            .caused_by(error)
    })?;
    let bound =
        listener.local_addr().map_err(|error| Error::unavailable("address of the metrics page").caused_by(error))?;
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .with_state(pages);
    handle.spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "metrics page ended");
        }
    });
    Ok(bound)
}

async fn metrics(State(pages): State<Pages>) -> Response {
    match pages.metrics.page() {
        Ok(page) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Ready when every job runs; says which one does not.
async fn ready(State(pages): State<Pages>) -> Response {
    let waiting = pages.jobs.iter().filter_map(|(name, board)| {
        let status = board.get();
        let runs = matches!(status.state, JobState::Running | JobState::Finished);
        (!runs).then(|| format!("{name}: {}", progress::state(&status)))
    });
    let waiting: Vec<String> = waiting.collect();
    if waiting.is_empty() {
        "ready\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, waiting.join("\n") + "\n").into_response()
    }
}
