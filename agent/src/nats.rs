//! The connection to NATS: it is tried for ever, and each time it is made
//! anew those who send are told, because what was on its way may be lost.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event};
use tokio::sync::watch;

use crate::config::NatsTarget;

/// Two missed answers to this mean that the connection is dead: in 12 s, and it is made anew within 15.
const PING_EVERY: Duration = Duration::from_secs(4);
/// Longest pause between two attempts: recovery lags the broker by no more than this and the jitter.
const RECONNECT_MAX: Duration = Duration::from_millis(500);
/// First pause between two attempts.
const RECONNECT_MIN: Duration = Duration::from_millis(20);
/// Jitter, so that not all agents come at the same moment.
const RECONNECT_JITTER_MS: u64 = 100;

/// Where the connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Link {
    /// It stands.
    pub(crate) up: bool,
    /// How often it was made.
    pub(crate) times: u64,
}

/// Connects in the background; the link says when it stands.
///
/// # Errors
/// When the target cannot be an address.
pub(crate) async fn connect(
    target: &NatsTarget,
    name: &str,
) -> Result<(Client, watch::Receiver<Link>), async_nats::ConnectError> {
    let (link, receiver) = watch::channel(Link::default());
    let told = Told::default();
    let mut options = ConnectOptions::new()
        .name(format!("phaseline-agent {name}"))
        .retry_on_initial_connect()
        .max_reconnects(None)
        .ping_interval(PING_EVERY)
        .reconnect_delay_callback(|attempts| {
            pause(attempts) + Duration::from_millis(rand::random_range(0..RECONNECT_JITTER_MS))
        })
        .event_callback(move |event| {
            note(&link, &told, &event);
            std::future::ready(())
        });
    if let Some(user) = &target.user {
        let password = target.password.clone().unwrap_or_default();
        options = options.user_and_password(user.clone(), password);
    }
    let urls: Vec<&str> = target.url.split(',').collect();
    let client = options.connect(urls.as_slice()).await?;
    Ok((client, receiver))
}

/// What helps when nats does not know who we are.
const REFUSED: &str = "nats knows another user or another password: look at PHASELINE_NATS_USER (agent, as we ship nats) \
                       and at what is in the file of PHASELINE_NATS_PASSWORD_FILE";

/// What was said of a connection that cannot be made: the first failure is
/// told, the thousand after it in an outage are not.
#[derive(Default)]
struct Told {
    failure: AtomicBool,
    refusal: AtomicBool,
}

/// The client hands the broker's refusal on as text.
fn is_refusal(error: &str) -> bool {
    error
        .to_ascii_lowercase()
        .contains("authorization violation")
}

fn note(link: &watch::Sender<Link>, told: &Told, event: &Event) {
    match event {
        Event::Connected => {
            tracing::info!("connected to nats");
            told.failure.store(false, Ordering::Relaxed);
            told.refusal.store(false, Ordering::Relaxed);
            link.send_modify(|link| {
                link.up = true;
                link.times += 1;
            });
        }
        Event::Disconnected => {
            tracing::warn!("lost the connection to nats; events wait in the outbox");
            link.send_modify(|link| link.up = false);
        }
        Event::Closed => link.send_modify(|link| link.up = false),
        Event::ServerError(error) => tracing::error!(%error, "nats refused something"),
        Event::ClientError(error) if is_refusal(&error.to_string()) => {
            if !told.refusal.swap(true, Ordering::Relaxed) {
                tracing::error!(%error, remedy = REFUSED, "failed to connect to nats; it is tried again for ever");
            }
        }
        Event::ClientError(error) if !told.failure.swap(true, Ordering::Relaxed) => {
            tracing::warn!(%error, "failed to talk to nats; it is tried again for ever");
        }
        other => tracing::debug!(event = %other, "nats"),
    }
}

/// Doubles from attempt to attempt.
fn pause(attempts: usize) -> Duration {
    let doublings = u32::try_from(attempts.saturating_sub(1))
        .unwrap_or(u32::MAX)
        .min(10);
    RECONNECT_MAX.min(RECONNECT_MIN * 2_u32.pow(doublings))
}

/// Reads a password file: its content without the newline at the end.
///
/// # Errors
/// When the file cannot be read or is no text.
pub(crate) fn password_from(path: &Path) -> std::io::Result<String> {
    let text = std::fs::read_to_string(path)?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_apart_from_a_broker_that_is_away() {
        let told = |error: &str| async_nats::ClientError::Other(error.to_owned()).to_string();
        assert!(is_refusal(&told(
            "authorization violation: nats: authorization violation"
        )));
        assert!(!is_refusal(&told(
            "IO error: Connection refused (os error 111)"
        )));
    }

    #[test]
    fn pauses_double_up_to_half_a_second() {
        assert_eq!(pause(0), RECONNECT_MIN);
        assert_eq!(pause(1), RECONNECT_MIN);
        assert_eq!(pause(3), 4 * RECONNECT_MIN);
        assert_eq!(pause(usize::MAX), RECONNECT_MAX);
    }
}
