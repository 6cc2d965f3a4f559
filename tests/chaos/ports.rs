//! Ports for servers that come back on the port that they had.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the range from which the system gives ports to clients: no connection takes the port of a server that is down.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// An address that nobody listens on.
pub(crate) fn free() -> SocketAddr {
    let width = RANGE.end - RANGE.start;
    // Tests run as processes of their own at the same time: each begins somewhere else.
    let begin = u16::try_from(std::process::id().wrapping_mul(97) % u32::from(width)).unwrap();
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(step < width, "no port is free");
        let port = RANGE.start + (begin + step) % width;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}
