//! Tails on real files: pieces, rotation, half lines, limits.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;

use protocol::ProjectToken;

use super::*;

struct Log {
    dir: tempfile::TempDir,
    state: State,
    generations: u64,
    found: bool,
}

impl Log {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            state: State::default(),
            generations: 100,
            found: false,
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("a.log")
    }

    fn append(&self, text: impl AsRef<[u8]>) {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path())
            .unwrap();
        file.write_all(text.as_ref()).unwrap();
    }

    fn place(&self) -> Place {
        Place {
            root: self.dir.path().to_owned(),
            relative: "a.log".into(),
            producer: None,
            token: ProjectToken(1),
            file: "a.log".to_owned(),
            beside: None,
            found: self.found,
        }
    }

    fn read(&mut self) -> Option<Piece> {
        self.generations += 1;
        // Through text, as over a restart.
        let saved = serde_json::to_string(&self.state).unwrap();
        self.state = serde_json::from_str(&saved).unwrap();
        let place = self.place();
        match self.state.read(&place, self.generations) {
            Ok(piece) => piece,
            Err(ReadError::Missing) => None,
            Err(error) => panic!("{error:?}"),
        }
    }

    /// Everything that there is to be read.
    fn lines(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(piece) = self.read() {
            lines.extend(piece.lines.into_iter().map(|line| line.text));
        }
        lines
    }
}

#[test]
fn whole_lines_are_read_once_and_half_a_line_waits() {
    let mut log = Log::new();
    assert_eq!(log.read(), None, "there is none");
    log.append("one\ntwo\nthr");
    let piece = log.read().unwrap();
    assert_eq!((piece.from, piece.to, piece.skipped), (0, 8, 0));
    assert_eq!(piece.lines[1].offset, 4);
    assert_eq!(log.read(), None);
    log.append("ee\n\nfive\n");
    let again = log.read().unwrap();
    assert_eq!((again.from, again.generation), (8, piece.generation));
    let texts: Vec<_> = again.lines.iter().map(|l| l.text.as_str()).collect();
    assert_eq!(texts, ["three", "", "five"]);
}

#[test]
fn a_file_that_is_cut_off_or_replaced_is_another_generation() {
    let mut log = Log::new();
    log.append("one\ntwo\n");
    let first = log.read().unwrap().generation;
    fs::write(log.path(), "x\n").unwrap();
    let second = log.read().unwrap();
    assert_eq!((second.from, second.lines[0].text.as_str()), (0, "x"));
    assert_ne!(second.generation, first);
    // As long as before, and other bytes.
    fs::write(log.path(), "y\nz\n").unwrap();
    assert_eq!(log.lines(), ["y", "z"]);
    fs::remove_file(log.path()).unwrap();
    assert_eq!(log.lines(), [""; 0]);
    log.append("again\n");
    assert_eq!(log.lines(), ["again"]);
}

#[test]
fn a_file_that_was_rotated_is_read_to_its_end_first() {
    let mut log = Log::new();
    log.append("one\n");
    assert_eq!(log.lines(), ["one"]);
    log.append("two\nlast without an end");
    fs::rename(log.path(), log.dir.path().join("a.log.1")).unwrap();
    log.append("three\n");
    assert_eq!(log.lines(), ["two", "last without an end", "three"]);
    log.append("four\n");
    fs::rename(log.path(), log.dir.path().join("a.log.1")).unwrap();
    assert_eq!(log.lines(), ["four"], "also before there is a new one");
    log.append("five\n");
    assert_eq!(log.lines(), ["five"]);
}

#[test]
fn a_writer_may_go_on_in_a_rotated_file_until_it_writes_to_the_new_one() {
    let mut log = Log::new();
    log.append("one\n");
    assert_eq!(log.lines(), ["one"]);
    let old = log.dir.path().join("a.log.1");
    let mut writer = OpenOptions::new().append(true).open(log.path()).unwrap();
    writer.write_all(b"two, in the mid").unwrap();
    fs::rename(log.path(), &old).unwrap();
    assert!(log.lines().is_empty(), "the rest of the line is to come");
    writer.write_all(b"dle\nthree\n").unwrap();
    // As `logrotate` makes it before the writer hears of it.
    log.append("");
    assert_eq!(log.lines(), ["two, in the middle", "three"]);
    writer.write_all(b"four\nhalf").unwrap();
    log.append("five\n");
    assert_eq!(log.lines(), ["four", "half", "five"]);
}

