//! The receiver: one request from its head to its reply (`design/receiver.md`).
//!
//! The checks stand in `Receiver::respond`, `answer` and `answer_body` in the order that the design
//! fixes. Nothing here returns a 5xx for bad input, and nothing logs a body, a signature or a token.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use jiff::Timestamp;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use warp::http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use warp::http::{HeaderMap, Method};

use super::auth::{Gate, Presented, Verdict, refusal_of_all};
use super::body::{Bodies, Body, BodyStream, Room};
use super::deliver::{Candidate, Delivery, combine};
use super::hello::Hello;
use super::keys::{Freshness, KeyCache};
use super::limits::Limits;
use super::payload::{self, Parsed, PayloadError};
use super::ports::{Handshake, Ports, ReceiverBinding, TokenStored};
use super::rejections::Rejections;
use super::reply::{Refusal, Reply};
use super::signature::{Bearer, Signature};
use crate::metrics::{Metrics, WebhookLabels};

/// The path that serves every binding (S1).
pub const SHARED_PATH: &str = "/api/webhooks/notion";

/// Bodies parsed at once. A parsed body takes many times the room of its text, which the budget of
/// bodies does not count.
const PARALLEL_PARSES: usize = 4;

/// A request, not read further than its head.
pub struct Request {
    /// The method.
    pub method: Method,
    /// The path as it was sent, without decoding.
    pub path: String,
    /// What follows `?`.
    pub query: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, not read yet.
    pub body: BodyStream,
    /// Whether reading the body has begun.
    pub body_begun: bool,
    /// The head had both `Content-Length` and `Transfer-Encoding`.
    pub ambiguous_length: bool,
}

/// Whom a request is addressed to.
#[derive(Debug, Clone)]
enum Target {
    Shared,
    Own(Arc<ReceiverBinding>),
}

/// The receiver.
pub struct Receiver {
    ports: Ports,
    limits: Limits,
    metrics: Metrics,
    bodies: Bodies,
    gate: Gate,
    tokens: KeyCache,
    rejections: Rejections,
    /// One handshake at a time: anybody may send them.
    handshakes: Mutex<()>,
    parses: Semaphore,
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}

impl Receiver {
    /// A receiver over these ports. `allow_unverified` is the operator's
    /// `--allow-unverified-webhooks`.
    pub fn new(ports: Ports, metrics: Metrics, limits: Limits, allow_unverified: bool) -> Self {
        let keys = Freshness {
            fresh: limits.key_cache,
            reread: limits.key_reread,
            read: limits.secret_read,
        };
        let tokens = Freshness {
            fresh: limits.token_cache,
            reread: limits.token_cache,
            ..keys
        };
        Self {
            gate: Gate {
                keys: KeyCache::new(Arc::clone(&ports.credentials), keys),
                allow_unverified,
                rereads: limits.key_rereads_per_request,
            },
            tokens: KeyCache::new(Arc::clone(&ports.credentials), tokens),
            bodies: Bodies::new(&limits),
            rejections: Rejections::default(),
            handshakes: Mutex::new(()),
            parses: Semaphore::new(PARALLEL_PARSES),
            ports,
            metrics,
            limits,
        }
    }

    /// Answers one request, whatever it is.
    pub async fn handle(&self, mut request: Request) -> Reply {
        let answered = AssertUnwindSafe(self.respond(&mut request))
            .catch_unwind()
            .await;
        let result = answered.unwrap_or_else(|_| {
            tracing::error!("a webhook request made the receiver panic");
            Err(Refusal::InternalError)
        });
        // A sender that waits for `100 Continue` has not sent the body and need not.
        if request.body_begun || !request.headers.contains_key(EXPECT) {
            self.bodies.discard(request.body);
        }
        let reply =
            result.unwrap_or_else(|refusal| Reply::refusal(refusal, self.limits.retry_after));
        let (status, reason) = reply.labels();
        self.metrics
            .webhook_requests
            .get_or_create(&WebhookLabels::new(status, reason))
            .inc();
        reply
    }

