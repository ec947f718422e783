//! The HTTP server: accepts connections, bounds them, and hands whole requests on.
//!
//! Requests go through one warp filter that rejects nothing, so that no status but the receiver's
//! own ever reaches a sender. warp's own accept loop has neither deadlines nor bounds; its service
//! is therefore run on hyper's HTTP/1 connection over a [`Wire`].

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use warp::http::header::{CONNECTION, HeaderName, HeaderValue, TRANSFER_ENCODING};
use warp::http::{HeaderMap, Method, Response};
use warp::reply::Response as WarpResponse;
use warp::{Buf, Filter, Reply as _};

use super::admin::{ADMIN_HEALTH_PATH, Admin};
use super::connections::{Admission, Connections};
use super::limits::Limits;
use super::receiver::{Receiver, Request, SHARED_PATH};
use super::reply::{Refusal, Reply};
use super::wire::{Sight, Wire};

/// Connections that are told of the overload at once; beyond it they are closed without a word.
const PARALLEL_REFUSALS: usize = 64;
/// How long such a connection may take to read its reply.
const REFUSAL_TIME: Duration = Duration::from_secs(1);
/// How long to wait after the process ran out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Marks a request whose end cannot be told.
#[derive(Clone, Copy)]
struct AmbiguousLength;

/// What is served. The same [`Limits`] belong into all three, taken
/// [within the open files](Limits::within_open_files) of the process.
#[derive(Debug)]
pub struct Site {
    /// The receiver.
    pub receiver: Receiver,
    /// The admin API.
    pub admin: Admin,
    /// The bounds.
    pub limits: Limits,
}

/// Serves until `shutdown`, then lets requests under way end within [`Limits::drain`]. Counted
/// rejections are handed over meanwhile and once at the end.
pub async fn serve(listener: TcpListener, site: Arc<Site>, shutdown: CancellationToken) {
    let server = Server {
        limits: Arc::new(site.limits.clone()),
        connections: Connections::new(site.limits.connections),
        refusals: Arc::new(Semaphore::new(PARALLEL_REFUSALS)),
        site: Arc::clone(&site),
        tasks: TaskTracker::new(),
        shutdown: shutdown.clone(),
        abort: CancellationToken::new(),
    };
    let accept = async {
        while let Some(accepted) = shutdown.run_until_cancelled(listener.accept()).await {
            server.accepted(accepted).await;
        }
        drop(listener);
        server.tasks.close();
        if tokio::time::timeout(server.limits.drain, server.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("requests were cut off at the end of the shutdown");
            server.abort.cancel();
        }
    };
    tokio::join!(accept, site.receiver.report_rejections(shutdown.clone()));
}

struct Server {
    limits: Arc<Limits>,
    connections: Arc<Connections>,
    refusals: Arc<Semaphore>,
    site: Arc<Site>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
    abort: CancellationToken,
}

