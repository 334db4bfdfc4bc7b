//! Reading one state file and saying what was seen: nothing new, a sign of
//! life, or an event, which goes into the outbox with what is now known.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use protocol::{Event, EventKind, Timestamp, Unreadable, UnreadableReason};
use serde_json::value::RawValue;

use super::event::timestamp;
use super::problem::Problem;
use super::{Gap, Job, Pipeline, Tracked, now_utc};
use crate::beneath::{Beneath, Meta, ReadError, Reading};
use crate::change::{self, Content, Known, Verdict};
use crate::outbox::OutboxError;
use crate::producer::{Format, Role, Spec};
use crate::schedule::Patience;
use crate::stream_json::{Kind, Turn};

/// After the outbox could not be written (a full disk), it is tried again in this time, by one file.
const OUTBOX_RETRY: Duration = Duration::from_secs(1);

/// File times lag the clock by up to a tick of the kernel, 10 ms at the slowest, milliseconds.
const FILE_CLOCK_LAG_MS: i64 = 20;

/// One look at one file.
pub(super) struct Look<'a> {
    pub(super) path: &'a Path,
    pub(super) spec: Spec,
    /// The root's label and path, and the file's project relative to it.
    pub(super) root_label: &'a str,
    pub(super) root_path: &'a Path,
    pub(super) project: PathBuf,
    /// The working tree that the file is in, relative to the root.
    pub(super) tree: PathBuf,
    pub(super) beneath: Option<&'a Beneath>,
    pub(super) now: Instant,
}

/// What a file gave.
enum Given {
    /// All of its content; none while it says nothing yet.
    Whole(Option<Reading>),
    /// Its next lines, which are added up already.
    More(Turn),
}

impl Pipeline {
    /// Reads a state file now.
    pub(super) fn read(&mut self, path: &Arc<Path>) {
        let Some(mut tracked) = self.files.remove(path) else {
            return;
        };
        let now = Instant::now();
        tracked.schedule.reading(now);
        match self.look(path, &mut tracked, now) {
            Ok(()) => {}
            // Everything is read again soon.
            Err(OutboxError::Anew) => {}
            // It has said so itself.
            Err(OutboxError::Failed(..)) => {
                self.refused.insert(Arc::clone(path));
                self.agenda.set(&Job::Refused, Some(now + OUTBOX_RETRY));
            }
        }
        if tracked.denied {
            self.await_rights(path);
        }
        let due = tracked.schedule.due();
        if due.is_some() || tracked.known.is_some() || self.refused.contains(path) {
            self.files.insert(Arc::clone(path), tracked);
        }
        self.agenda.set(&Job::Read(Arc::clone(path)), due);
    }

    /// The rights of each directory on the way may be what a file lacks.
    fn await_rights(&mut self, path: &Path) {
        let roots = &self.setup.roots;
        if let Some(root) = roots.owner(path).map(|root| &roots.get(root).path) {
            let above = path.ancestors().skip(1);
            let above = above.take_while(|dir| dir.starts_with(root));
            self.denied.extend(above.map(Path::to_owned));
            self.wants_attributes.store(true, Ordering::Relaxed);
        }
    }

