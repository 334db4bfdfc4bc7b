//! Files that grow: read on from where the last reading ended, told by a
//! digest. A digest that says something new goes out at once; one whose
//! figures merely moved, once a second.

use std::path::Path;
use std::time::{Duration, Instant};

use protocol::{ContentHash, Event, EventKind, ProjectToken};
use serde_json::value::RawValue;

use super::event::{text, timestamp};
use super::observe::Look;
use super::{Pipeline, Tracked, now_utc};
use crate::beneath::{Beneath, Meta, ReadError};
use crate::change::{self, Content, Known, Verdict};
use crate::outbox::OutboxError;
use crate::producer::{Format, Role};
use crate::stream_json::{Kind, Options, Stream, Turn};

/// Figures that merely moved (tokens, calls) are told this often.
const FIGURES_EVERY: Duration = Duration::from_secs(1);
/// How far a file was read is kept at least this often while it grows: what
/// `kill -9` makes the next start read again is no more than that.
const SAVED_EVERY: Duration = Duration::from_millis(500);

/// Transcripts last written to before this are not read at the first look, milliseconds.
const OLD_TRANSCRIPT_MS: i64 = 24 * 3_600 * 1_000;

/// A growing file.
#[derive(Debug)]
pub(super) struct Growing {
    stream: Stream,
    /// Headline of the last digest that was told, and when.
    told: Option<(ContentHash, Instant)>,
    saved_at: Option<Instant>,
}

impl Pipeline {
    /// Reads on. What was kept of the file is taken from the outbox first.
    pub(super) fn read_on(
        &self,
        kind: Kind,
        beneath: &Beneath,
        relative: &Path,
        path: &Path,
        one_workflow: bool,
        tracked: &mut Tracked,
    ) -> Result<Result<Turn, ReadError>, OutboxError> {
        if tracked.growing.is_none() {
            let saved = self.outbox.grown(path)?;
            let restored = saved.and_then(|saved| Stream::restore(kind, &saved));
            let options = Options {
                texts: self.setup.tool_texts,
                transcript: kind == Kind::Transcript,
                one_workflow,
            };
            let stream = restored.unwrap_or_else(|| Stream::new(kind));
            tracked.growing = Some(Box::new(Growing {
                stream: stream.with(options),
                told: None,
                saved_at: None,
            }));
        }
        tracked.grows = true;
        let growing = tracked.growing.as_mut();
        Ok(growing.map_or(Err(ReadError::Missing), |growing| {
            growing.stream.follow(beneath, relative)
        }))
    }

    /// Tells what a growing file adds up to now.
    pub(super) fn grown(
        &self,
        look: &Look,
        tracked: &mut Tracked,
        turn: Turn,
    ) -> Result<(), OutboxError> {
        let Some(mut growing) = tracked.growing.take() else {
            return Ok(());
        };
        let done = self.tell_growth(look, tracked, &mut growing, turn);
        if turn.more {
            tracked.schedule.again_at(look.now);
        } else if growing.stream.is_dirty() {
            tracked.schedule.again_at(look.now + SAVED_EVERY);
        }
        // What is kept of a file at rest needs no memory.
        let at_rest = done.is_ok() && !turn.more && !growing.stream.is_dirty();
        if !at_rest || growing.stream.is_running() {
            tracked.growing = Some(growing);
        }
        done
    }

