//! Local ports of a load's process.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};

use tokio::net::TcpSocket;

const FIRST: u16 = 10_000;
const COUNT: u16 = 50_000;

/// Counts ports up. The kernel's own search for a free one takes ever longer, the more are taken: with 16,000 connections it was a third of
/// everything that was computed while users logged in.
#[derive(Debug, Default)]
pub(super) struct Ports(AtomicU16);

impl Ports {
    /// A socket with this address and a port that nobody has.
    pub(super) fn socket(&self, source: Ipv4Addr) -> io::Result<TcpSocket> {
        let socket = TcpSocket::new_v4()?;
        for _ in 0..COUNT {
            let port = FIRST + self.0.fetch_add(1, Ordering::Relaxed) % COUNT;
            match socket.bind(SocketAddr::from((source, port))) {
                Err(error) if error.kind() == ErrorKind::AddrInUse => {}
                bound => return bound.map(|()| socket),
            }
        }
        Err(ErrorKind::AddrInUse.into())
    }
}
