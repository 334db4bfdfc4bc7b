//! Files of JSON lines that grow: followed from a saved offset, added up, and
//! told as a digest. Of Claude Code's stream-JSON (`raw_output.jsonl`)
//! and transcripts, and of its hooks' events (`hooks`), figures are told: texts never leave this module, tool inputs
//! and outputs only where the settings allow it (`texts`). Context
//! Foundry's older loop has a log of its calls and one of its broadcasts (`foundry`).
//!
//! `lines` cuts pieces of the file into lines, `sums` knows the kinds of
//! lines, `line` says what one of stream-JSON tells, `figures` adds up,
//! `digest` is what is published, `follow` reads.

mod attempt;
mod cursor;
mod digest;
mod figures;
mod follow;
mod foundry;
mod hooks;
mod line;
mod lines;
mod seen;
mod sums;
mod texts;

pub(crate) use follow::{Stream, Turn};
pub(crate) use sums::Kind;

use digest::VOLATILE;
pub(crate) use figures::Options;

use lines::{Line, Lines};
use sums::Sums;

/// Adds up the bytes of one file as they come.
#[derive(Debug, Default)]
struct Accumulator {
    sums: Sums,
    lines: Lines,
}

impl Accumulator {
    /// Takes the next bytes; a line may span any number of calls.
    fn feed(&mut self, bytes: &[u8]) {
        let Self { sums, lines } = self;
        lines.feed(bytes, |line| sums.line(line));
    }

    /// The file ends here for now: a last line that is whole but for its line
    /// break counts, half a line waits.
    fn at_end(&mut self) {
        if !self.lines.may_be_whole() {
            return;
        }
        if let Line::Text(text) = self.lines.unfinished()
            && self.sums.reads(text)
        {
            self.sums.line(Line::Text(text));
            self.lines.forget();
        }
    }

    /// The file begins anew; half a line of the old one is lost.
    fn restart(&mut self) {
        self.lines.forget();
        self.sums.restart();
    }
}

#[cfg(test)]
mod tests;
