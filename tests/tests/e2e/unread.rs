//! What is no regular file of a sane size beneath the root is reported, never read.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use harness::fixtures;
use harness::system::System;
use harness::wait::{check, eventually};
use harness::writer::{PHASE, Project};

/// Waits until the database holds an `unreadable` event of a project, and gives its message.
async fn reported(system: &System, project: &Project) -> String {
    eventually(&format!("{} is reported", project.name()), async || {
        let client = system.database.connect().await.map_err(|e| e.to_string())?;
        let row = client
            .query_opt(
                "SELECT message FROM event WHERE kind = 'unreadable' AND project_token = $1 ORDER BY id DESC LIMIT 1",
                &[&project.token().to_string()],
            )
            .await
            .map_err(|e| e.to_string())?;
        let row = row.ok_or("no such event")?;
        Ok(row.get(0))
    })
    .await
}

#[tokio::test]
async fn links_pipes_and_directories_in_place_of_the_file_are_reported_and_not_followed() {
    let system = System::start().await;
    let secret = harness::scratch::directory("secret").join("phase.json");
    let text = fixtures::phase("escaped", "Scout", "1/7", "researching").to_string();
    fs::write(&secret, &text).unwrap();

    let link = system.project("link");
    symlink(&secret, link.file(PHASE)).unwrap();
    let pipe = system.project("pipe");
    assert!(
        Command::new("mkfifo")
            .arg(pipe.file(PHASE))
            .status()
            .unwrap()
            .success()
    );
    let directory = system.project("directory");
    fs::create_dir(directory.file(PHASE)).unwrap();

    for project in [&link, &pipe, &directory] {
        reported(&system, project).await;
    }
    // The agent still works: a FIFO without a writer would have held it for ever.
    let good = system.project("good");
    good.phase(&fixtures::phase("good", "Scout", "1/7", "researching"));
    system.build(&good, 1, |_| true).await;
    let events = system.database.events().await.unwrap();
    assert!(
        !format!("{events:?}").contains("escaped"),
        "a link out of the root was followed"
    );
}

#[tokio::test]
async fn a_linked_directory_does_not_lead_out_of_the_root() {
    let system = System::start().await;
    let outside = Project::create(harness::scratch::directory("outside").join("elsewhere"));
    outside.phase(&fixtures::phase("elsewhere", "Scout", "1/7", "researching"));
    symlink(outside.dir(), system.watch.join("elsewhere")).unwrap();
    let project = system.watch.join("linked-inner");
    fs::create_dir(&project).unwrap();
    symlink(
        outside.dir().join(".context-foundry"),
        project.join(".context-foundry"),
    )
    .unwrap();
    let good = system.project("good");
    good.phase(&fixtures::phase("good", "Scout", "1/7", "researching"));
    system.build(&good, 1, |_| true).await;
    outside.phase(&fixtures::phase(
        "elsewhere",
        "Architect",
        "2/7",
        "designing",
    ));
    good.phase(&fixtures::phase("good", "Architect", "2/7", "designing"));
    system
        .build(&good, 1, |build| {
            build.phase.as_deref() == Some("Architect")
        })
        .await;
    let events = system.database.events().await.unwrap();
    assert!(!format!("{events:?}").contains("elsewhere\""), "{events:?}");
}

#[tokio::test]
async fn too_large_and_too_deep_files_are_reported_and_later_good_ones_come() {
    let system = System::start().await;
    let large = system.project("large");
    let filler = "x".repeat(1024 * 1024);
    fs::write(
        large.file(PHASE),
        format!("{{\"progress_detail\":\"{filler}\"}}"),
    )
    .unwrap();
    let deep = system.project("deep");
    let nested = format!("{}1{}", "[".repeat(5000), "]".repeat(5000));
    fs::write(deep.file(PHASE), format!("{{\"tasks\":{nested}}}")).unwrap();
    for project in [&large, &deep] {
        let message = reported(&system, project).await;
        assert!(!message.is_empty());
        project.phase(&fixtures::phase("fine", "Scout", "1/7", "researching"));
        system
            .build(project, 1, |build| build.phase.as_deref() == Some("Scout"))
            .await;
    }
}

#[tokio::test]
async fn the_largest_file_that_is_read_arrives_whole() {
    let system = System::start().await;
    let project = system.project("largest");
    let mut file = fixtures::phase("largest", "Builder", "3/7", "building");
    // Control characters need six bytes each in JSON: the largest event there can be.
    let filler: String = std::iter::repeat_n('\u{1}', 170_000).collect();
    file["filler"] = serde_json::json!(filler);
    fs::write(project.file(PHASE), serde_json::to_vec(&file).unwrap()).unwrap();
    let build = system.build(&project, 1, |_| true).await;
    assert_eq!(build.fields["filler"], file["filler"]);
    let rows = system.database.events().await.unwrap();
    check(rows[0].document.as_ref() == Some(&file), || {
        "the row differs".to_owned()
    })
    .unwrap();
}

#[tokio::test]
async fn producers_files_are_not_touched() {
    let system = System::start().await;
    let project = system.project("untouched");
    project.phase(&fixtures::phase("untouched", "Scout", "1/7", "researching"));
    let file = project.file(PHASE);
    let before = fs::read(&file).unwrap();
    let metadata = fs::metadata(&file).unwrap();
    system.build(&project, 1, |_| true).await;
    let after = fs::metadata(&file).unwrap();
    assert_eq!(fs::read(&file).unwrap(), before);
    assert_eq!(metadata.modified().unwrap(), after.modified().unwrap());
    let left = fs::read_dir(file.parent().unwrap()).unwrap().count();
    assert_eq!(
        left, 1,
        "the agent left something beside the producer's file"
    );
    // Nor held open: the agent's descriptors name nothing beneath the watched root.
    let pid = system.agents[0].process.pid();
    let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let held: Vec<_> = open
        .filter_map(|fd| fs::read_link(fd.unwrap().path()).ok())
        .filter(|target| target.starts_with(project.dir()))
        .collect();
    assert!(held.is_empty(), "{held:?}");
    // Nor locked, nor is any program started.
    let locks = fs::read_to_string("/proc/locks").unwrap();
    let inode = format!(":{} ", std::os::unix::fs::MetadataExt::ino(&metadata));
    assert!(!locks.contains(&inode), "{locks}");
    for thread in fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        let children = thread.unwrap().path().join("children");
        // Not every kernel tells.
        if let Ok(children) = fs::read_to_string(children) {
            assert_eq!(children, "", "the agent started a program");
        }
    }
}
