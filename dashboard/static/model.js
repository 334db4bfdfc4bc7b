// What is shown of a build, decided without touching the page; the same
// decisions as src/view/*.rs. `store` gives host clocks and later runs,
// `now` is server time in milliseconds.

import { DAY, UNKNOWN, ageClass, count, ended, exact, money, parse, precise, short } from "./format.js";
import { attribute, block, line } from "./text.js";

const MAX_CELLS = 12;
const MAX_PENDING = 8;
const COMMIT_CHARS = 12;

export const GROUPS = ["needs", "running", "found", "ended"];

/** Which group of the live list, or null when it is too long past for any. */
export function groupOf(build, store, now) {
  // It goes on as another build.
  if (build.same_as) return null;
  switch (build.state) {
    case "completed":
    case "cancelled":
      return recent(build, now) ? "ended" : null;
    case "queued":
    case "running":
      return "running";
    case "waiting":
      return "needs";
    default:
      if (store.superseded(build)) return recent(build, now) ? "ended" : null;
      return dormant(build) ? "found" : "needs";
  }
}

const LEFT_BEHIND = 60_000;

/** On disk before the agent came, without an end, and not seen to move since. */
export function dormant(build) {
  if (!build.found || !["stalled", "unknown", "failed"].includes(build.state)) return false;
  const changed = parse(build.changed_at);
  const observed = parse(build.observed_at);
  return changed === null || observed === null || observed - changed > LEFT_BEHIND;
}

function recent(build, now) {
  return now - (parse(build.ended_at) ?? parse(build.last_updated) ?? now) < DAY;
}

const URGENCY = { waiting: 0, stalled: 1, failed: 2 };

/** What a group is sorted by: smaller first, compared member by member. */
export function sortKey(group, build, store) {
  switch (group) {
    case "needs":
      return [URGENCY[build.state] ?? 3, -updatedAt(build, store)];
    case "running":
      return [-(parse(build.started_at) ?? 0)];
    case "found":
      return [-updatedAt(build, store)];
    default:
      return [-(parse(build.ended_at) ?? parse(build.last_updated) ?? 0)];
  }
}

/** When what is shown was last news, on our clock; never later than its commit. */
export function updatedAt(build, store) {
  const committed = parse(build.last_updated) ?? 0;
  const seen = build.found ? build.changed_at ?? build.observed_at : build.observed_at ?? build.changed_at;
  const t = store.ours(build.host, seen);
  return t === null ? committed : Math.min(t, committed);
}

/** The exact times of the last change, each on its own clock: [[what, time], ...]. */
export function times(build) {
  return [
    ["file changed", build.changed_at],
    ["seen by the agent", build.observed_at],
    ["committed", build.last_updated],
    ["ended", build.ended_at],
  ];
}

/** The age of a row: counting, or when it ended. */
export function age(build, store, now) {
  const end = store.ours(build.host, build.ended_at);
  if (end !== null) return { t: end, iso: build.ended_at, text: ended(end, now), class: "final" };
  const t = updatedAt(build, store);
  if (dormant(build)) return { t, text: ended(t, now), class: "final" };
  return { t, text: short(now - t), class: ageClass(now - t), tick: "age" };
}

/** `updated 3 s ago` or `ended 14:02`, for the panel. */
export function updated(build, store, now) {
  const stamp = age(build, store, now);
  if (build.ended_at) return { ...stamp, text: `ended ${stamp.text}` };
  if (!stamp.tick) return stamp;
  return { ...stamp, text: `${stamp.text} ago`, tick: "ago" };
}

/** How old what is shown of it is, by its file; of one that ended or lies still, since when. */
export function dataAge(build, store, now) {
  const t = store.ours(build.host, build.changed_at);
  if (t === null) return null;
  const common = { t, iso: build.changed_at };
  if (build.ended_at || dormant(build)) return { ...common, text: ended(t, now), class: "final" };
  return { ...common, text: `${short(now - t)} ago`, class: ageClass(now - t), tick: "ago" };
}