impl Server {
    async fn accepted(&self, accepted: io::Result<(TcpStream, SocketAddr)>) {
        match accepted {
            Ok((stream, _)) => match self.connections.admit() {
                Some(admission) => self.spawn(stream, admission),
                None => self.refuse(stream),
            },
            // The peer was gone before it was accepted, or the process has no descriptor left.
            Err(error) => {
                tracing::debug!(error = %error, "a connection could not be accepted");
                self.connections.evict_one();
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }

    fn spawn(&self, stream: TcpStream, admission: Admission) {
        let sight = Arc::new(Sight::default());
        let wire = Wire::new(stream, Arc::clone(&self.limits), Arc::clone(&sight));
        let admission = Arc::new(admission);
        let service = service(Arc::clone(&self.site));
        let per_request = {
            let admission = Arc::clone(&admission);
            service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
                admission.busy();
                if sight.begin() {
                    request.extensions_mut().insert(AmbiguousLength);
                }
                let chunked = request.headers().contains_key(TRANSFER_ENCODING);
                let reply = service.call(request);
                let admission = Arc::clone(&admission);
                async move {
                    let mut reply = reply.await?;
                    if chunked {
                        // Nothing follows the bytes beyond a chunked message (see `framing`).
                        reply
                            .headers_mut()
                            .insert(CONNECTION, HeaderValue::from_static("close"));
                    }
                    admission.waiting();
                    Ok::<_, Infallible>(reply)
                }
            })
        };
        let connection = http1::Builder::new()
            .half_close(true)
            .header_read_timeout(None)
            .max_buf_size(self.limits.connection_buffer)
            .serve_connection(TokioIo::new(wire), per_request);
        let (shutdown, abort) = (self.shutdown.clone(), self.abort.clone());
        self.tasks.spawn(async move {
            let mut connection = Box::pin(connection);
            let ended = tokio::select! {
                ended = &mut connection => ended,
                () = admission.evicted.cancelled() => return,
                () = shutdown.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    tokio::select! {
                        ended = connection => ended,
                        () = abort.cancelled() => return,
                    }
                }
            };
            if let Err(error) = ended {
                tracing::debug!(error = %error, "a connection ended early");
            }
        });
    }

    /// Tells a connection for which there is no place that there is none.
    fn refuse(&self, mut stream: TcpStream) {
        let Ok(permit) = Arc::clone(&self.refusals).try_acquire_owned() else {
            return;
        };
        let reply = Reply::refusal(Refusal::Overloaded, self.limits.retry_after).into_response();
        let text = as_text(&reply);
        self.tasks.spawn(async move {
            let told = async {
                stream.write_all(text.as_bytes()).await?;
                stream.shutdown().await?;
                // Closing with bytes unread would reset the connection and lose the reply.
                let mut unread = [0; 1024];
                while stream.read(&mut unread).await? > 0 {}
                io::Result::Ok(())
            };
            // Whether the peer listened is its own affair.
            let _ = tokio::time::timeout(REFUSAL_TIME, told).await;
            drop(permit);
        });
    }
}

/// A response as bytes of HTTP/1.1, for the one case in which no request was read.
fn as_text(response: &Response<String>) -> String {
    let header = |(name, value): (&HeaderName, &HeaderValue)| {
        let value = value.to_str().unwrap_or_default();
        format!("{name}: {value}\r\n")
    };
    let headers: String = response.headers().iter().map(header).collect();
    let (status, body) = (response.status(), response.body());
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

/// The one filter, as a service.
fn service(
    site: Arc<Site>,
) -> impl Service<
    hyper::Request<hyper::body::Incoming>,
    Response = WarpResponse,
    Error = Infallible,
    Future = impl Future<Output = Result<WarpResponse, Infallible>> + Send,
> + Send
+ 'static {
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    let filter = warp::method()
        .and(warp::path::full())
        .and(query)
        .and(warp::header::headers_cloned())
        .and(warp::ext::optional::<AmbiguousLength>())
        .and(warp::body::stream())
        .then(
            move |method, path: warp::path::FullPath, query, headers, ambiguous, body| {
                let request = request(method, &path, query, headers, ambiguous, body);
                respond(Arc::clone(&site), request)
            },
        );
    TowerToHyperService::new(warp::service(filter))
}

fn request(
    method: Method,
    path: &warp::path::FullPath,
    query: String,
    headers: HeaderMap,
    ambiguous: Option<AmbiguousLength>,
    body: impl futures::Stream<Item = Result<impl Buf, warp::Error>> + Send + 'static,
) -> Request {
    Request {
        method,
        path: path.as_str().to_owned(),
        query,
        headers,
        ambiguous_length: ambiguous.is_some(),
        body_begun: false,
        body: body
            .map_ok(|mut chunk| chunk.copy_to_bytes(chunk.remaining()))
            .boxed(),
    }
}

/// Boxed, because every connection holds the state of its request inline otherwise.
fn respond(site: Arc<Site>, request: Request) -> BoxFuture<'static, WarpResponse> {
    async move {
        if request.path.starts_with(SHARED_PATH) {
            return site
                .receiver
                .handle(request)
                .await
                .into_response()
                .into_response();
        }
        if request.path == ADMIN_HEALTH_PATH {
            return site.admin.handle(request).await;
        }
        let refusal = if request.ambiguous_length {
            Refusal::AmbiguousLength
        } else {
            Refusal::NotFound
        };
        Reply::refusal(refusal, site.limits.retry_after)
            .into_response()
            .into_response()
    }
    .boxed()
}
