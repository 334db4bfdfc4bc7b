//! Signals: the first asks everything to stop in order, the second ends the
//! program at once, and its children with it.

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What a shell reports for a program that Ctrl-C ended.
const EXIT_INTERRUPTED: i32 = 130;

/// Cancels `stop` at the first SIGINT, SIGTERM or SIGHUP (the terminal was closed). Does not return before.
///
/// # Errors
/// When the operating system refuses to deliver signals.
pub async fn cancel_on_signal(stop: &CancellationToken) -> Result<()> {
    let on = |kind| signal(kind).context("failed to wait for signals");
    let mut interrupt = on(SignalKind::interrupt())?;
    let mut terminate = on(SignalKind::terminate())?;
    let mut hangup = on(SignalKind::hangup())?;
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
        if stop.is_cancelled() {
            std::process::exit(EXIT_INTERRUPTED);
        }
        stop.cancel();
    }
}
