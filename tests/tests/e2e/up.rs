//! `phaseline up`: one command, everything runs; killed, nothing is left; again, all is there.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use harness::api::Api;
use harness::disk::Disk;
use harness::fixtures;
use harness::process::{Process, clean, program};
use harness::wait::{check, eventually, eventually_within};
use harness::writer::Project;
use harness::{ports, scratch, spawner};
use protocol::BuildState;
use serde_json::json;

/// The first start makes a database cluster.
const FIRST_START: std::time::Duration = std::time::Duration::from_secs(120);

struct Up {
    process: Process,
    base: String,
    watch: PathBuf,
    state: PathBuf,
}

impl Up {
    fn start(watch: &Path, state: &Path) -> Self {
        let port = ports::free();
        let mut command = clean(spawner::command(program("phaseline")));
        command.arg("up");
        command.args([
            "--listen",
            &format!("127.0.0.1:{port}"),
            "--host",
            "launcher",
        ]);
        command
            .arg("--watch")
            .arg(watch)
            .arg("--state-dir")
            .arg(state);
        Self {
            process: Process::start("phaseline up", command),
            base: format!("http://127.0.0.1:{port}"),
            watch: watch.to_owned(),
            state: state.to_owned(),
        }
    }

    /// Waits for the promised line on stdout.
    async fn ready(&mut self) {
        let line = format!("ready {}", self.base);
        let process = &mut self.process;
        eventually_within(FIRST_START, "phaseline up is ready", async || {
            if let Some(status) = process.ended() {
                panic!("phaseline up ended with {status}:\n{}", process.tail());
            }
            // The only word on stdout: whoever waits for it reads one line.
            let said = process.stdout();
            check(said == format!("{line}\n"), || {
                format!("{said:?}\n{}", process.tail())
            })
        })
        .await;
    }

    /// Processes that work in the state directory, by their command lines.
    fn children(&self) -> Vec<String> {
        let inside = |pid: &Path| {
            let cwd = std::fs::read_link(pid.join("cwd")).ok()?;
            let line = std::fs::read(pid.join("cmdline")).ok()?;
            (cwd.starts_with(&self.state) && !line.is_empty())
                .then(|| String::from_utf8_lossy(&line).replace('\0', " "))
        };
        let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        processes
            .filter_map(|entry| inside(&entry.path()))
            .collect()
    }

    async fn no_children_left(&self) {
        eventually("nothing is left running", async || {
            let left = self.children();
            check(left.is_empty(), || format!("{left:?}"))
        })
        .await;
    }
}

/// `phaseline rebuild` of this state directory: its exit code, stdout and stderr.
fn rebuild(state: &Path) -> (Option<i32>, String, String) {
    let mut command = clean(spawner::command(program("phaseline")));
    command.arg("rebuild").arg("--state-dir").arg(state);
    let done = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (done.status.code(), text(&done.stdout), text(&done.stderr))
}

/// It is in a file.
fn the_log_of_a_first_start_is_plain(said: &str) {
    assert!(!said.contains('\u{1b}'), "colours in a file: {said}");
    let stream = said
        .lines()
        .find(|line| line.contains("created the stream"));
    let stream = stream.unwrap_or_else(|| panic!("{said}"));
    assert!(
        stream.contains("INFO"),
        "the first start is usual: {stream}"
    );
}