/** How long it ran, or has been running; null when it is not known since when. */
export function elapsed(build, store, now) {
  const start = store.ours(build.host, build.started_at);
  if (start === null) return null;
  const end = store.ours(build.host, build.ended_at);
  const common = { t: start, iso: build.started_at };
  const from = exact(parse(build.started_at));
  if (end === null && dormant(build)) return { ...common, text: short(updatedAt(build, store) - start), title: `since ${from}` };
  if (end === null) return { ...common, text: short(now - start), tick: "elapsed", title: `since ${from}` };
  return { ...common, text: short(end - start), title: `from ${from} to ${exact(parse(build.ended_at))}` };
}

export function cost(build) {
  return typeof build.cost_usd === "number" ? money(build.cost_usd, build.cost_estimated === true) : UNKNOWN;
}

/** What a row says beyond its state: why an open build is in doubt, or null. */
export function why(build) {
  return build.ended_at ? null : build.state_reason ?? null;
}

export function iteration(build) {
  return build.test_iteration > 0 ? `it ${build.test_iteration}` : "";
}

/** 0 to 1, or null when unknown or no longer of interest. */
export function progress(build) {
  if (typeof build.progress !== "number" || build.ended_at) return null;
  return Math.round(Math.min(1, Math.max(0, build.progress)) * 1000) / 1000;
}

function currentClass(state) {
  if (state === "stalled" || state === "unknown" || state === "waiting") return "w";
  return { failed: "f", completed: "d", cancelled: "u" }[state] ?? "c";
}

const CLASS_WORDS = { d: "done", c: "now", w: "now, in doubt", f: "failed" };

function spokenClass(cls) {
  return CLASS_WORDS[cls] ?? "left without a word";
}

/** The cell of a phase: {class, text, title}. */
export function phaseCell(phase, state) {
  const cls = { completed: "d", failed: "f", unknown: "u" }[phase.state] ?? currentClass(state);
  const name = line(phase.name);
  let text = name;
  let title = `${name} ${spokenClass(cls)}`;
  if (phase.iterations > 1) {
    text += ` ×${phase.iterations}`;
    title += `, visit ${phase.iterations}`;
  }
  if (cls === "f") text += " failed";
  const start = parse(phase.started_at);
  const end = parse(phase.ended_at);
  if (start !== null && end !== null) title += `, ${precise(end - start)}`;
  return { class: cls, text, title: attribute(title) };
}

/** The phase track: a cell for each phase seen, empty ones for those to come. */
export function cells(build) {
  const phases = build.phases ?? [];
  const earlier = Math.max(0, phases.length - MAX_CELLS);
  const out = [];
  if (earlier) out.push({ class: "n", text: `+${earlier}`, title: `${earlier} earlier phases` });
  for (const phase of phases.slice(earlier)) out.push(phaseCell(phase, build.state));
  if (!out.length && build.phase) {
    const cls = currentClass(build.state);
    const name = line(build.phase);
    out.push({ class: cls, text: name, title: attribute(`${name} ${spokenClass(cls)}`) });
  }
  for (let i = pending(build); i > 0; i--) {
    out.push({ class: "", text: "", title: "to come, by the producer's numbers" });
  }
  return out;
}

/** The track in words. */
export function spoken(list) {
  const named = list.filter((cell) => cell.class).map((cell) => cell.title);
  return named.length ? attribute(named.join(", ")) : "no phase seen yet";
}

const NUMBER = /^\s*(\d+(?:\.\d+)?)\s*$/;

function pending(build) {
  if (build.state === "completed" || build.state === "cancelled") return 0;
  const [at, of] = String(build.phase_number ?? "").split("/", 2);
  if (!NUMBER.test(at) || !NUMBER.test(of ?? "")) return 0;
  return Math.min(MAX_PENDING, Math.max(0, Math.floor(Number(of) - Number(at))));
}

