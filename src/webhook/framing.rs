//! Follows the bytes of a connection far enough to see what the HTTP library hides.
//!
//! A head with both `Content-Length` and `Transfer-Encoding` must be refused, but hyper resolves the
//! contradiction by itself and removes the evidence. This follows heads and sized bodies of what
//! hyper accepts (everything else ends the connection); after a chunked message, which the server
//! answers with `Connection: close`, there is nothing left to follow. It also tells the deadlines
//! whether a head has begun.

/// How much of a header line is kept: enough for the two names and any length.
const KEPT: usize = 64;

/// Where in the stream of requests a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Between two requests, or before the first.
    Idle,
    /// Within a head.
    Head,
    /// Within a body with this many bytes to come.
    Body(u64),
    /// Within or after a message after which nothing is followed.
    Last,
}

/// The state of one connection.
#[derive(Debug)]
pub struct Framing {
    phase: Phase,
    line: Vec<u8>,
    line_length: usize,
    in_headers: bool,
    length: Option<u64>,
    chunked: bool,
    unreadable: bool,
    heads: u64,
    ambiguous: Option<u64>,
}

impl Default for Framing {
    fn default() -> Self {
        Self {
            phase: Phase::Idle,
            line: Vec::with_capacity(KEPT),
            line_length: 0,
            in_headers: false,
            length: None,
            chunked: false,
            unreadable: false,
            heads: 0,
            ambiguous: None,
        }
    }
}

impl Framing {
    /// Where the connection is.
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// The number of the request, from 1, whose end cannot be told.
    pub const fn ambiguous(&self) -> Option<u64> {
        self.ambiguous
    }

    /// Takes the next bytes of the connection.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.phase {
                Phase::Last => return,
                Phase::Body(left) => {
                    let taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    bytes = &bytes[taken..];
                    let left = left - taken as u64;
                    self.phase = if left == 0 {
                        Phase::Idle
                    } else {
                        Phase::Body(left)
                    };
                }
                Phase::Idle | Phase::Head => {
                    let end = bytes.iter().position(|byte| *byte == b'\n');
                    let part = &bytes[..end.unwrap_or(bytes.len())];
                    let room = KEPT.saturating_sub(self.line.len()).min(part.len());
                    self.line.extend_from_slice(&part[..room]);
                    self.line_length += part.len();
                    self.phase = Phase::Head;
                    if end.is_some() {
                        self.end_line();
                    }
                    bytes = &bytes[end.map_or(bytes.len(), |end| end + 1)..];
                }
            }
        }
    }

    fn end_line(&mut self) {
        let cut = self.line_length > KEPT;
        let line = std::mem::take(&mut self.line);
        self.line_length = 0;
        match line.trim_ascii() {
            // Blank lines before a request line are nothing.
            [] if !cut && !self.in_headers => self.phase = Phase::Idle,
            [] if !cut => self.end_head(),
            _ if !self.in_headers => self.in_headers = true,
            header => self.header(header, cut),
        }
        self.line = line;
        self.line.clear();
    }

    fn header(&mut self, header: &[u8], cut: bool) {
        let mut parts = header.splitn(2, |byte| *byte == b':');
        let name = parts.next().unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.chunked = true;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            let value = parts.next().unwrap_or_default().trim_ascii();
            let length = std::str::from_utf8(value)
                .ok()
                .and_then(|text| text.parse().ok());
            self.unreadable |= cut || length.is_none();
            self.length = Some(length.unwrap_or_default());
        }
    }

    fn end_head(&mut self) {
        self.heads += 1;
        self.in_headers = false;
        let length = self.length.take();
        let chunked = std::mem::take(&mut self.chunked);
        let unreadable = std::mem::take(&mut self.unreadable);
        self.phase = match length {
            Some(_) if chunked || unreadable => {
                self.ambiguous = Some(self.heads);
                Phase::Last
            }
            None if chunked => Phase::Last,
            None | Some(0) => Phase::Idle,
            Some(length) => Phase::Body(length),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fed(text: &str, step: usize) -> Framing {
        let mut framing = Framing::default();
        for part in text.as_bytes().chunks(step) {
            framing.feed(part);
        }
        framing
    }

    /// Whatever the packets, the outcome is the same.
    fn each_step(text: &str, check: impl Fn(Framing)) {
        for step in [1, 2, 3, 7, 64, 4096] {
            check(fed(text, step));
        }
    }

    #[test]
    fn both_lengths_are_seen_in_either_order_and_any_case() {
        for lines in [
            "Content-Length: 3\r\nTransfer-Encoding: chunked",
            "transfer-encoding: chunked\r\ncontent-length: 3",
            "A: b\r\nTRANSFER-ENCODING:chunked\r\nX: y\r\nCONTENT-LENGTH:0",
        ] {
            each_step(
                &format!("POST / HTTP/1.1\r\n{lines}\r\n\r\n0\r\n\r\n"),
                |framing| {
                    assert_eq!(framing.ambiguous(), Some(1), "{lines}");
                    assert_eq!(framing.phase(), Phase::Last);
                },
            );
        }
    }

    #[test]
    fn bodies_are_stepped_over() {
        let inner = "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n";
        let outer = format!(
            "POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n{inner}",
            inner.len()
        );
        each_step(&outer, |framing| {
            assert_eq!(framing.ambiguous(), None);
            assert_eq!(framing.phase(), Phase::Idle);
        });
        each_step(&format!("{outer}\r\n{outer}{inner}"), |framing| {
            assert_eq!(framing.ambiguous(), Some(3));
        });
    }

    #[test]
    fn a_name_in_a_value_or_in_the_request_line_means_nothing() {
        let text = "GET /Transfer-Encoding:x HTTP/1.1\r\nX: Transfer-Encoding: chunked\r\n\
                    Content-Length: 2\r\n\r\n{}";
        each_step(text, |framing| assert_eq!(framing.ambiguous(), None));
    }

    #[test]
    fn a_length_too_long_to_be_followed_is_not_trusted() {
        let zeros = "0".repeat(KEPT);
        each_step(
            &format!("POST / HTTP/1.1\r\nContent-Length: {zeros}5\r\n\r\n"),
            |framing| {
                assert_eq!(framing.ambiguous(), Some(1));
            },
        );
    }

    #[test]
    fn the_phase_tells_whether_a_head_has_begun() {
        assert_eq!(fed("", 1).phase(), Phase::Idle);
        assert_eq!(fed("\r\n", 1).phase(), Phase::Idle);
        assert_eq!(fed("P", 1).phase(), Phase::Head);
        assert_eq!(
            fed("POST / HTTP/1.1\nContent-Length: 9\n\nabc", 2).phase(),
            Phase::Body(6)
        );
    }
}
