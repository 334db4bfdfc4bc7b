// Lists of what a build does: the points of its todo list and its agents; the
// same as src/view/step.rs.

import { clone, fieldsOf, setAttr, setHidden, setIcon, setList, setText } from "./dom.js";
import { count, money } from "./format.js";
import { MAX_MEMBERS, NAME_CHARS, TITLE_CHARS, line } from "./text.js";

const STATES = {
  in_progress: "running",
  running: "running",
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

const items = (list, key) =>
  (Array.isArray(list) ? list : []).filter((item) => typeof item?.[key] === "string").slice(0, MAX_MEMBERS);

export function todos(build) {
  return items(build.todos, "text").map((todo) => ({
    state: state(todo),
    text: line(todo.text, TITLE_CHARS),
    note: counted(todo.tools, "tool") ?? "",
  }));
}

export function agents(build) {
  return items(build.agents, "name").map((agent) => {
    const out = whole(agent.tokens?.output);
    const known = [
      cost(agent),
      out === null ? null : `${count(out)} out`,
      counted(agent.tools?.calls, "tool"),
      agent.attempts === 1 ? null : counted(agent.attempts, "attempt"),
    ];
    return { state: state(agent), text: line(agent.name, NAME_CHARS), note: known.filter((part) => part).join(" · ") };
  });
}

/** Writes both lists into a panel. */
export function fillSteps(article, f, build) {
  const points = todos(build);
  const done = points.filter((point) => point.state === "completed").length;
  setText(f["todos-done"], points.length ? `${done} of ${points.length} done` : "");
  fillList(article, f, "todos", points);
  fillList(article, f, "agents", agents(build));
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