/// The demo of a system that has one build of its own.
async fn the_demo_fills_every_panel(api: &Api, state: &Path) {
    let mut demo = clean(spawner::command(program("phaseline")));
    demo.args(["demo", "--speed", "100", "--state-dir"])
        .arg(state);
    let status = Process::start("phaseline demo", demo).wait().await;
    assert!(status.success(), "{status}");
    let builds = api.builds().await.unwrap();
    let hosts: HashSet<&str> = builds.iter().map(|build| build.host.as_str()).collect();
    assert_eq!((builds.len(), hosts.len()), (4, 3), "{hosts:?}");
    assert!(builds.iter().take(3).all(|build| build.ended_at.is_some()));
    // Each panel of a build's page has something to show.
    for (shown, project) in [
        ("tasks", "storefront"),
        ("tests", "storefront"),
        ("decisions", "storefront"),
        ("summary", "ledger-api"),
        ("cost_usd", "ticket-desk"),
        ("todos", "ticket-desk"),
        ("calls", "ticket-desk"),
        ("context", "ticket-desk"),
        ("agents", "ticket-desk"),
    ] {
        let build = builds
            .iter()
            .find(|build| build.project == project)
            .unwrap();
        let build = serde_json::to_value(build).unwrap();
        assert!(!build[shown].is_null(), "{shown} of {build}");
        let log = api.log(build["id"].as_str().unwrap(), "").await.unwrap();
        assert!(!log.lines.is_empty(), "the log of {project}");
    }
    let ledger = builds
        .iter()
        .find(|build| build.project == "ledger-api")
        .unwrap();
    let failed = &ledger.tests.as_ref().unwrap()["runs"][2]["failed"];
    assert_eq!((failed, ledger.state), (&json!(12), BuildState::Failed));
}

#[tokio::test]
async fn a_written_file_reaches_the_api_and_everything_ends_with_the_launcher() {
    let (watch, state) = (scratch::directory("home"), scratch::directory("up"));
    let mut up = Up::start(&watch, &state);
    up.ready().await;
    the_log_of_a_first_start_is_plain(&up.process.output());
    assert!(
        up.children().len() >= 2,
        "nats-server and Postgres: {:?}",
        up.children()
    );
    let project = Project::create(up.watch.join("first"));
    project.phase(&fixtures::numbered("first", 1));
    let id = project.build_id("launcher", 1);
    let api = Api::new(up.base.clone());
    eventually("the build", async || api.build(&id).await).await;

    // A newcomer sees something at once.
    the_demo_fills_every_panel(&api, &state).await;

    // kill -9 of the launcher: its servers end by themselves.
    up.process.kill();
    up.no_children_left().await;

    // What changes meanwhile is found, and what was there still is.
    project.phase(&fixtures::numbered("first", 2));
    let mut again = Up::start(&watch, &state);
    again.ready().await;
    let api = Api::new(again.base.clone());
    eventually("the change while nothing ran", async || {
        let build = api.build(&id).await?;
        check(build.detail.as_deref() == Some("step 2"), || {
            format!("{build:?}")
        })
    })
    .await;
    assert_eq!(api.events(&id).await.unwrap().len(), 2);
    let (code, _, said) = rebuild(&state);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("stop `phaseline up` first"), "{said}");

    // In order, and with success.
    let status = again.process.interrupt().await;
    assert!(status.success(), "{status}: {}", again.process.tail());
    again.no_children_left().await;

    // All of its builds, and what it folds them from, with nothing else running.
    let (code, told, said) = rebuild(&state);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        told.starts_with("folded ") && told.contains(": 4 builds unchanged, 0 changed"),
        "{told}{said}"
    );
    again.no_children_left().await;
}

/// Kills the private server whose command line contains this.
fn kill_private(up: &Up, name: &str) {
    let pid = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(Result::ok)
        .find_map(|entry| {
            let cwd = std::fs::read_link(entry.path().join("cwd")).ok()?;
            let comm = std::fs::read_to_string(entry.path().join("comm")).ok()?;
            let status = std::fs::read_to_string(entry.path().join("status")).ok()?;
            let parent = format!("PPid:\t{}\n", up.process.pid());
            let ours = cwd.starts_with(&up.state) && status.contains(&parent);
            (ours && comm.trim() == name)
                .then(|| entry.file_name().into_string().ok()?.parse().ok())?
        });
    let pid = rustix::process::Pid::from_raw(pid.unwrap_or_else(|| panic!("no {name} runs")));
    rustix::process::kill_process(pid.unwrap(), rustix::process::Signal::KILL).unwrap();
}

