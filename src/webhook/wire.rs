//! A TCP stream with deadlines.
//!
//! The HTTP library waits for ever for a head that drips, a reader that does not read, or an idle
//! peer. Here each of these ends the connection (`design/receiver.md` §4). Deadlines look only at
//! what is missing: bytes that have arrived are always handed on.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

use super::framing::{Framing, Phase};
use super::limits::Limits;

/// What the connection's reader tells its requests.
#[derive(Debug, Default)]
pub struct Sight {
    /// Requests that were handed to the receiver so far.
    begun: AtomicU64,
    /// The number of the request whose end cannot be told; 0 for none.
    ambiguous: AtomicU64,
}

impl Sight {
    /// Counts a request in; whether its end cannot be told.
    pub fn begin(&self) -> bool {
        let number = self.begun.fetch_add(1, Ordering::AcqRel) + 1;
        self.ambiguous.load(Ordering::Acquire) == number
    }
}

/// The stream.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    limits: Arc<Limits>,
    sight: Arc<Sight>,
    framing: Framing,
    read: Deadline,
    write: Deadline,
    /// The request for whose reply the write deadline was set.
    writing_for: u64,
}

impl Wire {
    /// Starts the deadline of the first head.
    pub fn new(stream: TcpStream, limits: Arc<Limits>, sight: Arc<Sight>) -> Self {
        let mut read = Deadline::default();
        read.set(Some(Instant::now() + limits.head));
        Self {
            stream,
            limits,
            sight,
            framing: Framing::default(),
            read,
            write: Deadline::default(),
            writing_for: 0,
        }
    }

    fn take_note(&mut self, bytes: &[u8]) {
        let before = self.framing.phase();
        self.framing.feed(bytes);
        if let Some(number) = self.framing.ambiguous() {
            self.sight.ambiguous.store(number, Ordering::Release);
        }
        let patience = match (before, self.framing.phase()) {
            // The first head's time runs from the accepting on, each other's from its first byte.
            (Phase::Head, Phase::Head) => return,
            (Phase::Idle, Phase::Head) if self.sight.begun.load(Ordering::Acquire) == 0 => return,
            (_, Phase::Head) => self.limits.head,
            (_, Phase::Idle) => self.limits.idle,
            // The receiver gives up earlier; this only ends what nobody reads any more.
            (_, Phase::Body(_) | Phase::Last) => self.limits.body_read + self.limits.write,
        };
        self.read.set(Some(Instant::now() + patience));
    }

    /// Starts the clock of a reply when its reader first falls behind. Progress does not wind it
    /// back: a reader of one byte a second would otherwise hold a reply for ever.
    fn poll_write_deadline<T>(
        &mut self,
        cx: &mut Context<'_>,
        progress: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if progress.is_ready() {
            return progress;
        }
        let request = self.sight.begun.load(Ordering::Acquire);
        if self.write.at.is_none() || self.writing_for != request {
            self.writing_for = request;
            self.write.set(Some(Instant::now() + self.limits.write));
        }
        match self.write.poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let filled = buf.filled().len();
        match Pin::new(&mut self.stream).poll_read(cx, buf) {
            Poll::Ready(Ok(())) => {
                self.take_note(&buf.filled()[filled..]);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => match self.read.poll(cx) {
                Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
                Poll::Pending => Poll::Pending,
            },
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.poll_write_deadline(cx, progress)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.poll_write_deadline(cx, progress)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A moment that can be moved. The timer is made only once somebody has to wait.
#[derive(Debug, Default)]
struct Deadline {
    at: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    fn set(&mut self, at: Option<Instant>) {
        self.at = at;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else {
            return Poll::Pending;
        };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if sleep.deadline() != at {
            sleep.as_mut().reset(at);
        }
        sleep.as_mut().poll(cx)
    }
}
