//! A small disk that can be filled and emptied: a tmpfs of its own.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::scratch;

/// A mounted file system; unmounted when dropped, and with the scratch
/// directory when this process is killed.
#[derive(Debug)]
pub struct Disk {
    path: PathBuf,
}

impl Disk {
    /// Mounts one of so many KiB; none, with a printed reason, where that is forbidden.
    #[must_use]
    pub fn mount(kib: u64) -> Option<Self> {
        let path = scratch::directory("disk");
        let tried = Command::new("mount")
            .args(["-t", "tmpfs", "-o"])
            .arg(format!("size={kib}k,mode=0755"))
            .arg("phaseline-test")
            .arg(&path)
            .output();
        match tried {
            Ok(output) if output.status.success() => Some(Self { path }),
            Ok(output) => skip(String::from_utf8_lossy(&output.stderr).trim()),
            Err(error) => skip(&error.to_string()),
        }
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes all the room there is.
    ///
    /// # Panics
    /// When it refuses for another reason than being full.
    pub fn fill(&self) {
        let mut filler = File::options()
            .append(true)
            .create(true)
            .open(self.filler())
            .expect("a file on the disk");
        for size in [1 << 20, 1 << 12, 1] {
            let piece = vec![b'x'; size];
            while let Ok(written @ 1..) = filler.write(&piece) {
                let _ = written;
            }
        }
    }

    /// Gives the room back.
    ///
    /// # Panics
    /// When it was not filled.
    pub fn free(&self) {
        fs::remove_file(self.filler()).expect("it was filled");
    }

    /// Bytes that are in use, what fills it not counted.
    ///
    /// # Panics
    /// When it cannot be asked.
    #[must_use]
    pub fn used(&self) -> u64 {
        let found = rustix::fs::statvfs(&self.path).expect("a file system");
        let filler = fs::metadata(self.filler()).map_or(0, |found| found.len());
        ((found.f_blocks - found.f_bfree) * found.f_frsize).saturating_sub(filler)
    }

    fn filler(&self) -> PathBuf {
        self.path.join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: children that were killed may still hold files for a moment.
        let _ = Command::new("umount")
            .arg("--lazy")
            .arg(&self.path)
            .status();
    }
}

fn skip(reason: &str) -> Option<Disk> {
    eprintln!("SKIPPED: no disk can be mounted here: {reason}");
    None
}
