//! A phase file changes, the API and every stream show it, and Postgres has it.

use std::time::Duration;

use harness::fixtures;
use harness::stream::agree;
use harness::system::{HOST, System};
use harness::wait::{eventually, stays};
use harness::writer::{Manner, PHASE};
use protocol::{BuildState, FrameType, PhaseState};

#[tokio::test]
async fn a_written_phase_file_is_in_the_api_on_the_stream_and_in_postgres() {
    let system = System::start().await;
    let client = system.client().await;
    let project = system.project("shop");
    project.phase(&fixtures::phase("shop", "Architect", "2/7", "designing"));

    client.until_build("shop", |_| true).await;
    let build = system.build(&project, 1, |_| true).await;
    assert_eq!(build.id, project.build_id(HOST, 1));
    assert_eq!(build.host, HOST);
    assert_eq!(build.producer, "context-foundry");
    assert_eq!(build.session_id.as_deref(), Some("shop"));
    assert_eq!(build.state, BuildState::Running);
    assert_eq!(build.phase.as_deref(), Some("Architect"));
    assert_eq!(build.phase_number.as_deref(), Some("2/7"));
    assert_eq!(build.status.as_deref(), Some("designing"));
    assert_eq!(build.detail.as_deref(), Some("Architect: designing"));
    assert!(!build.found);
    assert_eq!(build.fields["last_updated"], "2025-01-14T00:25:00Z");

    let raw = system.api().raw_build(&build.id).await.unwrap();
    agree(&client.seen().builds[&build.id], &raw).unwrap();

    let events = system.database.events().await.unwrap();
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0].document.as_ref(), project.written().first());
    let rows = system.database.builds().await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].build.fields, build.fields);
    assert_eq!(rows[0].state, "running");
    client.assert_clean();
}

#[tokio::test]
async fn a_change_is_committed_before_it_is_shown_and_each_hop_has_its_time() {
    let system = System::start().await;
    let client = system.client().await;
    let project = system.project("hops");
    for step in 0..20 {
        project.phase(&fixtures::numbered("hops", step));
        let detail = format!("step {step}");
        let told = client
            .until_build("hops", |told| told["detail"] == detail.as_str())
            .await;
        // The row is asked for only after the frame came: it must be there already.
        let rows = system.database.builds().await.unwrap();
        let committed = u64::try_from(rows[0].seq).unwrap();
        assert!(
            told["seq"].as_u64() <= Some(committed),
            "{told:?} was shown before seq {committed}"
        );
    }
    let id = project.build_id(HOST, 1);
    let events = system.api().events(&id).await.unwrap();
    assert_eq!(events.len(), 20);
    // A clock that is set while the test runs is the only way for these to be out of order.
    for event in &events {
        assert!(event.changed_at <= event.observed_at, "{event:?}");
        let broker_at = event.broker_at.expect("taken by the broker");
        assert!(
            event.observed_at <= broker_at && broker_at <= event.committed_at,
            "{event:?}"
        );
    }
    client.assert_clean();
}

#[tokio::test]
async fn a_build_goes_on_through_every_completed_phase_until_its_summary_ends_it() {
    let system = System::start().await;
    let client = system.client().await;
    let project = system.project("whole");
    let files = fixtures::whole_build("whole");
    // The last one says that the last phase is completed, which ends a build too: not here.
    for file in &files[..files.len() - 1] {
        project.phase(file);
        let number = file["phase_number"].as_str().unwrap();
        let status = file["status"].as_str().unwrap();
        let iteration = file["test_iteration"].as_u64();
        let build = system
            .build(&project, 1, |build| {
                build.phase_number.as_deref() == Some(number)
                    && build.status.as_deref() == Some(status)
                    && build.test_iteration == iteration
            })
            .await;
        assert_eq!(build.state, BuildState::Running, "{file}");
        assert_eq!(build.ended_at, None, "{file}");
    }
    project.summary(&fixtures::summary("whole"));
    let build = system
        .build(&project, 1, |build| build.ended_at.is_some())
        .await;
    assert_eq!(build.state, BuildState::Completed);
    assert_eq!(
        build.pr_url.as_deref(),
        Some("https://example.org/acme/docs/pull/5")
    );
    assert!(build.summary.is_some());
    let names: Vec<&str> = build
        .phases
        .iter()
        .map(|phase| phase.name.as_str())
        .collect();
    assert_eq!(names, fixtures::PHASES);
    assert!(
        build
            .phases
            .iter()
            .all(|phase| phase.state == PhaseState::Completed),
        "{:?}",
        build.phases
    );

    client
        .until("the end of the build", |seen| {
            seen.of(FrameType::BuildComplete).next().map(drop)
        })
        .await;
    assert_eq!(client.seen().of(FrameType::BuildComplete).count(), 1);
    let rows = system.database.events().await.unwrap();
    assert_eq!(rows.len(), files.len(), "one row for each write");
    client.assert_clean();
}

#[tokio::test]
async fn the_last_phase_ends_a_build_that_writes_no_summary() {
    let system = System::start().await;
    let project = system.project("terse");
    let mut last = None;
    for file in fixtures::whole_build("terse") {
        project.phase(&file);
        last = Some(file);
    }
    let build = system
        .build(&project, 1, |build| build.ended_at.is_some())
        .await;
    assert_eq!(build.state, BuildState::Completed);
    assert_eq!(
        build.fields.get("phases_completed"),
        last.as_ref().and_then(|file| file.get("phases_completed"))
    );
}

