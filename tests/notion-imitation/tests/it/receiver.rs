//! A receiver of webhooks that answers as told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value as Json;
use warp::Filter;
use warp::http::{HeaderMap, StatusCode};

/// One delivery as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Received {
    pub(crate) fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn signature(&self) -> &str {
        self.headers["x-notion-signature"].to_str().unwrap()
    }
}

/// A receiver on a free port.
pub(crate) struct Receiver {
    pub(crate) url: String,
    received: Arc<Mutex<Vec<Received>>>,
    statuses: Arc<Mutex<VecDeque<u16>>>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let (received, statuses) = (
            Arc::<Mutex<Vec<Received>>>::default(),
            Arc::<Mutex<VecDeque<u16>>>::default(),
        );
        let (known, next) = (Arc::clone(&received), Arc::clone(&statuses));
        let hook = warp::path("hook")
            .and(warp::header::headers_cloned())
            .and(warp::body::bytes())
            .map(move |headers, body| {
                known.lock().unwrap().push(Received { headers, body });
                let status = next.lock().unwrap().pop_front().unwrap_or(200);
                warp::reply::with_status(
                    "{\"status\":\"queued\"}",
                    StatusCode::from_u16(status).unwrap(),
                )
            });
        tokio::spawn(warp::serve(hook).incoming(listener).run());
        Self {
            url,
            received,
            statuses,
        }
    }

    /// Answers the next deliveries with these statuses, later ones with 200.
    pub(crate) fn answer(&self, statuses: &[u16]) {
        self.statuses.lock().unwrap().extend(statuses);
    }

    /// Waits until so many deliveries have arrived.
    pub(crate) async fn wait(&self, count: usize) -> Vec<Received> {
        let until = Instant::now() + Duration::from_secs(5);
        loop {
            let received = self.received.lock().unwrap().clone();
            if received.len() >= count {
                return received;
            }
            assert!(
                Instant::now() < until,
                "{} of {count} deliveries",
                received.len()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.received.lock().unwrap().len()
    }
}
