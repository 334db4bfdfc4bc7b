// The enhanced metrics of a build: context window, test runs, decisions, tasks;
// the same as src/view/metrics.rs.

import { clone, fieldsOf, setAttr, setHidden, setIcon, setList, setText } from "./dom.js";
import { bytes, count } from "./format.js";
import { MAX_MEMBERS, NAME_CHARS, TITLE_CHARS, VALUE_CHARS, attribute, line } from "./text.js";

const WARNING = 0.5;
const CRITICAL = 0.75;

const ORIGINS = { live: "a live file", checkpoint: "a checkpoint", http: "a call" };

/** Where the build's data comes from. */
export function origin(build) {
  return ORIGINS[build.origin] ?? "";
}

const whole = (n) => (Number.isInteger(n) && n >= 0 ? n : null);
const word = (text) => (typeof text === "string" ? line(text, NAME_CHARS) : null);
const joined = (parts) => parts.filter((part) => part !== null && part !== undefined && part !== "").join(" · ");
const counted = (n, what) => (whole(n) === null ? null : `${count(n)} ${what}`);
const listed = (value, key) => (Array.isArray(value?.[key]) ? value[key] : []);
const rated = (n) => (typeof n === "number" ? `quality ${n} of 5` : null);
const OUTCOMES = new Map([[true, "completed"], [false, "failed"]]);

function contextWindow(build) {
  const used = whole(build.context?.used);
  const limit = whole(build.context?.limit);
  if (used === null) return { text: "", level: "", note: "", value: 0 };
  if (!limit) return { text: `${count(used)} tokens`, level: "", note: "", value: 0 };
  const part = used / limit;
  const level = part < WARNING ? "safe" : part < CRITICAL ? "warning" : "critical";
  return {
    text: `${count(used)} of ${count(limit)} tokens`,
    level,
    note: `${Math.floor(part * 100)} % · ${level}`,
    value: Math.min(1, part).toFixed(3),
  };
}

function runs(build) {
  const named = listed(build.tests, "runs").filter((run) => whole(run?.number) !== null || typeof run?.file === "string");
  return named.slice(0, MAX_MEMBERS).map((run) => ({
    state: OUTCOMES.get(run.success) ?? "unknown",
    text: whole(run.number) === null ? line(run.file, NAME_CHARS) : `Iteration ${run.number}`,
    note:
      joined([
        counted(run.passed, "passed"),
        counted(run.failed, "failed"),
        counted(run.skipped, "skipped"),
        counted(run.total, "in all"),
      ]) || "no figures told",
  }));
}

function decisions(build) {
  const told = listed(build.decisions, "list").filter((one) => typeof one?.text === "string");
  return told.slice(0, MAX_MEMBERS).map((one) => ({
    state: "",
    text: line(one.text, VALUE_CHARS),
    note: attribute(joined([
      word(one.kind),
      word(one.phase),
      word(one.severity)?.toLowerCase(),
      rated(one.quality),
      { true: "worked well", false: "did not work" }[one.worked],
      one.lessons_used === true ? "lessons used" : null,
    ])),
  }));
}

function decisionsNote(told) {
  return told
    ? joined([
        whole(told.total) === null ? null : count(told.total),
        rated(told.average_quality),
        counted(told.lessons_used, "with lessons"),
      ])
    : "";
}

const TASK_STATES = { completed: "completed", failed: "failed", pending: "queued" };

function tasks(build) {
  const named = listed(build.tasks, "list").filter((task) => typeof (task?.text ?? task?.id) === "string");
  return named.slice(0, MAX_MEMBERS).map((task) => {
    const id = typeof task.id === "string" ? task.id : null;
    const name = typeof task.text === "string" ? task.text : id;
    const after = listed(task, "dependencies").filter((other) => typeof other === "string");
    const files = whole(task.files);
    const error = whole(task.error_bytes);
    const note = joined([
      id === name ? null : id,
      whole(task.level) === null ? null : `level ${task.level}`,
      after.length ? `after ${after.join(", ")}` : null,
      files === null ? null : files === 1 ? "1 file" : `${count(files)} files`,
      typeof task.estimate === "string" ? `estimated ${task.estimate}` : null,
      error === null ? null : `error log of ${bytes(error)}`,
    ]);
    return {
      state: Object.hasOwn(TASK_STATES, task.state) ? TASK_STATES[task.state] : "unknown",
      text: line(name, TITLE_CHARS),
      note: attribute(note),
    };
  });
}

function tasksNote(told) {
  if (!told) return "";
  const done = whole(told.completed);
  const total = whole(told.total);
  const all = total === null ? null : count(total);
  return joined([
    done === null ? all : total === null ? `${count(done)} done` : `${count(done)} of ${all} done`,
    { true: "in parallel", false: "one after another" }[told.parallel],
    told.left_out > 0 ? `${count(told.left_out)} more` : null,
  ]);
}

/** Entries of a list: how each stands, its text, and what is known of it below. */
export function fillEntries(list, entries) {
  setList(
    list,
    entries,
    () => clone("t-entry"),
    (el, entry) => {
      const g = fieldsOf(el);
      setAttr(el, "data-state", entry.state);
      if (entry.state) setIcon(g.icon, entry.state);
      setHidden(g["entry-state"], !entry.state);
      setText(g["entry-word"], entry.state);
      setText(g["entry-text"], entry.text);
      setText(g["entry-note"], entry.note);
      setHidden(g["entry-note"], !entry.note);
    },
  );
}

/** What of the tests is told in words: the runs have a list of their own. */
export function testMembers(tests) {
  if (tests === null || typeof tests !== "object" || Array.isArray(tests)) return tests;
  return Object.fromEntries(Object.entries(tests).filter(([key, value]) => key !== "runs" && value !== null));
}

/** Writes the panels. `told`: what is known of the tests in words. */
export function fillMetrics(article, f, build, told) {
  const part = (name, hidden) => setHidden(article.querySelector(`[data-part="${name}"]`), hidden);
  const context = contextWindow(build);
  setText(f["window-note"], context.note);
  setText(f["window-text"], context.text);
  for (const el of [f["window-note"], f["window-gauge"]]) setAttr(el, "data-level", context.level);
  setAttr(f["window-gauge"], "value", String(context.value));
  setHidden(f["window-gauge"], !context.level);
  part("window", !context.text);
  const lists = { tasks: tasks(build), "test-runs": runs(build), decisions: decisions(build) };
  for (const [name, entries] of Object.entries(lists)) fillEntries(f[name], entries);
  setText(f["tasks-note"], tasksNote(build.tasks));
  setText(f["decisions-note"], decisionsNote(build.decisions));
  setHidden(f["test-runs"], !lists["test-runs"].length);
  part("tasks", !lists.tasks.length);
  part("tests", !lists["test-runs"].length && !told.length);
  part("decisions", !lists.decisions.length);
  const agents = Array.isArray(build.agents) && build.agents.length > 0;
  const known = build.tokens || context.text || agents || told.length || Object.values(lists).some((list) => list.length);
  setHidden(f["no-metrics"], Boolean(known));
}