function some(value) {
  return value === null || value === undefined ? null : block(value);
}

function phaseText(build) {
  const number = some(build.phase_number);
  const parts = [some(build.phase), number && `“${number}”`].filter(Boolean);
  return parts.join(" ") || null;
}

/** The beginning of a commit's hash, which names it; anything else as it is. */
function commitText(commit) {
  if (commit === null || commit === undefined) return null;
  return /^[0-9a-f]{40,}$/i.test(commit) ? commit.slice(0, COMMIT_CHARS) : line(commit);
}

function tokensText(tokens) {
  if (!tokens) return null;
  const named = [
    [tokens.input, "in"],
    [tokens.cache_read, "cached"],
    [tokens.cache_write, "into the cache"],
    [tokens.output, "out"],
    [tokens.unknown_kind, "of unknown kind"],
  ];
  return named.filter(([n]) => typeof n === "number").map(([n, word]) => `${count(n)} ${word}`).join(" · ") || null;
}

function contextText(context) {
  if (typeof context?.used !== "number") return null;
  return typeof context.limit === "number" ? `${count(context.used)} of ${count(context.limit)}` : count(context.used);
}

/** The facts of a build by key; null where unknown. */
export function facts(build) {
  return {
    phase: phaseText(build),
    detail: some(build.detail),
    status: some(build.status),
    iteration: some(build.test_iteration),
    progress: typeof build.progress === "number" ? `${Math.round(build.progress * 100)} %` : null,
    session: some(build.session_id),
    producer: some(build.producer),
    path: line(`${build.root ?? ""}${build.path ? "/" : ""}${build.path ?? ""}`, 400),
    commit: commitText(build.commit),
    issue: some(build.issue),
    coding_agent: some(build.coding_agent),
    model: some(build.model),
    cost: typeof build.cost_usd === "number" ? cost(build) : null,
    tokens: tokensText(build.tokens),
    context: contextText(build.context),
    gap: build.gap_at ? `some before ${build.gap_at}` : null,
  };
}

/** Delays of the last change: file to agent (one clock), agent to commit (two); texts. */
export function hops(build, store) {
  const changed = parse(build.changed_at);
  const observed = parse(build.observed_at);
  if (changed === null || observed === null) return [UNKNOWN, UNKNOWN];
  const seen = precise(observed - changed);
  // The last commit of a stalled or unknown build was of silence, not of this change.
  if (build.state === "stalled" || build.state === "unknown") return [seen, UNKNOWN];
  return [seen, precise(parse(build.last_updated) - store.ours(build.host, build.observed_at))];
}

/** Only addresses that a browser opens as a page of the web. */
export function web(address) {
  return typeof address === "string" && /^https?:\/\/[^\s\p{Cc}]+$/iu.test(address) ? address : null;
}

export function prText(address) {
  const number = /\/(?:pull|merge_requests)\/(\d+)\/*$/.exec(address)?.[1];
  return number ? `PR #${number}` : line(address.replace(/^[a-z]+:\/\//i, ""), 60);
}

const HOST_PLAIN = /[A-Za-z0-9.-]/;

/** The page of a host. */
export function hostHref(name) {
  return `/hosts/${hostKey(name)}`;
}

/** A host's name in addresses: bytes other than letters, digits, dots and dashes as `_xx`. */
export function hostKey(name) {
  if (/^\.*$/.test(name)) return name.replaceAll(".", "_2e");
  let out = "";
  for (const byte of new TextEncoder().encode(name)) {
    const c = String.fromCharCode(byte);
    out += byte < 128 && HOST_PLAIN.test(c) ? c : `_${byte.toString(16).padStart(2, "0")}`;
  }
  return out;
}

export function buildHref(id) {
  return `/builds/${encodeURIComponent(id)}`;
}