#[test]
fn what_is_too_far_behind_is_passed_over_and_counted() {
    let mut log = Log::new();
    log.append("first\n");
    log.lines();
    let line = format!("{}\n", "x".repeat(99));
    let many = usize::try_from(MAX_BEHIND).unwrap() / 100 + 1_000;
    log.append(line.repeat(many));
    let piece = log.read().unwrap();
    assert!(
        piece.skipped > 0 && piece.from == 6 + piece.skipped,
        "{}",
        piece.skipped
    );
    assert_eq!(
        piece.skipped % 100,
        0,
        "whole lines: the first that is told is whole"
    );
    assert_eq!(piece.lines[0].text.len(), 99);
    assert_eq!(piece.lines[0].offset, piece.from);
    let rest = log.lines().len() + piece.lines.len();
    assert_eq!(rest as u64 * 100 + piece.skipped, many as u64 * 100);
}

#[test]
fn of_what_was_found_only_the_end_is_told() {
    let mut log = Log::new();
    log.found = true;
    log.append("0123456789abcde\n".repeat(100_000));
    let piece = log.read().unwrap();
    assert!(piece.from >= 1_600_000 - MAX_FOUND && piece.skipped == piece.from);
    assert_eq!(piece.lines[0].text, "0123456789abcde");
}

#[test]
fn a_line_longer_than_a_piece_is_cut_once_and_the_next_is_whole() {
    let mut log = Log::new();
    log.append("a\n");
    log.append("y".repeat(5 * PIECE / 2));
    let mut pieces = Vec::new();
    while let Some(piece) = log.read() {
        pieces.push(piece);
    }
    log.append("end of it\nnext\n");
    while let Some(piece) = log.read() {
        pieces.push(piece);
    }
    let lines: Vec<_> = pieces.iter().flat_map(|piece| &piece.lines).collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[1].cut && lines[1].text.starts_with("yyy"));
    assert_eq!((lines[2].text.as_str(), lines[2].cut), ("next", false));
}

#[test]
fn an_empty_file_and_blank_lines_are_no_trouble_and_batches_are_bounded() {
    let mut log = Log::new();
    log.append("");
    assert_eq!(log.read(), None);
    log.append("\n".repeat(1_200));
    let sizes: Vec<usize> =
        std::iter::from_fn(|| log.read().map(|piece| piece.lines.len())).collect();
    assert_eq!(sizes, [MAX_BATCH_LINES, MAX_BATCH_LINES, 200]);
}

#[test]
fn a_private_key_is_masked_also_over_a_restart() {
    let mut log = Log::new();
    log.append("-----BEGIN PRIVATE KEY-----\nMIIE1\n");
    assert_eq!(log.lines(), ["[masked]", "[masked]"]);
    log.append("MIIE2\n-----END PRIVATE KEY-----\nafter\n");
    assert_eq!(log.lines(), ["[masked]", "[masked]", "after"]);
}

#[test]
fn a_link_is_not_followed_and_a_file_that_is_anybodys_must_be_accompanied() {
    let mut log = Log::new();
    fs::write(log.dir.path().join("secret"), "s\n").unwrap();
    std::os::unix::fs::symlink("secret", log.path()).unwrap();
    let refused = log.state.read(&log.place(), 1);
    assert!(
        matches!(refused, Err(ReadError::NotRegular(_))),
        "{refused:?}"
    );
    fs::remove_file(log.path()).unwrap();
    log.append("one\n");
    let place = Place {
        beside: Some("adw_state.json".to_owned()),
        ..log.place()
    };
    assert_eq!(log.state.read(&place, 1).unwrap(), None);
    fs::write(log.dir.path().join("adw_state.json"), "{}").unwrap();
    assert_eq!(log.state.read(&place, 1).unwrap().unwrap().lines.len(), 1);
}