#[tokio::test]
async fn a_private_server_that_dies_is_started_again_and_the_page_says_so() {
    let (watch, state) = (scratch::directory("home"), scratch::directory("up"));
    let mut up = Up::start(&watch, &state);
    up.ready().await;
    let project = Project::create(up.watch.join("survives"));
    let id = project.build_id("launcher", 1);
    let api = Api::new(up.base.clone());
    for (round, (name, shown)) in [
        ("nats-server", "Private nats-server"),
        ("postgres", "Private Postgres"),
        ("nats-server", "Private nats-server"),
    ]
    .into_iter()
    .enumerate()
    {
        kill_private(&up, name);
        project.phase(&fixtures::numbered("survives", round as u64));
        let detail = format!("step {round}");
        eventually("the change after the restart", async || {
            let build = api.build(&id).await?;
            check(build.detail.as_deref() == Some(&detail), || {
                format!("{build:?}")
            })
        })
        .await;
        let restarts = match round {
            2 => "2 restarts",
            _ => "1 restart",
        };
        eventually("the page says what happened", async || {
            let page = api.get("/system").await?.body;
            let row = page.split("<tr>").find(|row| row.contains(shown));
            let row = row.ok_or_else(|| format!("no {shown} on {page}"))?;
            check(row.contains(restarts) && row.contains("signal: 9"), || {
                row.to_owned()
            })
        })
        .await;
    }
    let status = up.process.stop().await;
    assert!(status.success(), "{status}: {}", up.process.tail());
}

#[tokio::test]
async fn a_second_launcher_on_the_same_data_is_refused_in_plain_words() {
    let (watch, state) = (scratch::directory("home"), scratch::directory("up"));
    // What is wrong with a watched directory is told by the launcher itself, not only by its agent.
    let watch = watch.join("missing");
    let mut first = Up::start(&watch, &state);
    first.ready().await;
    eventually("the missing directory is told", async || {
        let said = first.process.output();
        let told = format!("WARN phaseline: {} does not exist", watch.display());
        check(said.contains(&told), || said)
    })
    .await;
    let mut second = Up::start(&watch, &state);
    let status = second.process.wait().await;
    assert!(!status.success());
    let said = second.process.output();
    assert!(
        said.contains(state.to_str().unwrap()) && !said.contains("panicked"),
        "{said}"
    );
    // The first is unharmed.
    let answer = Api::new(first.base.clone()).get("/readyz").await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    first.process.stop().await;
    first.no_children_left().await;
}

#[tokio::test]
async fn a_disk_that_was_full_for_everything_needs_nothing_but_room() {
    let Some(disk) = Disk::mount(320 * 1024) else {
        return;
    };
    let (watch, state) = (scratch::directory("home"), disk.path().join("up"));
    let mut up = Up::start(&watch, &state);
    up.ready().await;
    let api = Api::new(up.base.clone());
    let projects: Vec<_> = (0..8)
        .map(|number| Project::create(up.watch.join(format!("p{number}"))))
        .collect();
    let shows = async |project: &Project, number: u64| {
        let (id, detail) = (project.build_id("launcher", 1), format!("step {number}"));
        eventually_within(FIRST_START, "the newest state is shown", async || {
            let build = api.build(&id).await?;
            check(build.detail.as_deref() == Some(&detail), || {
                format!("{build:?}")
            })
        })
        .await;
    };
    for project in &projects {
        project.phase(&fixtures::numbered("full", 0));
        shows(project, 0).await;
    }
    disk.fill();
    // Much more than what is left in buffers and preallocated files.
    for number in 1..=400 {
        for project in &projects {
            project.phase(&fixtures::numbered("full", number));
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    disk.free();
    for project in &projects {
        project.phase(&fixtures::numbered("full", 401));
        shows(project, 401).await;
    }
    assert!(up.process.ended().is_none(), "{}", up.process.tail());
    let status = up.process.stop().await;
    assert!(status.success(), "{status}: {}", up.process.tail());
}