    /// Hands counted rejections to the sink once a minute, and once more at the end.
    pub async fn report_rejections(&self, shutdown: CancellationToken) {
        loop {
            let stopped = shutdown.cancelled();
            let stopped = tokio::time::timeout(self.limits.flush, stopped)
                .await
                .is_ok();
            self.rejections.flush(self.ports.sink.as_ref()).await;
            if stopped {
                return;
            }
        }
    }

    async fn respond(&self, request: &mut Request) -> Result<Reply, Refusal> {
        if request.ambiguous_length {
            return Err(Refusal::AmbiguousLength);
        }
        let target = self.target(&request.path)?;
        let answer = self.answer(&target, request).await;
        if let Err(refusal) = &answer {
            self.note_rejection(&target, *refusal);
        }
        answer
    }

    /// 404, and the 503 of a process that does not know its bindings yet.
    fn target(&self, path: &str) -> Result<Target, Refusal> {
        let rest = path.strip_prefix(SHARED_PATH).ok_or(Refusal::NotFound)?;
        let own = rest.strip_prefix('/').and_then(|rest| rest.split_once('/'));
        if !rest.is_empty() && own.is_none() {
            return Err(Refusal::NotFound);
        }
        if !self.ports.directory.ready() {
            return Err(Refusal::NotReady);
        }
        match own {
            None => Ok(Target::Shared),
            Some((namespace, name)) => self
                .ports
                .directory
                .find(namespace, name)
                .map(Target::Own)
                .ok_or(Refusal::NotFound),
        }
    }

    async fn answer(&self, target: &Target, request: &mut Request) -> Result<Reply, Refusal> {
        if request.method != Method::POST {
            return Err(Refusal::MethodNotAllowed("POST"));
        }
        if !is_json(&request.headers) {
            return Err(Refusal::UnsupportedMediaType);
        }
        self.bodies
            .check_declared(content_length(&request.headers))?;
        request.body_begun = true;
        let body = self.bodies.read(&mut request.body).await?;
        let read_at = Instant::now();
        let deadline = read_at + self.limits.reply;
        let answer = self
            .answer_body(target, &request.headers, body, deadline)
            .await;
        self.metrics
            .webhook_accept_seconds
            .observe(read_at.elapsed().as_secs_f64());
        answer
    }

    async fn answer_body(
        &self,
        target: &Target,
        headers: &HeaderMap,
        body: Body,
        deadline: Instant,
    ) -> Result<Reply, Refusal> {
        let Body { bytes, room } = body;
        match Hello::of(&bytes, self.limits.unauthenticated_body) {
            Some(Hello::Challenge(challenge)) => return Ok(Reply::challenge(&challenge)),
            Some(Hello::Token(token)) => {
                let handshake = timeout_at(deadline, self.handshake(target, &token));
                return handshake.await.unwrap_or(Err(Refusal::Overloaded));
            }
            None => {}
        }
        let admitted = self.admitted(target, headers, &bytes);
        let candidates = timeout_at(deadline, admitted)
            .await
            .map_err(|_| Refusal::Overloaded)??;
        let parsed = timeout_at(deadline, self.parse(bytes));
        let parsed = parsed.await.map_err(|_| Refusal::Overloaded)??;
        self.deliver(target, &candidates, &parsed, room, deadline)
            .await
    }

    async fn deliver(
        &self,
        target: &Target,
        candidates: &[Candidate],
        parsed: &Parsed,
        _room: Room,
        deadline: Instant,
    ) -> Result<Reply, Refusal> {
        let delivery = Delivery {
            sink: self.ports.sink.as_ref(),
            tokens: &self.tokens,
            own_path: matches!(target, Target::Own(_)),
            deadline,
        };
        combine(&delivery.deliver(candidates, parsed).await)
    }

