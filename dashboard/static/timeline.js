// The timeline of a build: a lane for each phase, in thousandths of the whole;
// the running one grows, and silence after the last sign of life is hatched.

import { clone, setAttr, setList, setStamp, setText } from "./dom.js";
import { UNKNOWN, clock, parse, precise } from "./format.js";
import { phaseCell, updatedAt } from "./model.js";
import { line } from "./text.js";

const MAX_LANES = 40;
const MIN_BAR = 6;

function span(phase, store, build, end) {
  const start = store.ours(build.host, phase.started_at);
  const left = store.ours(build.host, phase.ended_at);
  const open = phase.state === "running" || phase.state === "failed";
  return { start, end: left ?? (open ? end : null) };
}

function geometry(from, to, start, end) {
  const whole = Math.max(1, to - from);
  const thousandths = (t) => Math.floor(((t - from) * 1000) / whole);
  const width = Math.min(1000, Math.max(MIN_BAR, thousandths(end) - thousandths(start)));
  return { x: Math.min(1000 - width, Math.max(0, thousandths(start))), width };
}

/** Draws the lanes into the fields `f` of a panel. */
export function fillTimeline(f, build, store, now) {
  const phases = (build.phases ?? []).slice(0, MAX_LANES);
  const end = store.ours(build.host, build.ended_at) ?? now;
  const spans = phases.map((phase) => span(phase, store, build, end));
  const starts = spans.map((s) => s.start).concat(store.ours(build.host, build.started_at));
  const from = Math.min(...starts.filter((t) => t !== null));
  const to = Math.max(end, ...spans.map((s) => s.end).filter((t) => t !== null));
  const silentFrom = build.state === "stalled" ? store.ours(build.host, build.alive_at) ?? updatedAt(build, store) : null;
  const lanes = phases.map((phase, i) => ({ phase, ...spans[i], cell: phaseCell(phase, build.state) }));
  setList(f.lanes, lanes, () => clone("t-lane"), (el, lane) => fillLane(el, lane, from, to, silentFrom));
  const known = Number.isFinite(from);
  setStamp(f.from, known ? { t: from, text: clock(from) } : null);
  setStamp(f.to, known ? { t: to, text: clock(to) } : null);
}

function fillLane(el, { phase, start, end, cell }, from, to, silentFrom) {
  const [name, svg, time] = el.children;
  const [bar, silent] = svg.children;
  setAttr(el, "class", `lane ${cell.class}`);
  setAttr(el, "title", cell.title);
  setText(name, line(phase.name));
  const drawn = start !== null && end !== null;
  setText(time, drawn ? precise(end - start) : UNKNOWN);
  const quiet = drawn && cell.class === "w" && silentFrom !== null && silentFrom > start && silentFrom < end;
  place(bar, drawn ? geometry(from, to, start, quiet ? silentFrom : end) : null);
  place(silent, quiet ? geometry(from, to, silentFrom, end) : null);
}

function place(rect, at) {
  setAttr(rect, "x", String(at?.x ?? 0));
  setAttr(rect, "width", String(at?.width ?? 0));
}

/** Whether it looks different a second later. */
export function grows(build) {
  return parse(build.ended_at) === null && (build.phases ?? []).some((phase) => phase.state === "running");
}
