// Lists of what a build does: the points of its todo list and its agents; the
// same as src/view/step.rs.

import { clone, fieldsOf, setAttr, setHidden, setIcon, setList, setText } from "./dom.js";
import { count, money, precise } from "./format.js";
import { fillEntries } from "./metrics.js";
import { MAX_MEMBERS, NAME_CHARS, TITLE_CHARS, attribute, line } from "./text.js";

const STATES = {
  in_progress: "running",
  running: "running",
  active: "running",
  spawning: "queued",
  idle: "waiting",
  completed: "completed",
  success: "completed",
  error: "failed",
  failed: "failed",
  pending: "queued",
};

const whole = (n) => (Number.isInteger(n) && n >= 0 ? n : null);
const state = (item) => (Object.hasOwn(STATES, item.state) ? STATES[item.state] : "unknown");

function counted(n, what) {
  if (!whole(n)) return null;
  return n === 1 ? `1 ${what}` : `${count(n)} ${what}s`;
}

/** An amount, as text or as a number; `~` marks an estimate. */
function cost(agent) {
  const usd = agent.cost_usd;
  const plain = typeof usd === "number" || (typeof usd === "string" && /^\d+(\.\d+)?$/.test(usd));
  return plain ? money(Number(usd), agent.cost_estimated === true) : null;
}

const isObject = (item) => typeof item === "object" && item !== null && !Array.isArray(item);

export function todos(build) {
  return (Array.isArray(build.todos) ? build.todos : []).filter(isObject).slice(0, MAX_MEMBERS).map((todo) => ({
    state: state(todo),
    text: line(typeof todo.text === "string" ? todo.text : "(no text)", TITLE_CHARS),
    note: counted(todo.tools, "tool") ?? "",
  }));
}

const named = (agent) => [agent?.name, agent?.type, agent?.id].find((name) => typeof name === "string");
const word = (text) => (typeof text === "string" ? line(text, NAME_CHARS) : null);

/** `3 issues found, 2 fixed`, as far as it is told. */
function issues(agent) {
  const found = whole(agent.issues_found);
  const fixed = whole(agent.issues_fixed);
  const told = [
    found === null ? null : found === 1 ? "1 issue found" : `${count(found)} issues found`,
    fixed === null ? null : `${count(fixed)} fixed`,
  ];
  return told.filter((part) => part).join(", ");
}

export function agents(build) {
  const all = Array.isArray(build.agents) ? build.agents : [];
  return all.filter(named).slice(0, MAX_MEMBERS).map((agent) => {
    const out = whole(agent.tokens?.output);
    const took = whole(agent.duration_ms);
    const used = whole(agent.tokens_used);
    const known = [
      word(agent.phase),
      cost(agent),
      out === null ? null : `${count(out)} out`,
      counted(agent.tools?.calls, "tool"),
      agent.attempts === 1 ? null : counted(agent.attempts, "attempt"),
      took === null ? null : precise(took),
      issues(agent),
      used === null ? null : `${count(used)} tokens`,
      word(agent.error),
    ];
    const outcome = typeof agent.success === "boolean" ? (agent.success ? "completed" : "failed") : state(agent);
    return { state: outcome, text: line(named(agent), NAME_CHARS), note: attribute(known.filter((part) => part).join(" · ")) };
  });
}

/** Writes both lists into a panel. */
export function fillSteps(article, f, build) {
  const points = todos(build);
  const done = points.filter((point) => point.state === "completed").length;
  setText(f["todos-done"], points.length ? `${done} of ${points.length} done` : "");
  fillList(article, f, "todos", points);
  const agentList = agents(build);
  setHidden(article.querySelector('[data-part="agents"]'), agentList.length === 0);
  fillEntries(f.agents, agentList);
}

function fillList(article, f, part, list) {
  setHidden(article.querySelector(`[data-part="${part}"]`), list.length === 0);
  setList(
    f[part],
    list,
    () => clone("t-step"),
    (el, step) => {
      const g = fieldsOf(el);
      setAttr(el, "data-state", step.state);
      setIcon(g.icon, step.state);
      setText(g["step-text"], step.text);
      setText(g["step-note"], step.note);
    },
  );
}
