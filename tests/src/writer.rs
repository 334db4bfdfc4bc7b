//! Writes state files in the manners of the producers and of people's editors,
//! and remembers what it wrote: the truth that the oracle holds against the
//! database.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use protocol::ProjectToken;
use serde_json::Value;

/// The producer's directory in a project.
pub const DIRECTORY: &str = ".context-foundry";
/// The phase file in it.
pub const PHASE: &str = "current-phase.json";
/// The summary in it.
pub const SUMMARY: &str = "session-summary.json";

/// How a file comes to its new content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Truncate and write at once, same inode (`cat > file`).
    InPlace,
    /// Truncate, then write in three pieces with a pause before each.
    Pieces(Duration),
    /// A file beside it, renamed over it.
    Atomic,
    /// vim with `backupcopy=no`: the old one is renamed away, a new one made, the old one deleted.
    Vim,
    /// emacs: the old one is kept as `file~`, a new one made.
    Emacs,
    /// VS Code and nano: truncate and write in place, after a probe of the directory.
    Code,
    /// `rm`, then a new file.
    Recreate,
}

impl Manner {
    /// All manners that leave one file with the new content and are no deletion.
    pub const ALL: [Self; 6] = [
        Self::InPlace,
        Self::Pieces(Duration::from_millis(3)),
        Self::Atomic,
        Self::Vim,
        Self::Emacs,
        Self::Code,
    ];
}

/// A project directory under a watched root.
#[derive(Debug)]
pub struct Project {
    dir: PathBuf,
    written: Mutex<Vec<Value>>,
}

impl Project {
    /// Names a project; makes its directory and the producer's in it.
    ///
    /// # Panics
    /// When they cannot be made.
    #[must_use]
    pub fn create(dir: PathBuf) -> Self {
        fs::create_dir_all(dir.join(DIRECTORY)).expect("the project's directory");
        Self::unmade(dir)
    }

    /// Names a project without touching the disk.
    #[must_use]
    pub fn unmade(dir: PathBuf) -> Self {
        Self {
            dir,
            written: Mutex::new(Vec::new()),
        }
    }

    /// Its directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Its name on pages.
    #[must_use]
    pub fn name(&self) -> String {
        let last = self.dir.file_name().unwrap_or_default();
        last.to_string_lossy().into_owned()
    }

    /// Its token in ids.
    #[must_use]
    pub fn token(&self) -> ProjectToken {
        ProjectToken::of(&self.dir)
    }

    /// The id of its n-th build on `host`.
    #[must_use]
    pub fn build_id(&self, host: &str, run: u32) -> String {
        protocol::subject::build_id(host, self.token(), run)
    }

    /// One of its state files.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(DIRECTORY).join(name)
    }

    /// Writes the phase file as the producer does: in place.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn phase(&self, document: &Value) {
        self.write(PHASE, document, Manner::InPlace);
    }

    /// Writes the summary as the producer does: in place.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn summary(&self, document: &Value) {
        self.write(SUMMARY, document, Manner::InPlace);
    }

    /// Writes one of its files, and remembers phase files.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str, document: &Value, manner: Manner) {
        let text = serde_json::to_vec_pretty(document).expect("JSON");
        if name == PHASE {
            let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
            written.push(document.clone());
        }
        write(&self.file(name), &text, manner).expect("the file can be written");
    }

    /// Every phase document that was written, oldest first.
    #[must_use]
    pub fn written(&self) -> Vec<Value> {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.clone()
    }
}

/// Writes `bytes` to `file` in a manner.
///
/// # Errors
/// When the file system refuses.
pub fn write(file: &Path, bytes: &[u8], manner: Manner) -> std::io::Result<()> {
    let beside = |mark: &str| {
        let mut name = file.as_os_str().to_owned();
        name.push(mark);
        PathBuf::from(name)
    };
    match manner {
        Manner::InPlace => fs::write(file, bytes),
        Manner::Pieces(pause) => in_pieces(file, bytes, pause),
        Manner::Atomic => {
            fs::write(beside(".tmp"), bytes)?;
            fs::rename(beside(".tmp"), file)
        }
        Manner::Vim => {
            let probe = file.with_file_name("4913");
            File::create(&probe)?;
            fs::remove_file(&probe)?;
            if file.exists() {
                fs::rename(file, beside("~"))?;
            }
            let mut new = File::create_new(file)?;
            new.write_all(bytes)?;
            new.sync_all()?;
            drop(new);
            remove_if_there(&beside("~"))
        }
        Manner::Emacs => {
            if file.exists() {
                fs::rename(file, beside("~"))?;
            }
            fs::write(file, bytes)
        }
        Manner::Code => {
            let _ = fs::read_dir(file.parent().unwrap_or(file))?.count();
            let mut open = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .open(file)?;
            open.set_len(0)?;
            open.write_all(bytes)
        }
        Manner::Recreate => {
            remove_if_there(file)?;
            fs::write(file, bytes)
        }
    }
}

fn remove_if_there(file: &Path) -> std::io::Result<()> {
    match fs::remove_file(file) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// The pauses are the thing itself here, not a synchronisation: a producer that is slow.
#[expect(
    clippy::disallowed_methods,
    reason = "a slow writer, on a thread of its own"
)]
fn in_pieces(file: &Path, bytes: &[u8], pause: Duration) -> std::io::Result<()> {
    let mut open = File::create(file)?;
    for piece in bytes.chunks(bytes.len().div_ceil(3).max(1)) {
        std::thread::sleep(pause);
        open.write_all(piece)?;
    }
    std::thread::sleep(pause);
    Ok(())
}
