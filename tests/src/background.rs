//! Tasks of the harness that end when what they serve is dropped. Held in a
//! set per caller or, for connections without an owner, here.

use std::future::Future;
use std::sync::{LazyLock, Mutex, PoisonError};

use tokio::task::JoinSet;

static TASKS: LazyLock<Mutex<JoinSet<()>>> = LazyLock::new(|| Mutex::new(JoinSet::new()));

/// Runs a task that ends by itself when its other half is dropped.
pub(crate) fn run(task: impl Future<Output = ()> + Send + 'static) {
    let mut tasks = TASKS.lock().unwrap_or_else(PoisonError::into_inner);
    while tasks.try_join_next().is_some() {}
    tasks.spawn(task);
}
