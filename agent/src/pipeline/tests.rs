//! From the file system to the outbox, on real directories and without NATS.

mod contents;
mod custom;
mod damage;
mod finding;
mod foundry;
mod growing;
mod left_out;
mod roots;
mod workflows;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::Arc;

use protocol::{AgentId, Event, EventKind, RootState, RootStatus, UnreadableReason};

use super::*;
use crate::mailbox::mailbox;

const PHASE: &str = ".context-foundry/current-phase.json";
const SUMMARY: &str = ".context-foundry/session-summary.json";

/// An agent's inner half: everything up to the outbox.
struct Half {
    outbox: Arc<Outbox>,
    board: Arc<Board>,
    mailbox: Mailbox,
    watching: Option<Watching>,
}

impl Half {
    fn start(state: &Path, roots: &[&Path]) -> Self {
        Self::start_with(state, roots, Prune::default(), 32)
    }

    fn start_with(state: &Path, roots: &[&Path], prune: Prune, max_depth: usize) -> Self {
        Self::start_all(state, roots, Producers::built_in(), prune, max_depth)
    }

    fn start_for(state: &Path, roots: &[&Path], producers: Producers) -> Self {
        Self::start_all(state, roots, producers, Prune::default(), 32)
    }

    fn start_all(
        state: &Path,
        roots: &[&Path],
        producers: Producers,
        prune: Prune,
        max_depth: usize,
    ) -> Self {
        Self::start_setup(state, roots, producers, prune, max_depth, Vec::new())
    }

    fn start_setup(
        state: &Path,
        roots: &[&Path],
        producers: Producers,
        prune: Prune,
        max_depth: usize,
        without: Vec<Walk>,
    ) -> Self {
        let (mailbox, inbox) = mailbox();
        let board = Arc::new(Board::default());
        let max = 64 * 1024 * 1024;
        let outbox = Outbox::open(
            state,
            AgentId(1),
            false,
            max,
            mailbox.clone(),
            Arc::clone(&board),
        );
        let outbox = Arc::new(outbox.unwrap());
        let paths: Vec<PathBuf> = roots.iter().map(PathBuf::from).collect();
        let setup = Setup {
            host: "h".into(),
            roots: Roots::new(&paths, None),
            producers,
            prune,
            max_depth,
            state_dir: state.to_owned(),
            tool_texts: false,
            logs: Logs::off(),
            without,
        };
        let (to_outbox, to_board) = (Arc::clone(&outbox), Arc::clone(&board));
        let mut watching = start(setup, mailbox.clone(), inbox, to_outbox, to_board).unwrap();
        eventually("looked", || watching.looked.try_recv().is_ok());
        Self {
            outbox,
            board,
            mailbox,
            watching: Some(watching),
        }
    }

    fn events(&self) -> Vec<Event> {
        self.outbox.write().unwrap();
        let rows = self.outbox.load(0, usize::MAX, usize::MAX).unwrap();
        let decoded = rows.iter().map(|row| Event::decode(&row.payload).unwrap());
        decoded.collect()
    }

    fn expect(&self, count: usize) -> Vec<Event> {
        eventually(&format!("{count} events"), || self.events().len() >= count);
        let events = self.events();
        assert_eq!(events.len(), count, "{events:#?}");
        events
    }

    fn root(&self) -> RootStatus {
        self.board.roots().remove(0)
    }

    /// Writes a marker project and waits for it: all earlier hints were taken then.
    fn settle(&self, root: &Path, before: usize) -> Vec<Event> {
        let marker = root.join(format!("marker-{before}"));
        write(&marker, PHASE, r#"{"marker":1}"#);
        let events = self.expect(before + 1);
        events[..before].to_vec()
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        self.mailbox.raise(Flag::Stop);
        if let Some(watching) = self.watching.take() {
            watching.thread.join().unwrap();
        }
        // As who publishes does before it ends.
        let _ = self.outbox.write();
    }
}

fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < deadline, "waited too long: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

fn write(project: &Path, file: &str, text: &str) {
    let path = project.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Makes a file as old as if it had been there long before the agent.
fn age(project: &Path, file: &str) {
    let file = fs::File::options().write(true).open(project.join(file));
    let an_hour_ago = SystemTime::now() - Duration::from_secs(3_600);
    file.unwrap().set_modified(an_hour_ago).unwrap();
}

fn document(event: &Event) -> &str {
    event
        .document
        .as_deref()
        .map_or("", |document| document.get())
}

fn place() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let (root, state) = (dir.path().join("root"), dir.path().join("state"));
    fs::create_dir(&root).unwrap();
    fs::create_dir(&state).unwrap();
    (dir, root, state)
}