    fn look(&self, path: &Path, tracked: &mut Tracked, now: Instant) -> Result<(), OutboxError> {
        let roots = &self.setup.roots;
        let Some(root) = roots.owner(path).map(|index| roots.get(index)) else {
            return Ok(());
        };
        let Some(spec) = self.setup.producers.spec(&root.path, path) else {
            return Ok(());
        };
        let relative = path.strip_prefix(&root.path).unwrap_or(path);
        let beneath = Beneath::open(&root.path);
        tracked.appended = spec.source.is_appended();
        let read = match &beneath {
            Ok(beneath)
                if spec.source.format == Format::Lines(Kind::Transcript)
                    && tracked.is_old(beneath, relative) =>
            {
                tracked.schedule.settled();
                return Ok(());
            }
            Ok(beneath) => match spec.source.format {
                Format::Lines(kind) => self
                    .read_on(kind, beneath, relative, path, spec.has_id(), tracked)?
                    .map(Given::More),
                Format::Held => tracked
                    .read_held(&spec.source, beneath, relative, now)
                    .map(Given::Whole),
                _ => spec.source.read(beneath, relative).map(Given::Whole),
            },
            Err(error) => Err(root_error(error)),
        };
        // The root may be inside of the project.
        let beneath_root = |dir: &Path| {
            dir.strip_prefix(&root.path)
                .unwrap_or(Path::new(""))
                .to_owned()
        };
        let look = Look {
            path,
            root_label: &root.label,
            root_path: &root.path,
            project: beneath_root(&spec.project),
            tree: beneath_root(&spec.tree()),
            spec,
            beneath: beneath.as_ref().ok(),
            now,
        };
        match read {
            Ok(Given::Whole(Some(reading))) => self.readable(&look, tracked, &reading),
            Ok(Given::More(turn)) => self.grown(&look, tracked, turn),
            Ok(Given::Whole(None)) => {
                tracked.schedule.settled();
                tracked.vanished_at = None;
                Ok(())
            }
            // The whole root is away, perhaps unmounted: its presence says so, and no file was deleted.
            Err(ReadError::Missing) if beneath.is_err() && !tracked.deleted => {
                tracked.schedule.settled();
                Ok(())
            }
            Err(ReadError::Missing) => self.missing(&look, tracked),
            Err(error) => {
                let meta = look.beneath.and_then(|beneath| beneath.meta(relative));
                let problem = Problem::of(error, meta.unwrap_or_default());
                self.unreadable(&look, tracked, problem)
            }
        }
    }

    fn readable(
        &self,
        look: &Look,
        tracked: &mut Tracked,
        reading: &Reading,
    ) -> Result<(), OutboxError> {
        let source = &look.spec.source;
        let raw = source.raw(&reading.bytes);
        let known = tracked.known.as_ref();
        let unchanged = known.filter(|known| known.raw == Some(raw));
        let parse = || source.document(&reading.bytes);
        let (hash, document) = match unchanged.and_then(|known| known.hash) {
            // The same bytes have the same meaning; parsing is put off until it is needed.
            Some(hash) => (hash, None),
            None => match parse() {
                Ok(document) => (document.hash, Some(document)),
                Err(error) => {
                    let problem = Problem::of_json(&error, raw, reading.meta);
                    return self.unreadable(look, tracked, problem);
                }
            },
        };
        let seen = Content {
            raw,
            hash,
            mtime_ns: reading.meta.mtime_ns,
        };
        let phase_event = self.phase_event(look);
        let verdict = change::content(
            known,
            &seen,
            look.spec.source.role,
            phase_event,
            tracked.deleted,
        );
        tracked.schedule.settled();
        let recreated = match verdict {
            Verdict::Same => {
                if tracked.gap == Gap::Perhaps {
                    // Not even its time moved: nothing of it was missed.
                    tracked.gap = Gap::No;
                }
                tracked.arrived();
                return Ok(());
            }
            Verdict::Rewritten { alive } => return self.rewritten(look, tracked, &seen, alive),
            Verdict::Report { recreated } => recreated,
        };
        let document = match document {
            Some(document) => document,
            None => match parse() {
                Ok(document) => document,
                Err(_) => return Ok(()),
            },
        };
        let changed_at = timestamp(reading.meta.mtime_ns);
        let event = Event {
            found: self.is_found(tracked, changed_at),
            recreated,
            hash: Some(hash),
            size: reading.meta.size,
            document: RawValue::from_string(document.text).ok(),
            ..self.event(look, EventKind::Content, changed_at)
        };
        let known = good(&seen, reading.meta);
        self.record(look, tracked, event, known)?;
        tracked.arrived();
        Ok(())
    }

    fn rewritten(
        &self,
        look: &Look,
        tracked: &mut Tracked,
        seen: &Content,
        alive: bool,
    ) -> Result<(), OutboxError> {
        tracked.arrived();
        if let Some(known) = &mut tracked.known {
            known.mtime_ns = seen.mtime_ns;
            known.raw = Some(seen.raw);
            self.outbox.remember(look.path, known)?;
        }
        if alive {
            let producer = &look.spec.source.producer;
            let time = timestamp(seen.mtime_ns);
            self.board
                .alive(producer, look.spec.token(), time, look.now);
        }
        Ok(())
    }

