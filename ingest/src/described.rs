//! What each route takes and answers, in words and by an example: for the
//! API's description. A test holds it against the routes.

/// A route.
#[derive(Debug, Clone, Copy)]
pub struct Described {
    /// `get`, `post` or `delete`.
    pub method: &'static str,
    /// As it is routed.
    pub path: &'static str,
    /// Who calls it with what.
    pub about: &'static str,
    /// Members of the body that are read; others are kept or ignored.
    pub members: &'static [Member],
    /// A body, as JSON; empty where none is taken.
    pub example: &'static str,
    /// What success answers, as JSON; empty for no body.
    pub answer: &'static str,
}

/// A member of a body.
#[derive(Debug, Clone, Copy)]
pub struct Member {
    /// Its key.
    pub name: &'static str,
    /// Without it the call is refused.
    pub is_required: bool,
    /// What it says.
    pub about: &'static str,
}

/// What [`described`] says of parameters in paths.
pub const PARAMETERS: &[(&str, &str)] = &[
    (
        "session_id",
        "The producer's word for its session: the newest active build with it on that host, or a new one",
    ),
    ("number", "Number of an issue"),
    ("event_type", "What happened; of it 120 characters are kept"),
    ("id", "The runner's project"),
];

/// All routes of producers that send.
#[must_use]
pub fn described() -> &'static [Described] {
    ROUTES
}

const fn needs(name: &'static str, about: &'static str) -> Member {
    Member {
        name,
        is_required: true,
        about,
    }
}

const fn may(name: &'static str, about: &'static str) -> Member {
    Member {
        name,
        is_required: false,
        about,
    }
}

