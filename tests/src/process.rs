//! A child process with its output in a file: can be killed, frozen, asked to
//! stop and watched. Dropping it kills it.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::{scratch, spawner, wait};

/// Lines of a child's output that a failing test shows.
const TAIL_LINES: usize = 60;

/// A running or ended child.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    out: PathBuf,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts `command` with stderr and stdout in a file each.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(name: &str, mut command: Command) -> Self {
        let log = scratch::directory("log").join(name);
        let out = log.with_extension("stdout");
        let create = |path: &Path| File::create(path).expect("a log file");
        command.stdin(Stdio::null());
        command.stdout(create(&out)).stderr(create(&log));
        let child =
            spawner::spawn(command).unwrap_or_else(|e| panic!("failed to start {name}: {e}"));
        Self {
            name: name.to_owned(),
            child,
            log,
            out,
            ended: None,
        }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything it printed so far: what it logged, then what it answered.
    #[must_use]
    pub fn output(&self) -> String {
        format!("{}{}", read(&self.log), self.stdout())
    }

    /// What it printed on stdout so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        read(&self.out)
    }

    /// The last lines that it printed, without those of debugging.
    #[must_use]
    pub fn tail(&self) -> String {
        let output = self.output();
        let told = |line: &&str| !line.contains(" DEBUG ");
        let lines: Vec<&str> = output.lines().filter(told).collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }

    /// How it ended; `None` while it runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended
    }

    /// Directories and files that it watches, by inotify.
    #[must_use]
    pub fn watches(&self) -> usize {
        watches(self.pid())
    }

    /// Its resident memory, KiB.
    #[must_use]
    pub fn resident_kib(&self) -> u64 {
        resident_kib(self.pid())
    }

    fn signal(&mut self, signal: Signal) {
        if self.ended().is_none()
            && let Ok(pid) = i32::try_from(self.child.id())
            && let Some(pid) = Pid::from_raw(pid)
        {
            let _ = kill_process(pid, signal);
        }
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        if self.ended.is_none() {
            self.ended = self.child.wait().ok();
        }
    }

    /// Freezes it: it holds its sockets and answers nothing.
    pub fn freeze(&mut self) {
        self.signal(Signal::STOP);
    }

    /// Lets a frozen one go on.
    pub fn thaw(&mut self) {
        self.signal(Signal::CONT);
    }

    /// Asks it to stop, without waiting.
    pub fn terminate(&mut self) {
        self.signal(Signal::TERM);
    }

    /// What Ctrl-C does, and waits for its end.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn interrupt(&mut self) -> ExitStatus {
        self.signal(Signal::INT);
        self.wait().await
    }

    /// Asks it to stop and waits for its end.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn stop(&mut self) -> ExitStatus {
        self.terminate();
        self.wait().await
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn wait(&mut self) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        wait::eventually(&what, async || {
            self.ended().ok_or_else(|| "still running".to_owned())
        })
        .await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- last output of {} ---\n{}", self.name, self.tail());
        }
        self.kill();
    }
}

fn read(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Resident memory of a process, KiB; 0 when it has none.
#[must_use]
pub fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// Open file descriptors of a process.
#[must_use]
pub fn open_files(pid: u32) -> usize {
    let fds = std::fs::read_dir(format!("/proc/{pid}/fd"));
    fds.map_or(0, Iterator::count)
}

/// Directories and files that a process watches, by inotify.
#[must_use]
pub fn watches(pid: u32) -> usize {
    let files = std::fs::read_dir(format!("/proc/{pid}/fdinfo"));
    let files = files.into_iter().flatten().flatten();
    let watches = |text: String| text.matches("inotify wd:").count();
    files
        .filter_map(|file| std::fs::read_to_string(file.path()).ok())
        .map(watches)
        .sum()
}

/// One of the workspace's programs, found beside the running test executable.
///
/// # Panics
/// When it has not been built.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the test has a path");
    let profile = test
        .ancestors()
        .find(|dir| dir.file_name().is_some_and(|last| last == "deps"))
        .and_then(Path::parent)
        .expect("target/<profile>/deps");
    let path = profile.join(name);
    assert!(
        path.is_file(),
        "{} is missing: `make test` builds it before the tests",
        path.display()
    );
    path
}

/// A child's environment: nothing of ours but where programs and libraries are.
#[must_use]
pub fn clean(mut command: Command) -> Command {
    let keep = ["PATH", "LD_LIBRARY_PATH", "TMPDIR", "LANG"];
    let kept: Vec<(&str, OsString)> = keep
        .into_iter()
        .filter_map(|key| Some((key, std::env::var_os(key)?)))
        .collect();
    command.env_clear().envs(kept);
    command
}
