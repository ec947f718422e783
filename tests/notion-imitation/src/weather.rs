//! Bad weather: failures that strike chosen requests, before or after their work is done.
//!
//! A failure struck *after* the work is the ambiguous write: the page is changed, and the client
//! is told otherwise. A *late* one answers first and does the work afterwards.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use crate::error::ApiError;
use crate::random::Random;

/// When a failure strikes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Before the work, which is not done.
    #[default]
    Before,
    /// After the work was done. A request that is refused anyhow gets its refusal.
    After,
    /// The client gets the failure at once; the work is done this many milliseconds later.
    Late {
        /// Real milliseconds.
        ms: u64,
    },
}

/// What a client gets from a failure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// An error answer with `status` and `code`.
    #[default]
    Answer,
    /// The connection breaks without an answer.
    Drop,
    /// No answer ever; the connection stays open.
    Hang,
    /// An answer with a status of 200 whose JSON breaks off.
    Malformed,
    /// The edge's HTML page with `status`, with `cf-ray` and without a request id.
    EdgePage,
}

/// A failure to inject. All given conditions must hold for it to strike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Failure {
    /// Operation name, as in the request log; a trailing `*` matches any rest.
    pub operation: Option<String>,
    /// HTTP method.
    pub method: Option<String>,
    /// Part of the path, as sent.
    pub path: Option<String>,
    /// Token of the request.
    pub token: Option<String>,
    /// Part of the body, as sent.
    pub body_contains: Option<String>,
    /// Lets this many matching requests pass first.
    pub skip: u32,
    /// How often it strikes; `None` until it is cleared.
    pub times: Option<u32>,
    /// Probability of striking a matching request.
    pub probability: f64,
    /// Before, after or ahead of the work.
    pub when: When,
    /// What the client gets.
    pub how: How,
    /// Status of an answer.
    pub status: u16,
    /// Code of an answer; `None` is the one that belongs to the status.
    pub code: Option<String>,
    /// Seconds of `Retry-After`.
    pub retry_after: Option<u64>,
    /// Added to the answer's `additional_data`.
    pub additional_data: Map<String, Json>,
    /// Name the created page in a 503 that strikes after a create, as Notion does.
    pub committed_resource_id: bool,
}

impl Default for Failure {
    fn default() -> Self {
        Self {
            operation: None,
            method: None,
            path: None,
            token: None,
            body_contains: None,
            skip: 0,
            times: Some(1),
            probability: 1.0,
            when: When::Before,
            how: How::Answer,
            status: 503,
            code: None,
            retry_after: None,
            additional_data: Map::new(),
            committed_resource_id: true,
        }
    }
}

/// A failure that was injected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InjectedFailure {
    /// Its id, as in the request log.
    pub id: u64,
    /// How often it has struck.
    pub struck: u32,
    /// What was injected.
    pub failure: Failure,
}

/// What a failure looks at.
pub(crate) struct Facts<'a> {
    pub(crate) operation: &'a str,
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) token: &'a str,
    pub(crate) body: &'a [u8],
}

#[derive(Debug)]
pub(crate) struct Weather {
    random: Random,
    next: u64,
    failures: Vec<InjectedFailure>,
}

impl Weather {
    pub(crate) fn new(random: Random) -> Self {
        Self {
            random,
            next: 1,
            failures: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, failure: Failure) -> u64 {
        let id = self.next;
        self.next += 1;
        self.failures.push(InjectedFailure {
            id,
            struck: 0,
            failure,
        });
        id
    }

    pub(crate) fn all(&self) -> Vec<InjectedFailure> {
        self.failures.clone()
    }

    /// Removes one failure, or all.
    pub(crate) fn clear(&mut self, id: Option<u64>) {
        self.failures
            .retain(|known| id.is_some_and(|id| known.id != id));
    }

    /// The first failure that strikes a request.
    pub(crate) fn strike(&mut self, facts: &Facts<'_>) -> Option<InjectedFailure> {
        for known in &mut self.failures {
            let spent = known
                .failure
                .times
                .is_some_and(|times| known.struck >= times);
            if spent || !known.failure.matches(facts) {
                continue;
            }
            if known.failure.skip > 0 {
                known.failure.skip -= 1;
                continue;
            }
            if self.random.chance(known.failure.probability) {
                known.struck += 1;
                return Some(known.clone());
            }
        }
        None
    }
}

impl Failure {
    fn matches(&self, facts: &Facts<'_>) -> bool {
        let all = |wanted: &Option<String>, holds: &dyn Fn(&str) -> bool| {
            wanted.as_deref().is_none_or(holds)
        };
        all(&self.operation, &|wanted| match wanted.strip_suffix('*') {
            Some(start) => facts.operation.starts_with(start),
            None => facts.operation == wanted,
        }) && all(&self.method, &|wanted| {
            facts.method.eq_ignore_ascii_case(wanted)
        }) && all(&self.path, &|wanted| facts.path.contains(wanted))
            && all(&self.token, &|wanted| facts.token == wanted)
            && all(&self.body_contains, &|wanted| {
                String::from_utf8_lossy(facts.body).contains(wanted)
            })
    }

    /// The error of an answer. `created` is the page that a create made before it struck.
    pub(crate) fn error(&self, created: Option<Uuid>) -> ApiError {
        let code = self
            .code
            .clone()
            .unwrap_or_else(|| code_of(self.status).to_owned());
        let mut error = ApiError::new(self.status, &code, "Injected failure.");
        error.retry_after = self.retry_after;
        match self.status {
            429 => {
                error.additional_data.insert(
                    "rate_limit_reason".into(),
                    json!("public_api_request_rate_limit"),
                );
                if let Some(seconds) = self.retry_after {
                    error
                        .additional_data
                        .insert("retry_after".into(), json!(seconds.to_string()));
                }
            }
            503 => {
                let guidance = ["The change may already be saved. Read before you repeat it."];
                error
                    .additional_data
                    .insert("retry_guidance".into(), json!(guidance));
                if let Some(id) = created.filter(|_| self.committed_resource_id) {
                    error
                        .additional_data
                        .insert("committed_resource_id".into(), json!(id));
                }
            }
            _ => {}
        }
        error.additional_data.extend(self.additional_data.clone());
        error
    }
}

/// The code that belongs to a status.
fn code_of(status: u16) -> &'static str {
    match status {
        401 => "unauthorized",
        403 => "restricted_resource",
        404 => "object_not_found",
        409 => "conflict_error",
        429 => "rate_limited",
        500 => "internal_server_error",
        502 => "bad_gateway",
        503 => "service_unavailable",
        504 => "gateway_timeout",
        529 => "service_overload",
        _ => "validation_error",
    }
}
