//! How many bytes a client may send. Messages are counted once they are whole;
//! a message in endless pieces, or of pieces without content, never is.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// Bytes that are read at once, and how many more each second: four of the
/// largest messages, and one. Real clients send some 100 a minute.
const BURST: f64 = 256.0 * 1024.0;
const PER_SECOND: f64 = 64.0 * 1024.0;

/// A client sent more than it may. The error's kind is `QuotaExceeded`.
#[derive(Debug, thiserror::Error)]
#[error("more bytes than a client may send")]
struct Flood;

/// A connection whose reader is told when the other side sends too much.
#[derive(Debug)]
pub(super) struct Metered<S> {
    inner: S,
    tokens: f64,
    refilled: Instant,
    told: bool,
}

impl<S> Metered<S> {
    pub(super) fn new(inner: S) -> Self {
        Self {
            inner,
            tokens: BURST,
            refilled: Instant::now(),
            told: false,
        }
    }

    /// Takes so many bytes from the budget; an error once, when they are too many. What
    /// comes after it is only read to be dropped.
    fn spend(&mut self, bytes: usize) -> io::Result<()> {
        let now = Instant::now();
        let passed = now.saturating_duration_since(self.refilled).as_secs_f64();
        self.refilled = now;
        #[expect(clippy::cast_precision_loss, reason = "a read buffer has some KiB")]
        let spent = bytes as f64;
        self.tokens = (self.tokens + passed * PER_SECOND).min(BURST) - spent;
        if self.tokens >= 0.0 || self.told {
            return Ok(());
        }
        self.told = true;
        Err(io::Error::new(io::ErrorKind::QuotaExceeded, Flood))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        let read = buffer.filled().len() - before;
        Poll::Ready(self.spend(read))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, repeat};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn too_many_bytes_are_an_error_once_and_time_gives_more() {
        let mut metered = Metered::new(repeat(b'x'));
        let mut piece = vec![0; 64 * 1024];
        for _ in 0..4 {
            metered.read_exact(&mut piece).await.unwrap();
        }
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        metered.read_exact(&mut piece).await.unwrap();
        let error = metered.read_exact(&mut piece).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::QuotaExceeded);
        metered.read_exact(&mut piece).await.unwrap();
    }
}
