//! Waiting for what must come true, instead of sleeping and hoping.

use std::time::{Duration, Instant};

/// Generous: a wait this long has failed, however busy the machine is.
pub const DEADLINE: Duration = Duration::from_secs(45);

/// Between two looks. A look is an HTTP call or a query on this machine.
pub(crate) const BETWEEN_LOOKS: Duration = Duration::from_millis(25);

/// Looks until `probe` gives `Ok`, and returns that.
///
/// # Panics
/// When [`DEADLINE`] is over, with `what` and the last `Err`.
pub async fn eventually<T>(what: &str, probe: impl AsyncFnMut() -> Result<T, String>) -> T {
    eventually_within(DEADLINE, what, probe).await
}

/// As [`eventually`], with its own deadline.
///
/// # Panics
/// When the deadline is over, with `what` and the last `Err`.
pub async fn eventually_within<T>(
    deadline: Duration,
    what: &str,
    mut probe: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    let start = Instant::now();
    loop {
        // A probe that hangs must not outlive the deadline unseen.
        let look = tokio::time::timeout(deadline, probe()).await;
        let seen = match look {
            Ok(Ok(value)) => return value,
            Ok(Err(seen)) => seen,
            Err(_) => "the look itself did not end".to_owned(),
        };
        assert!(
            start.elapsed() < deadline,
            "waited {} s for: {what}\nlast seen: {seen}",
            deadline.as_secs()
        );
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}

/// `Ok(())` when `fact`, else `Err` with what was seen instead.
///
/// # Errors
/// `seen()` when `fact` is false.
pub fn check(fact: bool, seen: impl FnOnce() -> String) -> Result<(), String> {
    if fact { Ok(()) } else { Err(seen()) }
}

/// Watches that something stays as it is for a while: for promises that
/// nothing happens, which no event can end.
///
/// # Panics
/// As soon as `probe` says what is wrong.
pub async fn stays(
    duration: Duration,
    what: &str,
    mut probe: impl AsyncFnMut() -> Result<(), String>,
) {
    let start = Instant::now();
    while start.elapsed() < duration {
        if let Err(seen) = probe().await {
            panic!(
                "must stay: {what}\nseen after {} ms: {seen}",
                start.elapsed().as_millis()
            );
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}
