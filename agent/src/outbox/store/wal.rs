//! Looks at the write-ahead file before SQLite does: that takes what is whole
//! from its beginning and says nothing of the rest, so that a flipped bit would
//! silently undo everything written after it.
//!
//! Formats: <https://sqlite.org/fileformat2.html#walformat> and
//! <https://sqlite.org/walformat.html> (the shared index).

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::Path;

/// Begins a file whose checksums read words with the low byte first; one more means the high byte first.
const MAGIC: u32 = 0x377f_0682;
const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// SQLite's largest.
const MAX_PAGE: u32 = 65_536;

/// Why committed frames are missing; none when all are there that the shared
/// index knows of. Frames behind those were never committed, whole or not.
pub(super) fn missing(wal: &Path, shm: &Path) -> io::Result<Option<String>> {
    let expected = expected(shm);
    let lacks = |found: u32| {
        let frames = expected.map_or(0, |(frames, _)| frames);
        (found < frames).then(|| format!("{found} of {frames} pieces are there"))
    };
    let file = match File::open(wal) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(lacks(0)),
        file => file?,
    };
    let mut file = BufReader::new(file);
    let mut header = [0; HEADER];
    if !filled(&mut file, &mut header)? {
        return Ok(lacks(0));
    }
    let magic = word(&header, 0);
    let mut sums = Sums {
        big_endian: magic == MAGIC + 1,
        now: (0, 0),
    };
    sums.add(&header[..24]);
    let page = word(&header, 8);
    if magic & !1 != MAGIC || sums.now != pair(&header, 24) || !(512..=MAX_PAGE).contains(&page) {
        let matters = expected.is_none_or(|(frames, _)| frames > 0);
        return Ok(matters.then(|| "its head is damaged".to_owned()));
    }
    let salt = [word(&header, 16), word(&header, 20)];
    let page = usize::try_from(page).unwrap_or_default();
    let whole = frames(&mut file, page, salt, &mut sums)?;
    Ok(match expected {
        Some((_, salt_of_index)) if salt_of_index == salt => lacks(whole),
        _ => None,
    })
}

/// How many frames are whole.
fn frames(
    file: &mut impl io::Read,
    page: usize,
    salt: [u32; 2],
    sums: &mut Sums,
) -> io::Result<u32> {
    let mut whole = 0;
    let mut frame = vec![0; FRAME_HEADER + page];
    while filled(file, &mut frame)? {
        sums.add(&frame[..8]);
        sums.add(&frame[FRAME_HEADER..]);
        if [word(&frame, 8), word(&frame, 12)] != salt || sums.now != pair(&frame, 16) {
            break;
        }
        whole += 1;
    }
    Ok(whole)
}

/// Frames and salt by the shared index, which outlives a killed process.
fn expected(shm: &Path) -> Option<(u32, [u32; 2])> {
    let index = fs::read(shm).ok()?;
    let native = |at: usize| {
        let bytes = index.get(at..at + 4)?;
        Some(u32::from_ne_bytes(bytes.try_into().ok()?))
    };
    // Two copies; they differ while one is being written.
    (index.get(..48)? == index.get(48..96)?).then_some(())?;
    let salt = |at: usize| Some(u32::from_be_bytes(index.get(at..at + 4)?.try_into().ok()?));
    Some((native(16)?, [salt(32)?, salt(36)?]))
}

struct Sums {
    big_endian: bool,
    now: (u32, u32),
}

impl Sums {
    fn add(&mut self, bytes: &[u8]) {
        for eight in bytes.chunks_exact(8) {
            let (first, second) = if self.big_endian {
                pair(eight, 0)
            } else {
                let (first, second) = pair(eight, 0);
                (first.swap_bytes(), second.swap_bytes())
            };
            self.now.0 = self.now.0.wrapping_add(first).wrapping_add(self.now.1);
            self.now.1 = self.now.1.wrapping_add(second).wrapping_add(self.now.0);
        }
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    let word = bytes.get(at..at + 4).and_then(|word| word.try_into().ok());
    u32::from_be_bytes(word.unwrap_or_default())
}

fn pair(bytes: &[u8], at: usize) -> (u32, u32) {
    (word(bytes, at), word(bytes, at + 4))
}

/// Whether so much could be read.
fn filled(file: &mut impl io::Read, bytes: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn what_is_cut_off_or_flipped_is_missed_and_what_is_whole_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let db = Connection::open(at("x")).unwrap();
        db.pragma_update(None, "journal_mode", "wal").unwrap();
        db.execute_batch("CREATE TABLE t (x); PRAGMA wal_checkpoint(TRUNCATE)")
            .unwrap();
        let (wal, shm) = (at("x-wal"), at("x-shm"));
        assert_eq!(missing(&wal, &shm).unwrap(), None, "empty");
        for _ in 0..9 {
            db.execute("INSERT INTO t VALUES (randomblob(3000))", [])
                .unwrap();
        }
        assert_eq!(missing(&wal, &shm).unwrap(), None, "whole");
        let bytes = fs::read(&wal).unwrap();
        let damaged = |bytes: &[u8]| {
            fs::write(at("y-wal"), bytes).unwrap();
            missing(&at("y-wal"), &shm).unwrap()
        };
        for cut in [0, 10, 40, 5_000, bytes.len() - 1] {
            assert!(damaged(&bytes[..cut]).is_some(), "cut to {cut}");
        }
        for place in (0..bytes.len()).step_by(101) {
            let mut flipped = bytes.clone();
            flipped[place] ^= 4;
            let found = damaged(&flipped);
            assert!(found.is_some(), "flipped at {place}");
        }
        // Begun anew: what is left of before is no damage.
        db.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(()))
            .unwrap();
        db.execute("INSERT INTO t VALUES (1)", []).unwrap();
        assert_eq!(missing(&wal, &shm).unwrap(), None, "begun anew");
    }
}
