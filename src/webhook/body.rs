//! Reads bodies under every cap that memory asks for.
//!
//! A body is counted as it grows, declared or chunked alike, against its own cap and against that of
//! all bodies in flight; the room is given back when the request is answered.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::limits::Limits;
use super::reply::Refusal;

/// The chunks of a request's body.
pub type BodyStream = BoxStream<'static, Result<Bytes, warp::Error>>;

/// Smallest room that a body is given, in bytes.
const FIRST_ROOM: usize = 4096;

/// A complete body. Its room in the budget is free again once this is dropped.
#[derive(Debug)]
pub struct Body {
    /// The bytes as they were sent.
    pub bytes: Vec<u8>,
    /// What they occupy of the budget.
    pub room: Room,
}

/// A share of the budget of all bodies in flight.
#[derive(Debug, Default)]
pub struct Room(Option<OwnedSemaphorePermit>);

impl Room {
    fn grow(&mut self, budget: &Arc<Semaphore>, by: usize) -> Result<(), Refusal> {
        let by = u32::try_from(by).map_err(|_| Refusal::Overloaded)?;
        let more = Arc::clone(budget).try_acquire_many_owned(by);
        let more = more.map_err(|_| Refusal::Overloaded)?;
        match &mut self.0 {
            Some(held) => held.merge(more),
            None => self.0 = Some(more),
        }
        Ok(())
    }
}

/// The budget of all bodies in flight.
#[derive(Debug)]
pub struct Bodies {
    budget: Arc<Semaphore>,
    limits: Limits,
}

impl Bodies {
    /// The whole budget.
    pub fn new(limits: &Limits) -> Self {
        Self {
            budget: Arc::new(Semaphore::new(limits.bodies_in_flight)),
            limits: limits.clone(),
        }
    }

    /// Refuses a body by its `Content-Length`, where it has one, before any of it is read.
    pub fn check_declared(&self, declared: Option<u64>) -> Result<(), Refusal> {
        let cap = u64::try_from(self.limits.body).unwrap_or(u64::MAX);
        match declared {
            Some(declared) if declared > cap => Err(Refusal::BodyTooLarge),
            _ => Ok(()),
        }
    }

    /// Reads a body to its end.
    pub async fn read(&self, stream: &mut BodyStream) -> Result<Body, Refusal> {
        let read = timeout(self.limits.body_read, self.collect(stream)).await;
        read.unwrap_or(Err(Refusal::BodyTimeout))
    }

    async fn collect(&self, stream: &mut BodyStream) -> Result<Body, Refusal> {
        let mut body = Body {
            bytes: Vec::new(),
            room: Room::default(),
        };
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|_| Refusal::BodyIncomplete)?;
            let length = body.bytes.len() + chunk.len();
            if length > self.limits.body {
                return Err(Refusal::BodyTooLarge);
            }
            let capacity = body.bytes.capacity();
            if length > capacity {
                let wanted = length.next_power_of_two().max(FIRST_ROOM);
                let wanted = wanted.min(self.limits.body);
                body.room.grow(&self.budget, wanted - capacity)?;
                body.bytes.reserve_exact(wanted - body.bytes.len());
            }
            body.bytes.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// Throws the rest of a refused body away, in the background and within bounds: closing a
    /// connection with bytes unread would reset it, and the sender might never see the reply.
    pub fn discard(&self, mut stream: BodyStream) {
        let (mut left, time) = (self.limits.discard, self.limits.body_read);
        let rest = async move {
            while let Some(Ok(chunk)) = stream.next().await {
                let Some(less) = left.checked_sub(chunk.len()) else {
                    return;
                };
                left = less;
            }
        };
        tokio::spawn(async move {
            // Both ends are fine: what counts is that the reply had its chance.
            let _ = timeout(time, rest).await;
        });
    }
}