#[tokio::test]
async fn a_failed_status_and_a_failed_summary_fail_the_build() {
    let system = System::start().await;
    let by_status = system.project("by-status");
    by_status.phase(&fixtures::phase("by-status", "Test", "4/7", "failed"));
    let build = system
        .build(&by_status, 1, |build| build.ended_at.is_some())
        .await;
    assert_eq!(build.state, BuildState::Failed);
    assert!(build.state_reason.is_some());

    let by_summary = system.project("by-summary");
    by_summary.phase(&fixtures::phase(
        "by-summary",
        "Test",
        "4/7",
        "self-healing",
    ));
    system
        .build(&by_summary, 1, |build| build.state == BuildState::Running)
        .await;
    by_summary.summary(&fixtures::failed_summary());
    let build = system
        .build(&by_summary, 1, |build| build.ended_at.is_some())
        .await;
    assert_eq!(build.state, BuildState::Failed);
}

#[tokio::test]
async fn irregular_phase_files_are_shown_as_they_were_written() {
    let system = System::start().await;
    let project = system.project("irregular");
    for (file, phase, number, status) in fixtures::irregular() {
        project.phase(&file);
        let build = system
            .build(&project, 1, |build| {
                build.phase.as_deref() == Some(phase)
                    && build.phase_number.as_deref() == number
                    && build.status.as_deref() == status
            })
            .await;
        assert_eq!(build.state, BuildState::Running, "{file}");
    }
    let build = system.build(&project, 1, |_| true).await;
    assert_eq!(build.fields["unheard_of"], "kept");
    assert_eq!(build.fields["tasks"][0]["deep"]["er"][2], 3);
}

#[tokio::test]
async fn an_unchanged_rewrite_sends_no_frame_and_writes_no_row_and_is_a_sign_of_life() {
    let system = System::start().await;
    let client = system.client().await;
    let project = system.project("steady");
    let file = fixtures::phase("steady", "Builder", "3/7", "building");
    project.phase(&file);
    let before = system.build(&project, 1, |_| true).await;
    client.until_build("steady", |_| true).await;
    let frames = client.seen().busy();

    for (round, manner) in Manner::ALL.into_iter().cycle().take(60).enumerate() {
        // Also another spelling of the same content, and another time of the producer's own.
        let mut same = file.clone();
        same["last_updated"] = serde_json::json!(format!("2025-01-14T00:26:{:02}Z", round % 60));
        project.write(PHASE, &same, manner);
    }
    let api = system.api();
    let after = eventually("a rewrite is a sign of life", async || {
        let build = api.build(&before.id).await?;
        if build.alive_at > before.alive_at {
            Ok(build)
        } else {
            Err(format!("{:?}", build.alive_at))
        }
    })
    .await;
    assert_eq!(after.seq, before.seq);
    assert_eq!(after.last_updated, before.last_updated);
    assert_eq!(
        client.seen().busy(),
        frames,
        "{:?}",
        client.seen().frames.last()
    );
    assert_eq!(system.database.events().await.unwrap().len(), 1);

    // Control: the next change does come, so the silence was not a broken stream.
    project.phase(&fixtures::phase("steady", "Test", "4/7", "testing"));
    client
        .until_build("steady", |told| told["phase"] == "Test")
        .await;
    client.assert_clean();
}

#[tokio::test]
async fn the_stream_is_silent_while_nothing_changes() {
    let system = System::start().await;
    let project = system.project("calm");
    project.phase(&fixtures::phase("calm", "Builder", "3/7", "building"));
    system.build(&project, 1, |_| true).await;
    let client = system.client().await;
    // Longer than a presence takes to come round and than the beat of the stream.
    stays(
        Duration::from_secs(22),
        "silent but for heartbeats",
        async || {
            let seen = client.seen();
            let others = seen
                .frames
                .iter()
                .skip(1)
                .filter(|frame| frame.kind != FrameType::Heartbeat);
            match others.collect::<Vec<_>>().last() {
                Some(frame) => Err(format!("{frame:?}")),
                None => Ok(()),
            }
        },
    )
    .await;
    let beats = client.seen().of(FrameType::Heartbeat).count();
    assert!(
        (1..=2).contains(&beats),
        "one heartbeat in 15 s of silence, not {beats}"
    );
    client.assert_clean();
}

#[tokio::test]
async fn branch_and_commit_of_the_working_tree_are_shown() {
    let system = System::start().await;
    let project = system.project("tree");
    let git = project.dir().join(".git");
    let commit = "0c3571f0c3571f0c3571f0c3571f0c3571f00c35";
    std::fs::create_dir_all(git.join("refs/heads/feature")).unwrap();
    std::fs::write(git.join("HEAD"), "ref: refs/heads/feature/search\n").unwrap();
    std::fs::write(git.join("refs/heads/feature/search"), format!("{commit}\n")).unwrap();
    project.phase(&fixtures::phase("tree", "Scout", "1/7", "researching"));
    let build = system.build(&project, 1, |_| true).await;
    assert_eq!(build.branch.as_deref(), Some("feature/search"));
    assert_eq!(build.commit.as_deref(), Some(commit));

    // A worktree of it elsewhere under the root.
    let worktree = system.project("worktree");
    let private = git.join("worktrees/worktree");
    std::fs::create_dir_all(&private).unwrap();
    std::fs::write(private.join("HEAD"), "ref: refs/heads/other\n").unwrap();
    std::fs::write(private.join("commondir"), "../..\n").unwrap();
    let pointer = format!("gitdir: {}\n", private.display());
    std::fs::write(worktree.dir().join(".git"), pointer).unwrap();
    worktree.phase(&fixtures::phase("worktree", "Scout", "1/7", "researching"));
    let build = system.build(&worktree, 1, |_| true).await;
    assert_eq!(build.branch.as_deref(), Some("other"));
}