    fn missing(&self, look: &Look, tracked: &mut Tracked) -> Result<(), OutboxError> {
        let vanished_at = *tracked.vanished_at.get_or_insert_with(now_utc);
        if !tracked.schedule.missing(look.now) || !change::removal(tracked.known.as_ref()) {
            return Ok(());
        }
        let event = self.event(look, EventKind::Removed, vanished_at);
        let known = Known {
            present: false,
            unreadable: None,
            ..tracked.known.clone().unwrap_or_default()
        };
        self.record(look, tracked, event, known)?;
        tracked.first_look = false;
        Ok(())
    }

    fn unreadable(
        &self,
        look: &Look,
        tracked: &mut Tracked,
        problem: Problem,
    ) -> Result<(), OutboxError> {
        tracked.denied = problem.reason == UnreadableReason::Denied;
        if !change::unreadable(tracked.known.as_ref(), problem.fingerprint) {
            tracked.schedule.settled();
            return Ok(());
        }
        if problem.may_pass
            && tracked.schedule.failed(look.now, problem.meta.mtime_ns) == Patience::Wait
        {
            return Ok(());
        }
        tracked.schedule.settled();
        let known = tracked.known.clone().unwrap_or_default();
        let changed_at = match problem.meta.mtime_ns {
            0 => now_utc(),
            time => timestamp(time),
        };
        let event = Event {
            found: self.is_found(tracked, changed_at),
            recreated: tracked.deleted || (tracked.known.is_some() && !known.present),
            size: problem.meta.size,
            unreadable: Some(Unreadable {
                reason: problem.reason,
                message: problem.message,
            }),
            ..self.event(look, EventKind::Unreadable, changed_at)
        };
        let known = Known {
            unreadable: Some(problem.fingerprint),
            present: true,
            ..known
        };
        self.record(look, tracked, event, known)?;
        tracked.first_look = false;
        tracked.vanished_at = None;
        Ok(())
    }

    /// Whether it was there before this state directory's agent first looked.
    pub(super) fn is_found(&self, tracked: &Tracked, changed_at: Timestamp) -> bool {
        let before = changed_at.plus_millis(FILE_CLOCK_LAG_MS) < self.started_at;
        tracked.first_look && tracked.known.is_none() && before
    }

    fn record(
        &self,
        look: &Look,
        tracked: &mut Tracked,
        mut event: Event,
        mut known: Known,
    ) -> Result<(), OutboxError> {
        event.gap = tracked.gap != Gap::No;
        known.event = self.next_event();
        self.outbox.record(event, look.path, &known, None)?;
        tracked.gap = Gap::No;
        tracked.recorded_at = Some(look.now);
        tracked.known = Some(known);
        Ok(())
    }

    /// The last event of the phase file beside what is written once in a run.
    fn phase_event(&self, look: &Look) -> Option<i64> {
        if !matches!(look.spec.source.role, Role::Summary | Role::Mark) {
            return None;
        }
        let files = self.setup.producers.of_role(&look.spec, Role::Phase);
        files
            .iter()
            .filter_map(|file| self.files.get(&**file))
            .filter_map(|tracked| tracked.known.as_ref().map(|known| known.event))
            .max()
    }
}

impl Tracked {
    /// A content was seen: what went before does not matter any more.
    pub(super) fn arrived(&mut self) {
        self.deleted = false;
        self.denied = false;
        self.vanished_at = None;
        self.first_look = false;
    }
}

/// What is known of a file after a good content.
fn good(seen: &Content, meta: Meta) -> Known {
    Known {
        raw: Some(seen.raw),
        hash: Some(seen.hash),
        unreadable: None,
        mtime_ns: meta.mtime_ns,
        inode: meta.inode,
        size: meta.size,
        present: true,
        event: 0,
    }
}

fn root_error(error: &io::Error) -> ReadError {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ReadError::Missing,
        kind => ReadError::Refused(kind.into()),
    }
}
