//! One directory per test process for everything that it writes, removed when
//! the process has ended, also after a kill: a small shell waits for the end
//! of its input, which this process holds open.

use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Set to keep the files of a run for a look at them.
const KEEP: &str = "PHASELINE_TEST_KEEP";

struct Base {
    path: PathBuf,
    /// Closed by the kernel when this process ends, which wakes the shell.
    _alive: Option<ChildStdin>,
}

static BASE: LazyLock<Base> = LazyLock::new(|| {
    let path = tempfile::Builder::new()
        .prefix("phaseline-e2e.")
        .tempdir_in("/tmp")
        .expect("/tmp can be written")
        .keep();
    open_to_all(&path);
    let alive = std::env::var_os(KEEP).is_none().then(|| remover(&path));
    Base {
        path,
        _alive: alive,
    }
});

/// Children that are being killed may still write for a moment: so twice.
#[expect(
    clippy::zombie_processes,
    reason = "it outlives this process, that is its purpose"
)]
fn remover(path: &Path) -> ChildStdin {
    let script = r#"trap "" INT TERM HUP; read -r _
        grep -o " $1/[^ ]* tmpfs" /proc/mounts | while read -r disk _; do umount --lazy "$disk"; done
        rm -rf "$1"; sleep 1; rm -rf "$1""#;
    let mut child = Command::new("setsid")
        .args(["sh", "-c", script, "sh"])
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("sh can be started");
    child.stdin.take().expect("its input is a pipe")
}

/// Postgres runs as another user and must reach its directory.
fn open_to_all(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
        .expect("permissions can be set");
}

/// A new, empty directory; its path is short enough for a socket.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn directory(name: &str) -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = BASE.path.join(format!("{number}-{name}"));
    std::fs::create_dir(&path).expect("a new directory");
    open_to_all(&path);
    path
}
