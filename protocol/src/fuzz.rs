//! Fuzzing on stable Rust, with proptest: seeds of a small corpus are edited
//! at random, and what fails is shrunk to a few edits. cargo-fuzz would see
//! which branches an input takes, but needs a nightly compiler and its own
//! build; a second reader or a model to agree with finds more here than
//! coverage does. `PHASELINE_FUZZ_SECONDS` lengthens it.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

#[cfg(test)]
mod targets;

/// How long each target runs; unset it is one round of [`CASES`].
const SECONDS: &str = "PHASELINE_FUZZ_SECONDS";

/// Cases of one round: some tenths of a second unoptimised.
const CASES: u32 = 1_000;

/// Edits of one seed at most: more leave nothing of it.
const MAX_EDITS: usize = 8;

/// Bytes, which a failure shows as `b"..."`.
#[derive(Clone)]
pub struct Input(pub Vec<u8>);

impl Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

/// A change of a text. Places are taken modulo its length.
#[derive(Debug, Clone)]
enum Edit {
    Cut(usize),
    Flip(usize, u8),
    Insert(usize, Vec<u8>),
    Delete(usize, usize),
    Repeat(usize, usize, usize),
    Splice(usize, Vec<u8>),
}

/// Runs a target until its time is over.
///
/// # Panics
/// When `check` fails, with the smallest input that does.
#[allow(clippy::print_stderr, reason = "progress of a long run")]
pub fn fuzz<S: Strategy>(
    target: &str,
    strategy: &S,
    check: impl Fn(S::Value) -> Result<(), TestCaseError>,
) where
    S::Value: Debug,
{
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    };
    let seconds = std::env::var(SECONDS)
        .ok()
        .and_then(|text| text.parse().ok());
    let until = Instant::now() + Duration::from_secs(seconds.unwrap_or(0));
    let mut runner = TestRunner::new(config.clone());
    let mut cases = 0_u64;
    loop {
        if let Err(failure) = runner.run(strategy, &check) {
            panic!("{target}: {failure}");
        }
        cases += u64::from(CASES);
        if Instant::now() >= until {
            break;
        }
        // The counters of a runner are bounded; its random numbers go on.
        runner = TestRunner::new_with_rng(config.clone(), runner.new_rng());
    }
    eprintln!("fuzz {target}: {cases} cases, none failed");
}

/// Seeds, edited at random. `words` are put in whole: what the format gives a meaning to.
pub fn edited(
    seeds: &'static [&'static [u8]],
    words: &'static [&'static [u8]],
) -> impl Strategy<Value = Input> {
    let seed = proptest::sample::select(seeds);
    let word = proptest::sample::select(words);
    let place = 0..1_usize << 20;
    let edit = prop_oneof![
        1 => place.clone().prop_map(Edit::Cut),
        3 => (place.clone(), any::<u8>()).prop_map(|(at, with)| Edit::Flip(at, with)),
        4 => (place.clone(), word).prop_map(|(at, word)| Edit::Insert(at, word.to_vec())),
        2 => (place.clone(), vec(any::<u8>(), 0..6)).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        2 => (place.clone(), 1..40_usize).prop_map(|(at, count)| Edit::Delete(at, count)),
        1 => (place.clone(), 1..12_usize, 2..80_usize).prop_map(|(at, count, times)| Edit::Repeat(at, count, times)),
        1 => (place, seed.clone()).prop_map(|(at, seed)| Edit::Splice(at, seed.to_vec())),
    ];
    (seed, vec(edit, 0..MAX_EDITS)).prop_map(|(seed, edits)| {
        let mut bytes = seed.to_vec();
        for edit in edits {
            apply(&mut bytes, edit);
        }
        Input(bytes)
    })
}

fn apply(bytes: &mut Vec<u8>, edit: Edit) {
    let place = |at: usize| at % (bytes.len() + 1);
    let range = |at: usize, count: usize| {
        let from = place(at);
        from..(from + count).min(bytes.len())
    };
    match edit {
        Edit::Cut(at) => bytes.truncate(place(at)),
        Edit::Flip(at, with) => {
            let at = place(at);
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= with;
            }
        }
        Edit::Insert(at, more) => {
            let at = place(at);
            bytes.splice(at..at, more);
        }
        Edit::Delete(at, count) => {
            bytes.drain(range(at, count));
        }
        Edit::Repeat(at, count, times) => {
            let range = range(at, count);
            let piece = bytes[range.clone()].repeat(times);
            bytes.splice(range, piece);
        }
        Edit::Splice(at, other) => {
            let at = place(at);
            let end = (at + other.len()).min(bytes.len());
            bytes.splice(at..end, other.into_iter().skip(at));
        }
    }
}
