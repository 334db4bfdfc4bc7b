//! From the file system's events to hints: what is worth looking at. Events
//! are hints only, the directory is the truth. Most events (other programs'
//! files, and the opening of files, which our own reads cause too) end here,
//! on the watcher's thread, without waking anybody.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RemoveKind, RenameMode};
use notify::{Event, EventKind};

use crate::producer::Producers;
use crate::roots::Roots;
use crate::schedule::Cause;

/// Something to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hint {
    /// Something happened to a state file.
    File(PathBuf, Cause),
    /// Something appeared that may be a directory.
    Appeared(PathBuf),
    /// Something that may be a directory vanished: `Deleted` or `MovedAway`.
    Vanished(PathBuf, Cause),
    /// The rights of something changed that may be a directory.
    Attributes(PathBuf),
}

/// What the filter needs to know.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    /// The watched roots.
    pub(crate) roots: Roots,
    /// Whose files are looked at.
    pub(crate) producers: Producers,
    /// Directories could not be read: changes of rights matter.
    pub(crate) wants_attributes: Arc<AtomicBool>,
}

impl Filter {
    /// The hint in an event; none when it does not matter.
    pub(crate) fn hint(&self, event: Event) -> Option<Hint> {
        let kind = event.kind;
        let path = event.paths.into_iter().next()?;
        if self.producers.knows(&path) {
            return cause(kind).map(|cause| Hint::File(path, cause));
        }
        match kind {
            EventKind::Create(CreateKind::Folder) => Some(Hint::Appeared(path)),
            // Anything may be renamed; a file's creation or removal matters only as a link on the way to a root.
            EventKind::Modify(ModifyKind::Name(RenameMode::To)) => Some(Hint::Appeared(path)),
            EventKind::Create(_) => self.if_link(path).map(Hint::Appeared),
            EventKind::Modify(ModifyKind::Name(RenameMode::From)) => {
                Some(Hint::Vanished(path, Cause::MovedAway))
            }
            EventKind::Remove(RemoveKind::File) => {
                let path = self.if_link(path)?;
                Some(Hint::Vanished(path, Cause::Deleted))
            }
            EventKind::Remove(_) => Some(Hint::Vanished(path, Cause::Deleted)),
            EventKind::Modify(ModifyKind::Metadata(_)) => self
                .wants_attributes
                .load(Ordering::Relaxed)
                .then_some(Hint::Attributes(path)),
            _ => None,
        }
    }

    /// A file that matters where it is a symbolic link: on the way to a root, or in a producer's directory's place.
    fn if_link(&self, path: PathBuf) -> Option<PathBuf> {
        let in_place = self.producers.owns(&path);
        (in_place || self.roots.concerns(&path)).then_some(path)
    }
}

/// What an event means for a state file.
fn cause(kind: EventKind) -> Option<Cause> {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write))
        | EventKind::Modify(ModifyKind::Name(RenameMode::To)) => Some(Cause::Settled),
        // A hard link in place gives only its creation, a change of rights only that.
        EventKind::Create(_) | EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Metadata(_)) => {
            Some(Cause::Touched)
        }
        EventKind::Modify(ModifyKind::Name(RenameMode::From)) => Some(Cause::MovedAway),
        EventKind::Remove(_) => Some(Cause::Deleted),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify::event::{DataChange, MetadataKind};

    fn hint(kind: EventKind, path: &str) -> Option<Hint> {
        let filter = Filter {
            roots: Roots::new(&[PathBuf::from("/r/x")], None),
            producers: Producers::built_in(),
            wants_attributes: Arc::new(AtomicBool::new(false)),
        };
        filter.hint(Event::new(kind).add_path(path.into()))
    }

    const STATE: &str = "/r/x/p/.context-foundry/current-phase.json";
    const CLOSED: EventKind = EventKind::Access(AccessKind::Close(AccessMode::Write));
    const OPENED: EventKind = EventKind::Access(AccessKind::Open(AccessMode::Any));
    const MOVED_TO: EventKind = EventKind::Modify(ModifyKind::Name(RenameMode::To));
    const WRITTEN: EventKind = EventKind::Modify(ModifyKind::Data(DataChange::Any));
    const RIGHTS: EventKind = EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any));

    #[test]
    fn a_state_file_is_read_when_it_is_whole() {
        let file = |kind| hint(kind, STATE);
        let with = |cause| Some(Hint::File(STATE.into(), cause));
        assert_eq!(file(CLOSED), with(Cause::Settled));
        assert_eq!(file(MOVED_TO), with(Cause::Settled));
        assert_eq!(file(WRITTEN), with(Cause::Touched));
        assert_eq!(
            file(EventKind::Remove(RemoveKind::File)),
            with(Cause::Deleted)
        );
    }

    #[test]
    fn our_own_reads_lead_to_nothing() {
        assert_eq!(hint(OPENED, STATE), None);
        assert_eq!(hint(OPENED, "/r/x/p"), None);
    }

    #[test]
    fn other_programs_files_lead_to_nothing() {
        for kind in [
            CLOSED,
            WRITTEN,
            RIGHTS,
            EventKind::Create(CreateKind::File),
            EventKind::Remove(RemoveKind::File),
        ] {
            assert_eq!(hint(kind, "/r/x/p/src/main.rs"), None);
        }
    }

    #[test]
    fn what_may_be_a_directory_is_looked_at() {
        let path = PathBuf::from("/r/x/new");
        let folder = EventKind::Create(CreateKind::Folder);
        assert_eq!(hint(folder, "/r/x/new"), Some(Hint::Appeared(path.clone())));
        assert_eq!(hint(MOVED_TO, "/r/x/new"), Some(Hint::Appeared(path)));
    }

    #[test]
    fn a_link_on_the_way_to_a_root_is_looked_at() {
        let link = EventKind::Create(CreateKind::File);
        assert_eq!(hint(link, "/r"), Some(Hint::Appeared("/r".into())));
        assert_eq!(hint(link, "/r/x"), Some(Hint::Appeared("/r/x".into())));
        assert_eq!(hint(link, "/other"), None);
    }
}
