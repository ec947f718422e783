//! The log of API requests: what a client asked, when, and what it got.
//!
//! Tokens are never kept, only a fingerprint. Bodies of requests are kept, since a test wants to
//! see what exactly was written.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

/// One request to the imitated API.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RequestRecord {
    /// Counts up from 1; never reset.
    pub seq: u64,
    /// Virtual time of arrival.
    pub time: Timestamp,
    /// Real milliseconds since the server started, for measuring distances.
    pub elapsed_ms: u64,
    /// Real milliseconds until the answer was ready.
    pub duration_ms: u64,
    /// `GET`, `POST`, ...
    pub method: String,
    /// As sent, percent-encoding included.
    pub path: String,
    /// As sent, without the question mark.
    pub query: String,
    /// `pages.update`, `data_sources.query`, ...; `unknown` where no operation has that path.
    pub operation: String,
    /// Status of the answer; 0 where none was sent (dropped or hanging connections).
    pub status: u16,
    /// `code` of an error answer.
    pub code: Option<String>,
    /// Fingerprint of the token, see [`fingerprint`]; empty without one.
    pub token: String,
    /// The JSON body, if there was one.
    pub body: Option<Json>,
    /// Whether the request's work was done, whatever the answer said.
    pub applied: bool,
    /// The injected failure that struck, if any.
    pub failure: Option<u64>,
}

/// Counts since the start or the last reset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestCounts {
    /// All requests.
    pub total: u64,
    /// By operation.
    pub by_operation: BTreeMap<String, u64>,
    /// By status.
    pub by_status: BTreeMap<u16, u64>,
}

/// The first eight hex digits of the token's SHA-256.
pub fn fingerprint(token: &str) -> String {
    let digest = Sha256::digest(token.as_bytes());
    hex::encode(&digest[..4])
}

#[derive(Debug)]
pub(crate) struct RequestLog {
    records: VecDeque<RequestRecord>,
    limit: usize,
    next: u64,
    counts: RequestCounts,
}

impl RequestLog {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            records: VecDeque::new(),
            limit,
            next: 1,
            counts: RequestCounts::default(),
        }
    }

    pub(crate) fn add(&mut self, mut record: RequestRecord) {
        record.seq = self.next;
        self.next += 1;
        self.counts.total += 1;
        *self
            .counts
            .by_operation
            .entry(record.operation.clone())
            .or_default() += 1;
        *self.counts.by_status.entry(record.status).or_default() += 1;
        if self.records.len() >= self.limit {
            self.records.pop_front();
        }
        if self.limit > 0 {
            self.records.push_back(record);
        }
    }

    pub(crate) fn since(&self, seq: u64) -> Vec<RequestRecord> {
        self.records
            .iter()
            .filter(|record| record.seq > seq)
            .cloned()
            .collect()
    }

    pub(crate) fn counts(&self) -> RequestCounts {
        self.counts.clone()
    }

    pub(crate) fn reset(&mut self) {
        self.records.clear();
        self.counts = RequestCounts::default();
    }
}
