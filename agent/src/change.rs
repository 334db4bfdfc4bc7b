//! Whether what was read is worth an event: the content hash decides, and only
//! here. Pure: `(what is known, what was seen) -> verdict`. The fold drops equal
//! content once more, for the agent that lost its memory.

use protocol::ContentHash;

use crate::producer::Role;

/// What is remembered of a state file, also over restarts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// SHA-256 of the bytes of the last good content; none when it never had one.
    pub(crate) raw: Option<ContentHash>,
    /// Canonical hash of the last good content, volatile keys left out.
    pub(crate) hash: Option<ContentHash>,
    /// What was reported as unreadable last; none when the last report was a content.
    pub(crate) unreadable: Option<ContentHash>,
    /// Modification time, nanoseconds since the Unix epoch.
    pub(crate) mtime_ns: i64,
    /// Inode number when it was last read.
    pub(crate) inode: u64,
    /// Bytes when it was last read.
    pub(crate) size: u64,
    /// It exists; false after a removal was reported.
    pub(crate) present: bool,
    /// The number of its last event; grows over all files and boots.
    pub(crate) event: i64,
}

/// A content as it was read just now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Content {
    /// SHA-256 of the bytes.
    pub(crate) raw: ContentHash,
    /// Canonical hash, volatile keys left out.
    pub(crate) hash: ContentHash,
    /// Modification time, nanoseconds since the Unix epoch.
    pub(crate) mtime_ns: i64,
}

/// What to do about what was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing happened.
    Same,
    /// Rewritten without a change: remember the time; `alive` when it is newer.
    Rewritten {
        /// The producer showed that it lives.
        alive: bool,
    },
    /// An event.
    Report {
        /// The file had been deleted before this content was written.
        recreated: bool,
    },
}

/// Judges a readable content. `deleted`: a deletion was seen since the last
/// content. `phase_event`: the last event of the project's phase file, for a
/// summary: two runs may end with equal summaries, so an equal one that was
/// written anew after the build went on is the end of another run.
pub(crate) fn content(
    known: Option<&Known>,
    seen: &Content,
    role: Role,
    phase_event: Option<i64>,
    deleted: bool,
) -> Verdict {
    let Some(known) = known else {
        return Verdict::Report { recreated: deleted };
    };
    let recreated = deleted || !known.present;
    let rewritten = known.mtime_ns != seen.mtime_ns;
    let went_on = phase_event.is_some_and(|event| event > known.event);
    let once_a_run = matches!(role, Role::Summary | Role::Mark);
    let is_of_another_run = once_a_run && rewritten && went_on;
    let same = known.raw == Some(seen.raw) || known.hash == Some(seen.hash);
    if !same || !known.present || known.unreadable.is_some() || is_of_another_run {
        return Verdict::Report { recreated };
    }
    if rewritten {
        Verdict::Rewritten {
            alive: seen.mtime_ns > known.mtime_ns,
        }
    } else {
        Verdict::Same
    }
}

/// Whether a file that cannot be read is worth an event: once per distinct
/// content. The fingerprint is the hash of the bytes, or of the reason where
/// there are none.
pub(crate) fn unreadable(known: Option<&Known>, fingerprint: ContentHash) -> bool {
    known.is_none_or(|known| !known.present || known.unreadable != Some(fingerprint))
}

/// Whether a file that is gone is worth an event.
pub(crate) fn removal(known: Option<&Known>) -> bool {
    known.is_some_and(|known| known.present)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(text: &str) -> ContentHash {
        ContentHash::of(text.as_bytes())
    }

    fn known(text: &str, mtime_ns: i64, event: i64) -> Known {
        Known {
            raw: Some(hash(&format!("raw {text}"))),
            hash: Some(hash(text)),
            mtime_ns,
            present: true,
            event,
            ..Known::default()
        }
    }

    fn seen(text: &str, mtime_ns: i64) -> Content {
        Content {
            raw: hash(&format!("raw {text}")),
            hash: hash(text),
            mtime_ns,
        }
    }

    fn phase(known: Option<&Known>, seen: &Content) -> Verdict {
        content(known, seen, Role::Phase, None, false)
    }

    #[test]
    fn only_a_change_is_an_event() {
        let a = known("a", 1, 1);
        assert_eq!(
            phase(None, &seen("a", 1)),
            Verdict::Report { recreated: false }
        );
        assert_eq!(phase(Some(&a), &seen("a", 1)), Verdict::Same);
        assert_eq!(
            phase(Some(&a), &seen("a", 2)),
            Verdict::Rewritten { alive: true }
        );
        assert_eq!(
            phase(Some(&a), &seen("b", 2)),
            Verdict::Report { recreated: false }
        );
    }

    #[test]
    fn an_older_file_time_is_no_sign_of_life() {
        let a = known("a", 5, 1);
        assert_eq!(
            phase(Some(&a), &seen("a", 4)),
            Verdict::Rewritten { alive: false }
        );
    }

    #[test]
    fn other_bytes_with_the_same_meaning_are_no_change() {
        let a = known("a", 1, 1);
        let mut spelled = seen("a", 2);
        spelled.raw = hash("other spelling");
        assert_eq!(
            phase(Some(&a), &spelled),
            Verdict::Rewritten { alive: true }
        );
    }

    #[test]
    fn after_a_removal_the_same_content_is_a_new_beginning() {
        let mut a = known("a", 1, 1);
        a.present = false;
        let verdict = phase(Some(&a), &seen("a", 1));
        assert_eq!(verdict, Verdict::Report { recreated: true });
    }

    #[test]
    fn a_delete_and_create_of_the_same_bytes_is_a_way_to_save() {
        let a = known("a", 1, 1);
        let deleted = |text| content(Some(&a), &seen(text, 2), Role::Phase, None, true);
        assert_eq!(deleted("a"), Verdict::Rewritten { alive: true });
        assert_eq!(deleted("b"), Verdict::Report { recreated: true });
    }

    #[test]
    fn a_good_content_clears_an_unreadable_one() {
        let mut a = known("a", 1, 1);
        a.unreadable = Some(hash("half"));
        let verdict = phase(Some(&a), &seen("a", 2));
        assert_eq!(verdict, Verdict::Report { recreated: false });
    }

    #[test]
    fn an_equal_summary_is_of_another_run_if_the_build_went_on() {
        let summary = known("ok", 1, 10);
        let judge = |mtime, phase_event| {
            let seen = seen("ok", mtime);
            content(Some(&summary), &seen, Role::Summary, phase_event, false)
        };
        let report = Verdict::Report { recreated: false };
        assert_eq!(judge(2, Some(11)), report);
        assert_eq!(judge(1, Some(11)), Verdict::Same);
        assert_eq!(judge(2, Some(9)), Verdict::Rewritten { alive: true });
        assert_eq!(judge(2, None), Verdict::Rewritten { alive: true });
    }

    #[test]
    fn the_same_broken_bytes_are_reported_once() {
        let mut a = known("a", 1, 1);
        assert!(unreadable(None, hash("half")));
        assert!(unreadable(Some(&a), hash("half")));
        a.unreadable = Some(hash("half"));
        assert!(!unreadable(Some(&a), hash("half")));
        assert!(unreadable(Some(&a), hash("other half")));
    }

    #[test]
    fn a_removal_is_reported_once() {
        let mut a = known("a", 1, 1);
        assert!(removal(Some(&a)));
        a.present = false;
        assert!(!removal(Some(&a)));
        assert!(!removal(None));
    }
}
