//! `/metrics`, `/livez` and `/readyz`, on a port of their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use jiff::Timestamp;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use warp::Filter;
use warp::http::{Response, StatusCode};

/// The watch of the API server sends at least a bookmark a minute; after this many seconds without
/// any sign of life from the process's own loops a restart is the only help.
const STALLED_AFTER_SECONDS: i64 = 300;

/// What the probes tell: whether the process can receive, and whether its loops still turn.
#[derive(Debug, Default)]
pub struct Vitals {
    listed: AtomicBool,
    identified: AtomicBool,
    stopping: AtomicBool,
    last_beat: AtomicI64,
}

impl Vitals {
    /// The first complete list of bindings is in.
    pub fn set_listed(&self) {
        self.listed.store(true, Ordering::Release);
    }

    /// The cluster is known by its id, so that events can be stored under it.
    pub fn set_identified(&self) {
        self.identified.store(true, Ordering::Release);
    }

    /// The process stops: no more requests, please.
    pub fn set_stopping(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Whether requests can be answered: the cluster is known, and so is every binding.
    pub fn is_listed(&self) -> bool {
        self.listed.load(Ordering::Acquire) && self.identified.load(Ordering::Acquire)
    }

    /// Whether requests are welcome.
    pub fn is_ready(&self) -> bool {
        self.is_listed() && !self.stopping.load(Ordering::Acquire)
    }

    /// A loop of the process turned.
    pub fn beat(&self) {
        self.last_beat
            .store(Timestamp::now().as_second(), Ordering::Relaxed);
    }

    fn is_alive(&self) -> bool {
        let last = self.last_beat.load(Ordering::Relaxed);
        last == 0 || Timestamp::now().as_second() - last < STALLED_AFTER_SECONDS
    }
}

/// Serves until the token is cancelled.
pub async fn serve(
    listener: TcpListener,
    registry: Arc<Registry>,
    vitals: Arc<Vitals>,
    stop: CancellationToken,
) {
    let metrics = warp::path!("metrics").map(move || metrics_reply(&registry));
    let ready = Arc::clone(&vitals);
    let readyz = warp::path!("readyz").map(move || probe_reply(ready.is_ready()));
    let livez = warp::path!("livez").map(move || probe_reply(vitals.is_alive()));
    let routes = warp::get().and(metrics.or(readyz).or(livez));
    let stopped = async move { stop.cancelled().await };
    warp::serve(routes)
        .incoming(listener)
        .graceful(stopped)
        .run()
        .await;
}

fn probe_reply(good: bool) -> Response<String> {
    let (status, text) = if good {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready")
    };
    let mut reply = Response::new(text.to_owned());
    *reply.status_mut() = status;
    reply
}

fn metrics_reply(registry: &Registry) -> Response<String> {
    let mut text = String::new();
    let mut reply = match encode(&mut text, registry) {
        Ok(()) => Response::new(text),
        Err(_) => probe_reply(false),
    };
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let kind = warp::http::HeaderValue::from_static(kind);
    reply
        .headers_mut()
        .insert(warp::http::header::CONTENT_TYPE, kind);
    reply
}
