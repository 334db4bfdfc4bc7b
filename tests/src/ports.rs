//! Free ports that stay free: outside of the range from which the kernel takes
//! the ports of outgoing connections, so that a killed server can come back on
//! its own port.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// Linux takes outgoing ports from 32768 on.
const FIRST: u16 = 18_000;
const LAST: u16 = 32_000;

/// A free port on the loopback.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn free() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let span = LAST - FIRST;
    // Test processes that run side by side begin at different places.
    let offset = u16::try_from(std::process::id() % u32::from(span)).unwrap_or(0);
    for _ in 0..span {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (offset.wrapping_mul(37).wrapping_add(step)) % span;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between {FIRST} and {LAST}");
}
