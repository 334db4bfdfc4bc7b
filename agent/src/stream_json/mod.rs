//! Claude Code's stream-JSON files (`raw_output.jsonl`): followed from a saved
//! offset, added up, and told as a digest of figures. Texts never leave this
//! module; tool inputs and outputs only where the settings allow it (`texts`).
//!
//! `lines` cuts pieces of the file into lines, `line` says what one line
//! tells, `figures` adds up, `digest` is what is published, `follow` reads.

mod attempt;
mod cursor;
mod digest;
mod figures;
mod follow;
mod line;
mod lines;
mod seen;
mod texts;

pub(crate) use follow::{Stream, Turn};

use digest::VOLATILE;
pub(crate) use figures::Options;

use figures::Figures;
use lines::{Line, Lines};

/// Adds up the bytes of one file as they come.
#[derive(Debug, Default)]
struct Accumulator {
    figures: Figures,
    lines: Lines,
}

impl Accumulator {
    /// Takes the next bytes; a line may span any number of calls.
    fn feed(&mut self, bytes: &[u8]) {
        let Self { figures, lines } = self;
        lines.feed(bytes, |line| figures.line(line));
    }

    /// The file ends here for now: a last line that is whole but for its line
    /// break counts, half a line waits.
    fn at_end(&mut self) {
        if !self.lines.may_be_whole() {
            return;
        }
        if let Line::Text(text) = self.lines.unfinished()
            && line::read(text, false).is_ok()
        {
            self.figures.line(Line::Text(text));
            self.lines.forget();
        }
    }

    /// The file begins anew; half a line of the old one is lost.
    fn restart(&mut self) {
        self.lines.forget();
        self.figures.restart();
    }
}

#[cfg(test)]
mod tests;
