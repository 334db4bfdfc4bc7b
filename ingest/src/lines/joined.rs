//! Chunks of a program's output put together to whole lines, ready to leave:
//! as of a log file that grows, whose bytes they are counted as. Pure.

use protocol::log::{MAX_BATCH_LINES, ShippedLine, clean};
use protocol::mask::Masker;

/// The most that one batch covers, bytes, but for the end of its last line: as of a log file.
pub(super) const PIECE: u64 = 64 * 1024;

/// What was said so far on one stream of output.
#[derive(Debug, Default)]
pub(super) struct Joined {
    /// Bytes that came.
    came: u64,
    /// Up to where lines were made of them.
    made: u64,
    /// Where the line begins that has no end yet.
    begins: u64,
    /// What came of it.
    half: Vec<u8>,
    /// It was too long: its beginning was made a line, its rest is passed over.
    is_cut: bool,
    masker: Masker,
}

/// Whole lines, and what they cover.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) lines: Vec<ShippedLine>,
}

impl Joined {
    /// Takes a chunk; what is whole now, in pieces that each fit a batch.
    pub(super) fn take(&mut self, chunk: &str) -> Vec<Piece> {
        let (mut pieces, mut lines) = (Vec::new(), Vec::new());
        for part in chunk.split_inclusive('\n') {
            let ends = part.ends_with('\n');
            self.came += part.len() as u64;
            if !self.is_cut {
                // One byte more than is looked at says that there was more.
                let room = (clean::MAX_RAW + 1).saturating_sub(self.half.len());
                let text = part.strip_suffix('\n').unwrap_or(part).as_bytes();
                self.half.extend_from_slice(&text[..text.len().min(room)]);
                if ends || self.half.len() > clean::MAX_RAW {
                    lines.push(self.line());
                    self.is_cut = !ends;
                }
            } else if ends {
                self.is_cut = false;
            }
            if ends || self.is_cut {
                self.begins = self.came;
            }
            if lines.len() >= MAX_BATCH_LINES || self.came - self.made >= PIECE {
                pieces.extend(self.piece(&mut lines));
            }
        }
        pieces.extend(self.piece(&mut lines));
        pieces
    }

    /// Nothing more will come: half a line is one.
    pub(super) fn end(&mut self) -> Option<Piece> {
        let mut lines = Vec::new();
        if !self.half.is_empty() {
            lines.push(self.line());
        }
        self.is_cut = false;
        self.begins = self.came;
        self.piece(&mut lines)
    }

    fn line(&mut self) -> ShippedLine {
        let (text, cut) = clean::line(&self.half, &mut self.masker);
        self.half.clear();
        ShippedLine {
            offset: self.begins,
            text,
            cut,
        }
    }

    /// None without a line: what was passed over is covered by the next one.
    fn piece(&mut self, lines: &mut Vec<ShippedLine>) -> Option<Piece> {
        if lines.is_empty() {
            return None;
        }
        let from = self.made;
        self.made = match self.half.is_empty() {
            true => self.came,
            false => self.begins,
        };
        Some(Piece {
            from,
            to: self.made,
            lines: std::mem::take(lines),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(pieces: &[Piece]) -> Vec<&str> {
        let lines = pieces.iter().flat_map(|piece| &piece.lines);
        lines.map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn half_lines_are_put_together_over_chunks() {
        let mut joined = Joined::default();
        assert!(joined.take("compi").is_empty());
        let pieces = joined.take("led\nready\r\nlisten");
        assert_eq!(texts(&pieces), ["compiled", "ready"]);
        assert_eq!((pieces[0].from, pieces[0].to), (0, 16));
        assert_eq!(pieces[0].lines[1].offset, 9);
        let last = joined.end().unwrap();
        assert_eq!(
            (last.lines[0].text.as_str(), last.from, last.to),
            ("listen", 16, 22)
        );
        assert_eq!(joined.end(), None);
    }

    #[test]
    fn a_secret_over_two_chunks_is_masked_and_colours_are_gone() {
        let mut joined = Joined::default();
        joined.take("\u{1b}[3");
        joined.take("2mDB_PASS");
        let pieces = joined.take("WORD=hunter2\u{1b}[0m ok\n");
        assert_eq!(texts(&pieces), ["DB_PASSWORD=[masked] ok"]);
        // A private key spans lines, and they chunks.
        joined.take("-----BEGIN RSA PRIVATE KEY-----\nMIIE");
        let pieces = joined.take("abc\n-----END RSA PRIVATE KEY----- done\n");
        let all = texts(&pieces).join("\n");
        assert!(!all.contains("MIIE") && all.ends_with("done"), "{all}");
    }

    #[test]
    fn a_line_without_an_end_is_cut_and_its_rest_is_passed_over() {
        let mut joined = Joined::default();
        let mut pieces = Vec::new();
        for _ in 0..100 {
            pieces.extend(joined.take(&"x".repeat(1_000)));
        }
        pieces.extend(joined.take("\nnext\n"));
        let lines: Vec<_> = pieces.iter().flat_map(|piece| &piece.lines).collect();
        assert_eq!((lines.len(), lines[0].cut), (2, true));
        assert_eq!((lines[1].text.as_str(), lines[1].cut), ("next", false));
        assert_eq!(lines[1].offset, 100_001);
    }

    proptest! {
        #[test]
        fn chunks_of_any_size_make_the_same_lines_and_cover_every_byte(
            text in "([a-z\u{1b}\r ö]{0,12}\n?){0,40}",
            cuts in proptest::collection::vec(0_usize..400, 0..12),
        ) {
            let mut whole = Joined::default();
            let mut expected = whole.take(&text);
            expected.extend(whole.end());
            let mut cuts: Vec<usize> = cuts.into_iter().map(|at| text.floor_char_boundary(at.min(text.len()))).collect();
            cuts.push(text.len());
            cuts.sort_unstable();
            let (mut joined, mut at, mut pieces) = (Joined::default(), 0, Vec::new());
            for cut in cuts {
                pieces.extend(joined.take(&text[at..cut]));
                at = cut;
            }
            pieces.extend(joined.end());
            prop_assert_eq!(texts(&pieces), texts(&expected));
            let mut covered = 0;
            for piece in &pieces {
                prop_assert_eq!(piece.from, covered);
                prop_assert!(piece.lines.iter().all(|line| line.offset >= piece.from && line.offset < piece.to));
                covered = piece.to;
            }
            prop_assert_eq!(covered, if text.is_empty() { 0 } else { text.len() as u64 });
        }
    }
}
