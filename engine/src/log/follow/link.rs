//! Messages over a stream of bytes. One at a time stands in memory, and its length is bounded before
//! there is space for it.

use std::io::{self, Read, Write};

use factlog_codec::{FollowHead, FollowMessage, FollowMessageError};

/// Both ends of a stream, for messages.
#[derive(Debug)]
pub(super) struct Link<S> {
    stream: S,
    /// What is being sent.
    out: Vec<u8>,
    /// The body of what was received last.
    body: Vec<u8>,
}

/// Why no message came.
#[derive(Debug)]
pub(super) enum NoMessage {
    /// The stream ended or failed.
    Link(io::Error),
    /// What came is none.
    Message(FollowMessageError),
}

impl<S: Read + Write> Link<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, out: Vec::new(), body: Vec::new() }
    }

    /// Sends a message; whether it has left is known after [`flush`](Self::flush).
    pub(super) fn send(&mut self, message: &FollowMessage<'_>) -> io::Result<()> {
        self.out.clear();
        message.encode(&mut self.out);
        self.stream.write_all(&self.out)
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }

    /// The next message.
    pub(super) fn receive(&mut self) -> Result<FollowMessage<'_>, NoMessage> {
        let mut raw = [0; FollowHead::LEN];
        self.stream.read_exact(&mut raw).map_err(NoMessage::Link)?;
        let head = FollowHead::decode(&raw).map_err(NoMessage::Message)?;
        let len = head.body_len();
        if self.body.len() < len {
            self.body.resize(len, 0);
        }
        let body = self.body.get_mut(..len).unwrap_or(&mut []);
        self.stream.read_exact(body).map_err(NoMessage::Link)?;
        head.open(body).map_err(NoMessage::Message)
    }
}
