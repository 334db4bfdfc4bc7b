//! How much of a producer's words a build shows. The events keep everything.

pub(super) use protocol::text::MAX_NAME;

/// Phases of one build: four times what any producer lists.
pub(super) const MAX_PHASES: usize = 64;
/// Phases that were only told as completed: those that are seen running always find a place.
pub(super) const MAX_TOLD: usize = 48;
/// Characters of a sentence (detail, error, reason).
pub(super) const MAX_SENTENCE: usize = 4096;
/// Bytes of `fields`: as large as the largest file. Beyond it the newest write alone is kept.
pub(super) const MAX_FIELDS_BYTES: usize = 1024 * 1024;
/// Agents whose position in their own sequence is remembered per track: a host has one at a time.
pub(super) const MAX_AGENTS: usize = 8;
/// Files of a project that are remembered per track: a producer has a handful.
pub(super) const MAX_FILES: usize = 64;
/// Points of a todo list: five times what real lists have.
pub(super) const MAX_TODOS: usize = 100;
/// Calls of tools that are shown: as many as an agent tells.
pub(super) const MAX_CALLS: usize = 40;
/// Visits remembered per phase: the 95th percentile of 20 to 100 is steady enough.
pub(super) const MAX_VISITS: usize = 100;
/// Phases whose visits are remembered.
pub(super) const MAX_VISITED_PHASES: usize = 64;
/// Sessions and transcripts beside a project whose order is remembered per track: as many as a long build has, some 50 bytes each.
pub(super) const MAX_BESIDE: usize = 64;