    fn tell_growth(
        &self,
        look: &Look,
        tracked: &mut Tracked,
        growing: &mut Growing,
        turn: Turn,
    ) -> Result<(), OutboxError> {
        tracked.schedule.settled();
        if !growing.stream.has_lines() {
            tracked.deleted = false;
            return self.save(look.path, growing);
        }
        let document = growing.stream.document();
        let seen = Content {
            raw: document.hash,
            hash: document.hash,
            mtime_ns: turn.meta.mtime_ns,
        };
        let known = tracked.known.as_ref();
        let verdict = change::content(known, &seen, Role::Part, None, tracked.deleted);
        let Verdict::Report { recreated } = verdict else {
            tracked.arrived();
            if growing.stream.was_told() {
                tracked.schedule.again_at(look.now);
            }
            return self.grew_without_news(look, tracked, growing, &seen);
        };
        let headline = growing.stream.headline();
        if let Some((told, at)) = growing.told
            && told == headline
            && look.now < at + FIGURES_EVERY
        {
            tracked.schedule.again_at(at + FIGURES_EVERY);
            return self.save(look.path, growing);
        }
        let changed_at = timestamp(turn.meta.mtime_ns);
        let mut event = Event {
            found: self.is_found(tracked, changed_at),
            recreated,
            hash: Some(document.hash),
            size: turn.meta.size,
            document: RawValue::from_string(document.text).ok(),
            ..self.event(look, EventKind::Content, changed_at)
        };
        if look.spec.source.format == Format::Lines(Kind::Transcript)
            && let Some(cwd) = growing.stream.cwd()
        {
            // It lies beside other projects' transcripts; what it is about is where its session works.
            event.near = Some(ProjectToken::of(cwd));
            event.project = text(cwd.file_name().map_or(cwd, Path::new));
            event.path = text(cwd.strip_prefix(look.root_path).unwrap_or(cwd));
        }
        if let Some(workflow) = growing.stream.workflow() {
            // One file for all of a project's workflows.
            event.project_token = ProjectToken::of_id(&event.producer, workflow);
        }
        let mut known = Known {
            raw: Some(seen.raw),
            hash: Some(seen.hash),
            unreadable: None,
            mtime_ns: turn.meta.mtime_ns,
            inode: turn.meta.inode,
            size: turn.meta.size,
            present: true,
            event: 0,
        };
        known.event = self.next_event();
        let is_due = self.record_growth(look, event, &known, growing)?;
        growing.told = Some((headline, look.now));
        if is_due {
            tracked.schedule.again_at(look.now);
        }
        tracked.known = Some(known);
        tracked.arrived();
        Ok(())
    }

    /// Writes the event, and with it how far the file was read and what of it was told, so
    /// that a kill leaves both or none. True: there is more to be told.
    fn record_growth(
        &self,
        look: &Look,
        event: Event,
        known: &Known,
        growing: &mut Growing,
    ) -> Result<bool, OutboxError> {
        let is_due = growing.stream.was_told();
        let saved = growing.stream.saved();
        let recorded = self.outbox.record(event, look.path, known, Some(saved));
        if recorded.is_err() {
            growing.stream.was_not_told();
        }
        recorded?;
        growing.was_saved(look.now);
        Ok(is_due)
    }

    /// More lines of no consequence: a sign of life.
    fn grew_without_news(
        &self,
        look: &Look,
        tracked: &mut Tracked,
        growing: &mut Growing,
        seen: &Content,
    ) -> Result<(), OutboxError> {
        if let Some(known) = &mut tracked.known
            && known.mtime_ns < seen.mtime_ns
        {
            known.mtime_ns = seen.mtime_ns;
            let producer = &look.spec.source.producer;
            let time = timestamp(seen.mtime_ns);
            self.board
                .alive(producer, look.spec.token(), time, look.now);
        }
        self.save(look.path, growing)
    }

    /// Keeps how far growing files were read, before the end.
    pub(super) fn save_growing(&mut self) {
        for (path, tracked) in &mut self.files {
            let Some(growing) = &mut tracked.growing else {
                continue;
            };
            let saved = growing.stream.saved();
            if growing.stream.is_dirty()
                && let Err(error) = self.outbox.save_grown(path, saved)
            {
                tracing::warn!(path = %path.display(), %error, "failed to keep how far a file was read; the end of it is read again");
            }
        }
    }

    fn save(&self, path: &Path, growing: &mut Growing) -> Result<(), OutboxError> {
        let now = Instant::now();
        let due = growing.saved_at.is_none_or(|at| now >= at + SAVED_EVERY);
        if growing.stream.is_dirty() && due {
            self.outbox.save_grown(path, growing.stream.saved())?;
            growing.was_saved(now);
        }
        Ok(())
    }
}

impl Growing {
    fn was_saved(&mut self, now: Instant) {
        self.stream.was_saved();
        self.saved_at = Some(now);
    }
}

impl Tracked {
    /// A transcript that was there before the agent first looked, and is not of this day: a home
    /// directory has years of them.
    pub(super) fn is_old(&self, beneath: &Beneath, relative: &Path) -> bool {
        let now = now_utc().as_millis();
        let old = |meta: Meta| now - timestamp(meta.mtime_ns).as_millis() > OLD_TRANSCRIPT_MS;
        self.first_look && self.known.is_none() && beneath.meta(relative).is_some_and(old)
    }
}
