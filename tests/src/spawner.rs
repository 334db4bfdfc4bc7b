//! Starts children that die with this process. The death signal of Linux is
//! tied to the thread that starts a child, and a test's thread ends with its
//! test: so one thread that never ends starts them all.

use std::io;
use std::process::{Child, Command};
use std::sync::LazyLock;
use std::sync::mpsc::{SyncSender, sync_channel};

/// Requests that wait for the thread; each is answered within milliseconds.
const QUEUE: usize = 64;

type Answer = SyncSender<io::Result<Child>>;

static THREAD: LazyLock<SyncSender<(Command, Answer)>> = LazyLock::new(|| {
    let (sender, requests) = sync_channel::<(Command, Answer)>(QUEUE);
    std::thread::Builder::new()
        .name("spawner".to_owned())
        .spawn(move || {
            for (mut command, answer) in requests {
                let _ = answer.send(command.spawn());
            }
        })
        .expect("a thread can be started");
    sender
});

/// A command that runs `program` and is killed when this process ends.
#[must_use]
pub fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// Starts it.
///
/// # Errors
/// As `Command::spawn`.
///
/// # Panics
/// When the spawning thread is gone.
pub fn spawn(command: Command) -> io::Result<Child> {
    let (answer, child) = sync_channel(1);
    THREAD.send((command, answer)).expect("the spawner lives");
    child.recv().expect("the spawner answers")
}