const fn post(
    path: &'static str,
    about: &'static str,
    members: &'static [Member],
    [example, answer]: [&'static str; 2],
) -> Described {
    Described {
        method: "post",
        path,
        about,
        members,
        example,
        answer,
    }
}

const ADW_PHASE: [&str; 2] = [
    r#"{"adw_id":"3af4a34d","current_phase":"Build","status":"running"}"#,
    r#"{"success":true,"message":"received","broadcasted":true,"next_phase_triggered":false}"#,
];
const ADW_PHASE_MEMBERS: &[Member] = &[
    needs(
        "adw_id",
        "The workflow's id: 8 hex digits, with or without `adw-`",
    ),
    may("current_phase", "The phase that begins, or `Completed`"),
    may("status", "`running`, `completed`, `failed` or `paused`"),
    may("issue_number", "A number, its text, or null"),
];
const NOTHING: [&str; 2] = ["{}", r#"{"success":true,"message":"nothing to do here"}"#];

const ROUTES: &[Described] = &[
    post(
        "/api/phase-update",
        "Context Foundry: the content of `current-phase.json`. Where the file itself is watched, the file counts",
        &[
            may("session_id", "The session; `autonomous-build` without it"),
            may("current_phase", "The phase's name"),
            may("phase_number", "Such as `3/7`"),
            may("status", "How the phase stands"),
            may("progress_detail", "What it does"),
            may("test_iteration", "Which test run it is"),
            may("phases_completed", "Names of phases"),
        ],
        [
            r#"{"session_id":"shop","current_phase":"Builder","phase_number":"3/7","status":"building","phases_completed":["Scout","Architect"]}"#,
            r#"{"status":"received","session_id":"shop","phase":"Builder","broadcasted_to":null}"#,
        ],
    ),
    post(
        "/api/agent-update",
        "Context Foundry: how one agent of a build stands",
        &[
            needs("session_id", "The session"),
            needs("agent_id", "The agent"),
            may("agent_name", "Its name"),
            may(
                "status",
                "`spawning`, `active`, `idle`, `completed` or `failed`",
            ),
            may("progress_percent", "0 to 100"),
        ],
        [
            r#"{"session_id":"shop","agent_id":"builder-1","status":"active","progress_percent":40}"#,
            r#"{"status":"updated","agent_id":"builder-1","broadcasted_to":null}"#,
        ],
    ),
    post(
        "/api/broadcast/{session_id}",
        "Context Foundry's older loop: one event of its broadcaster",
        &[
            may(
                "type",
                "Such as `phase_change`, `iteration_start` or `completion`",
            ),
            may("sequence", "Counts from 1 in each of its processes"),
            may("data", "What happened"),
        ],
        [
            r#"{"type":"phase_change","sequence":1,"data":{"phase":"scout","context_percent":3}}"#,
            r#"{"broadcasted":null}"#,
        ],
    ),
    post(
        "/api/v1/adw-phase-update",
        "ADW: a phase begins, or the workflow ends",
        ADW_PHASE_MEMBERS,
        ADW_PHASE,
    ),
    post(
        "/api/v1/api/v1/adw-phase-update",
        "The same as `/api/v1/adw-phase-update`, where its own server mounts it",
        ADW_PHASE_MEMBERS,
        ADW_PHASE,
    ),
    post(
        "/api/v1/observability/task-logs",
        "ADW: how a phase went. The answer is the row",
        &[
            needs("adw_id", "The workflow's id"),
            may("issue_number", "A number, its text, or null"),
            may("phase_name", "Such as `Plan`"),
            may("phase_number", "1 to 10"),
            may(
                "phase_status",
                "`started`, `completed`, `failed` or `skipped`",
            ),
            may("cost_usd", "US dollars, a number or its text"),
        ],
        [
            r#"{"adw_id":"3af4a34d","issue_number":83,"phase_name":"Plan","phase_number":1,"phase_status":"completed"}"#,
            r#"{"adw_id":"3af4a34d","issue_number":83,"phase_name":"Plan","phase_number":1,"phase_status":"completed"}"#,
        ],
    ),
    post(
        "/api/v1/workflow-complete",
        "ADW: the workflow is over. Nothing is started by it",
        &[
            needs("adw_id", "The workflow's id"),
            may("status", "`completed` or `failed`"),
        ],
        [
            r#"{"adw_id":"3af4a34d","status":"completed"}"#,
            r#"{"success":true,"message":"received","phase_updated":false,"next_phase_triggered":false}"#,
        ],
    ),
    post(
        "/api/v1/event/{event_type}",
        "ADW: anything else that is told of a workflow, or of a session of Claude Code. It names one of them, itself or in \
         `data`, `payload` or `metadata`. It is a sign of life of that build, and where it names a phase and says how that \
         stands, it means what it means in `/api/v1/observability/task-logs` and `/api/v1/adw-phase-update`. Prompts, and what \
         tools were given and gave, are not kept",
        &[
            may(
                "adw_id",
                "The workflow's id; it, `workflow_id` or `session_id` is required",
            ),
            may("workflow_id", "`wf-` and the workflow's id"),
            may(
                "session_id",
                "The session; one called as a workflow (8 hex digits, with or without `adw-`) is that",
            ),
            may("phase_name", "The phase; also `current_phase`"),
            may("phase_status", "How it stands; also `status`"),
        ],
        [
            r#"{"workflow_id":"wf-3af4a34d","adw_id":"3af4a34d","data":{"phase_name":"Test","phase_status":"started"}}"#,
            r#"{"success":true,"message":"received"}"#,
        ],
    ),
    post(
        "/api/workflow-history/resync",
        "ADW: answered and not kept, it says nothing of a build",
        &[],
        NOTHING,
    ),
    post(
        "/api/roi-tracking/executions",
        "ADW: answered and not kept, it says nothing of a build",
        &[],
        NOTHING,
    ),
    post(
        "/api/issue/{number}/complete",
        "ADW: answered and not kept, it says nothing of a build",
        &[],
        NOTHING,
    ),
    post(
        "/api/events",
        "Claude Code hooks. Which event of which tool is kept, and to-do lists; prompts, other inputs and outputs are not",
        &[
            may("event_id", "The event"),
            may("event_type", "Such as `PreToolUse`"),
            may(
                "session_id",
                "The session; without it and `workflow_id` the event is counted, and of no build",
            ),
            may(
                "workflow_id",
                "`wf-` and an ADW workflow's id: the event is of its build",
            ),
            may("payload", "Of a `SessionEnd` its `reason`"),
            may("source_app", "What the build is called"),
            may("tool_name", "The tool"),
        ],
        [
            r#"{"event_id":"evt-1","event_type":"PreToolUse","source_app":"shop","session_id":"s-1","tool_name":"Bash"}"#,
            r#"{"status":"received","event_id":"evt-1"}"#,
        ],
    ),
    post(
        "/api/build-events",
        "OpenBuilder: one event of a build. Of tools only which was called and how that went is kept, and to-do lists",
        &[
            needs("projectId", "The project"),
            needs(
                "event",
                "`start`, `tool-input-available`, `tool-output-available` or `tool-error`; others are ignored",
            ),
            may("buildId", "Another one is another build"),
            may("sessionId", "The session"),
            may("agentId", "The coding agent"),
            may("claudeModelId", "The model"),
        ],
        [
            r#"{"projectId":"p-1","buildId":"b-1","agentId":"claude-code","claudeModelId":"claude-haiku-4-5","event":{"type":"tool-input-available","toolCallId":"t-1","toolName":"Write","todoIndex":0}}"#,
            r#"{"ok":true}"#,
        ],
    ),
    post(
        "/api/runner/events",
        "OpenBuilder: what happens to a build (`build-completed`, `build-failed`, `build-summary`, `autofix-started`, `error`) and what \
         its programs print (`log-chunk`, `process-exited`). Other kinds are ignored",
        &[
            needs("type", "The kind"),
            may("projectId", "The project; without it the event is ignored"),
            may("payload", "To-dos and summary of a completed build"),
            may("error", "Why a build failed"),
            may("stream", "Of a `log-chunk`: `stdout` or `stderr`"),
            may(
                "data",
                "Of a `log-chunk`: text; half a line waits for its end",
            ),
            may(
                "cursor",
                "Of a `log-chunk`: one that came before is ignored",
            ),
        ],
        [
            r#"{"type":"log-chunk","projectId":"p-1","stream":"stdout","cursor":"1","data":"compiled\n"}"#,
            r#"{"ok":true}"#,
        ],
    ),
    Described {
        method: "get",
        path: "/api/runner/process/list",
        about: "OpenBuilder asks for its processes at start and every 30 s: there are none",
        members: &[],
        example: "",
        answer: r#"{"processes":[]}"#,
    },
    Described {
        method: "delete",
        path: "/api/runner/process/{id}",
        about: "OpenBuilder forgets a process: there was none",
        members: &[],
        example: "",
        answer: "",
    },
    Described {
        method: "post",
        path: "/api/runner/process/{id}/health",
        about: "OpenBuilder tells how a process is, with any body or none: answered and not kept",
        members: &[],
        example: "",
        answer: NOTHING[1],
    },
    Described {
        method: "get",
        path: crate::runner::ROUTE,
        about: "OpenBuilder's runner, by WebSocket: `?runnerId=` names it, each text frame is an event as `/api/build-events` \
                (`build-stream`) or `/api/runner/events` takes it, or a `runner-status`. Whoever may not come in is told by a \
                Close with 1008. It is pinged every 30 s, and dropped after 90 s of silence",
        members: &[],
        example: "",
        answer: "",
    },
    post(
        "/api/v1/events",
        "Any other program: a CloudEvent 1.0 in structured mode (also as `application/cloudevents+json`) whose `data` is how \
         the build stands, with the keys of a Build. Host, `source`, `subject` and `data.project` tell which build it is: what \
         is given must be given each time. Another `session_id` of it, or work after its end, begins its next run",
        &[
            needs("specversion", "`1.0`"),
            needs("id", "The event; it is given back, and means nothing else"),
            needs("type", "Any text"),
            needs(
                "source",
                "With `subject` and `data.project` it names the build",
            ),
            may(
                "subject",
                "With `source` it names the build; builds that run at the same time need one each",
            ),
            needs(
                "data",
                "`project`, `session_id`, `phase`, `phase_number`, `detail`, ...; `state` is `queued`, `running`, `waiting`, \
                 `stalled`, `completed`, `failed`, `cancelled` or `unknown`, and running where neither it nor `status` is \
                 given; `progress` is from 0 to 1, and anything else is not taken",
            ),
        ],
        [
            r#"{"specversion":"1.0","id":"1","type":"build","source":"nightly","data":{"project":"docs","phase":"Test","phase_number":"2/4","state":"running"}}"#,
            r#"{"status":"received","id":"1"}"#,
        ],
    ),
];
