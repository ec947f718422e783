//! Starting and stopping a server.
//!
//! Connections are served by hand rather than by warp's own loop, so that a failure can break one
//! off without an answer and the `Date` header is ours.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use warp::Filter;
use warp::http::{HeaderMap, Method, Response, StatusCode};

use crate::control::{Controls, http};
use crate::exchange::{Arrived, Reply, exchange};
use crate::options::Options;
use crate::shared::Shared;
use crate::webhook::courier::Courier;
use crate::webhook::post;

/// The imitation of Notion.
#[derive(Debug)]
pub struct Imitation;

/// A running server; it stops when this is dropped. Dereferences to its [`Controls`].
#[derive(Debug)]
pub struct Handle {
    controls: Controls,
    address: SocketAddr,
    stop: CancellationToken,
}

impl Imitation {
    /// Starts a server on the calling runtime.
    ///
    /// # Errors
    /// The address is in use or not local.
    pub async fn start(options: Options) -> anyhow::Result<Handle> {
        let listener = TcpListener::bind(options.listen)
            .await
            .with_context(|| format!("cannot listen on {}", options.listen))?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let courier = Courier::new(post::client()?, stop.clone());
        let shared = Arc::new(Shared::new(&options, format!("http://{address}"), courier));
        tokio::spawn(accept(listener, Arc::clone(&shared), stop.clone()));
        Ok(Handle {
            controls: Controls::new(shared),
            address,
            stop,
        })
    }
}

impl Handle {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The controls alone, to be cloned into tasks. They outlive the server's connections.
    pub fn controls(&self) -> Controls {
        self.controls.clone()
    }
}

impl Deref for Handle {
    type Target = Controls;

    fn deref(&self) -> &Controls {
        &self.controls
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                tokio::spawn(serve(stream, Arc::clone(&shared), stop.child_token()));
            }
            Err(error) => tracing::warn!(error = %error, "could not accept a connection"),
        }
    }
}

/// Serves one connection until it ends, the server stops, or a failure breaks it off.
async fn serve(stream: TcpStream, shared: Arc<Shared>, cut: CancellationToken) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let service = TowerToHyperService::new(warp::service(routes(shared, cut.clone())));
    let mut builder = http1::Builder::new();
    let connection = builder
        .auto_date_header(false)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        () = cut.cancelled() => {}
        ended = connection => if let Err(error) = ended {
            tracing::debug!(error = %error, "a connection ended");
        },
    }
}

fn routes(
    shared: Arc<Shared>,
    cut: CancellationToken,
) -> impl Filter<Extract = (Response<Bytes>,), Error = warp::Rejection> + Clone {
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    warp::any()
        .map(move || (Arc::clone(&shared), cut.clone()))
        .and(warp::method())
        .and(warp::path::full())
        .and(query)
        .and(warp::header::headers_cloned())
        .and(warp::body::bytes())
        .then(
            |(shared, cut): (Arc<Shared>, CancellationToken),
             method: Method,
             path: warp::path::FullPath,
             query: String,
             headers: HeaderMap,
             body: Bytes| {
                let header = |name: &str| {
                    headers
                        .get(name)
                        .and_then(|value| value.to_str().ok())
                        .map(str::to_owned)
                };
                let arrived = Arrived {
                    method: method.to_string(),
                    path: path.as_str().to_owned(),
                    query,
                    authorization: header("authorization"),
                    version: header("notion-version"),
                    body,
                };
                answer(shared, cut, arrived)
            },
        )
}

async fn answer(shared: Arc<Shared>, cut: CancellationToken, arrived: Arrived) -> Response<Bytes> {
    if arrived.path.starts_with("/_control") {
        return http::answer(shared, arrived).await;
    }
    // A task of its own: Notion goes on working when a client has left.
    let reply = match tokio::spawn(exchange(shared, arrived)).await {
        Ok(reply) => reply,
        Err(error) => {
            tracing::error!(error = %error, "a request was not finished");
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            return response;
        }
    };
    match reply {
        Reply::Send(response) => response,
        Reply::Drop => {
            cut.cancel();
            never().await
        }
        Reply::Hang => never().await,
    }
}

async fn never() -> Response<Bytes> {
    let nothing: Infallible = std::future::pending().await;
    match nothing {}
}