    /// 401, or the bindings that admit the request.
    async fn admitted(
        &self,
        target: &Target,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Vec<Candidate>, Refusal> {
        let presented = Presented {
            signature: Signature::of(headers),
            bearer: Bearer::of(headers),
            body,
        };
        let bindings: Arc<[Arc<ReceiverBinding>]> = match target {
            Target::Own(binding) => Arc::new([Arc::clone(binding)]),
            Target::Shared => self.ports.directory.bindings(),
        };
        let verdicts = self.gate.judge(&bindings, presented).await;
        let candidates: Vec<_> = bindings
            .iter()
            .zip(&verdicts)
            .filter_map(|(binding, verdict)| match verdict {
                Verdict::Admitted(proof) => Some(Candidate {
                    binding: Arc::clone(binding),
                    proof: *proof,
                }),
                Verdict::Refused(_) | Verdict::Undecided => None,
            })
            .collect();
        match (target, verdicts.as_slice()) {
            _ if !candidates.is_empty() => Ok(candidates),
            (Target::Own(_), [Verdict::Refused(refusal)]) => Err(*refusal),
            _ => Err(refusal_of_all(&bindings, &verdicts, presented)),
        }
    }

    /// 400, or the event.
    async fn parse(&self, body: Vec<u8>) -> Result<Parsed, Refusal> {
        let _slot = self
            .parses
            .acquire()
            .await
            .map_err(|_| Refusal::Overloaded)?;
        let mut parsed = payload::parse(body, Uuid::new_v4()).map_err(|error| match error {
            PayloadError::InvalidJson => Refusal::InvalidJson,
            PayloadError::UnknownEvent => Refusal::UnknownEvent,
        })?;
        // Whoever comes here was admitted: by a credential, or by a `None` that the operator allows.
        parsed.event.authenticated = true;
        Ok(parsed)
    }

    /// A verification token (`design/receiver.md` §2). It is never logged.
    async fn handshake(&self, target: &Target, token: &str) -> Result<Reply, Refusal> {
        let stored_already = || Ok(Reply::answer("skipped", Some("TokenAlreadyStored")));
        let waiting = match target {
            Target::Own(binding) => vec![Arc::clone(binding)],
            Target::Shared => self.ports.directory.bindings().to_vec(),
        };
        let waiting: Vec<_> = waiting
            .into_iter()
            .filter(|each| each.handshake == Handshake::Open)
            .collect();
        let binding = match waiting.as_slice() {
            [] => return stored_already(),
            [binding] => binding,
            _ => return Err(Refusal::AmbiguousHandshake),
        };
        let Some(reference) = &binding.verification_token_ref else {
            return stored_already();
        };
        let namespace = &binding.binding.namespace;
        let _turn = self.handshakes.lock().await;
        let stored = self
            .ports
            .credentials
            .store_token(namespace, reference, token)
            .await;
        match stored {
            Ok(TokenStored::Stored) => {
                self.gate.keys.forget(namespace, reference).await;
                tracing::info!(
                    binding.namespace = namespace,
                    binding.name = binding.binding.name,
                    "a webhook verification token was stored"
                );
                Ok(Reply::answer("verification_received", None))
            }
            Ok(TokenStored::Conflict) => stored_already(),
            Ok(TokenStored::SecretMissing) => Err(Refusal::WebhookSecretMissing),
            Err(error) => {
                tracing::warn!(
                    binding.namespace = namespace,
                    binding.name = binding.binding.name,
                    error = %error,
                    "a webhook verification token could not be stored"
                );
                Err(Refusal::KeysUnavailable)
            }
        }
    }

    /// Refusals are told to the binding whose sender should hear of them. At the shared path nobody
    /// can say whose request a forged one was, unless there is only one binding.
    fn note_rejection(&self, target: &Target, refusal: Refusal) {
        let sender_is_wrong = refusal.status().is_client_error();
        if !sender_is_wrong || matches!(refusal, Refusal::MethodNotAllowed(_)) {
            return;
        }
        let bindings = self.ports.directory.bindings();
        let binding = match (target, &*bindings) {
            (Target::Own(binding), _) | (Target::Shared, [binding]) => binding,
            (Target::Shared, _) => return,
        };
        self.rejections
            .count(&binding.binding, refusal, Timestamp::now());
    }
}

/// Exactly one `Content-Type`, and it is `application/json` with whatever parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return false;
    };
    let media_type = value.to_str().ok().and_then(|text| text.split(';').next());
    media_type.is_some_and(|text| text.trim().eq_ignore_ascii_case("application/json"))
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()
}
