//! The stream below a connection.
//!
//! hyper and the WebSocket library own it, as they own any stream. Once the connection is a WebSocket, [`Wire::send`] writes frames to it directly:
//! a frame for 10,000 connections need not wake 10,000 tasks to be encoded and written by each. So that frames of the two do not mix, a write is
//! from then on taken whole: what the system has no room for is kept, and nothing is written before it is gone.
//!
//! Streams under TLS have no wire: their records are made by their connection's task alone.

mod shared_frame;

pub use shared_frame::SharedFrame;

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::runtime::Handle;

/// Frames of one call of the system.
const FRAMES_A_CALL: usize = 16;

/// What became of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// The system has them all.
    All,
    /// It has no room now, or the connection is over: who owns the stream must go on, and will see.
    NotAll,
}

/// The writing side of a stream.
#[derive(Debug)]
pub struct Wire {
    sink: Mutex<Sink>,
    /// Where the stream is served.
    runtime: Handle,
}

#[derive(Debug)]
struct Sink {
    /// `None`: nothing is written any more.
    stream: Option<OwnedWriteHalf>,
    /// Writes are taken whole.
    whole: bool,
    /// What was taken and not yet written.
    rest: Bytes,
}

impl Wire {
    fn sink(&self) -> MutexGuard<'_, Sink> {
        // Nothing that panics runs under the lock; a poisoned one is as good.
        self.sink.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From here on frames may be sent, and what its owner writes is taken whole: the owner must write whole frames.
    pub fn begin_frames(&self) {
        self.sink().whole = true;
    }

    /// Writes frames and takes them out, as many as there is room for. Waits for nothing.
    pub fn send(&self, frames: &mut VecDeque<SharedFrame>) -> Sent {
        self.sink().send(frames)
    }

    /// The runtime whose threads serve the stream.
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Whether something taken is not yet written. Flushing by the owner brings it on.
    #[must_use]
    pub fn has_rest(&self) -> bool {
        !self.sink().rest.is_empty()
    }
}

impl Sink {
    fn send(&mut self, frames: &mut VecDeque<SharedFrame>) -> Sent {
        if !self.rest.is_empty() {
            return Sent::NotAll;
        }
        while !frames.is_empty() {
            let Ok(mut written) = self.try_write(frames) else {
                return Sent::NotAll;
            };
            while let Some(frame) = frames.front() {
                let bytes = frame.bytes();
                if written < bytes.len() {
                    break;
                }
                written -= bytes.len();
                frames.pop_front();
            }
            if written > 0
                && let Some(frame) = frames.pop_front()
            {
                self.rest = frame.bytes().slice(written..);
                return Sent::NotAll;
            }
        }
        Sent::All
    }

    /// Asks the system at once. Tokio would first look up whether the stream is writable: for each of thousands that is a place in memory which was
    /// not touched since the last frame, and the answer is nearly always yes.
    fn try_write(&self, frames: &VecDeque<SharedFrame>) -> io::Result<usize> {
        let stream = self.stream.as_ref().ok_or_else(closed)?;
        let stream = SockRef::from(AsRef::<TcpStream>::as_ref(stream));
        if let [frame] = frames.as_slices().0 {
            return stream.send(frame.bytes());
        }
        let mut slices = [IoSlice::new(&[]); FRAMES_A_CALL];
        let mut count = 0;
        for (slice, frame) in slices.iter_mut().zip(frames) {
            *slice = IoSlice::new(frame.bytes());
            count += 1;
        }
        stream.send_vectored(&slices[..count])
    }

    fn stream(&mut self) -> io::Result<Pin<&mut OwnedWriteHalf>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(closed)
    }

    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.rest.is_empty() {
            let stream = self.stream.as_mut().ok_or_else(closed)?;
            let written = ready!(Pin::new(stream).poll_write(cx, &self.rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.rest.advance(written);
        }
        // What it was a part of is no longer held.
        self.rest = Bytes::new();
        Poll::Ready(Ok(()))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if !self.whole {
            return self.stream()?.poll_write(cx, bytes);
        }
        ready!(self.poll_rest(cx))?;
        let written = match self.stream()?.poll_write(cx, bytes) {
            Poll::Ready(written) => written?,
            Poll::Pending => 0,
        };
        self.rest = Bytes::copy_from_slice(&bytes[written..]);
        Poll::Ready(Ok(bytes.len()))
    }
}

fn closed() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

/// What owns a stream with a wire: both of its sides.
#[derive(Debug)]
pub struct WiredStream {
    read: OwnedReadHalf,
    wire: Arc<Wire>,
}

impl WiredStream {
    /// The stream, and its wire for others. What they keep of it does not keep the stream open. Called by a task of the runtime that serves it.
    #[must_use]
    pub fn new(stream: TcpStream) -> (Self, Arc<Wire>) {
        let (read, write) = stream.into_split();
        let wire = Arc::new(Wire {
            sink: Mutex::new(Sink {
                stream: Some(write),
                whole: false,
                rest: Bytes::new(),
            }),
            runtime: Handle::current(),
        });
        let stream = Self {
            read,
            wire: Arc::clone(&wire),
        };
        (stream, wire)
    }
}

impl Drop for WiredStream {
    fn drop(&mut self) {
        self.wire.sink().stream = None;
    }
}

impl AsyncRead for WiredStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.read).poll_read(cx, buffer)
    }
}

impl AsyncWrite for WiredStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.wire.sink().poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut sink = self.wire.sink();
        if !sink.whole {
            return sink.stream()?.poll_write_vectored(cx, slices);
        }
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| &**slice).copied().collect();
        sink.poll_write(cx, &bytes)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire.sink().poll_rest(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut sink = self.wire.sink();
        ready!(sink.poll_rest(cx))?;
        let shut = ready!(sink.stream()?.poll_shutdown(cx));
        sink.stream = None;
        Poll::Ready(shut)
    }
}

#[cfg(test)]
mod tests;
