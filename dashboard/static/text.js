// Text from producers made fit for a page; the same as src/text.rs.

import { parse, precise } from "./format.js";

export const NAME_CHARS = 160;
export const TITLE_CHARS = 400;
export const VALUE_CHARS = 4000;
export const MAX_MEMBERS = 200;

const REPLACEMENT = "\ufffd";
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;
const BIDI = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

function capped(text, max, clean) {
  let out = "";
  let n = 0;
  for (const c of text) {
    if (n++ === max) return out + "…";
    out += CONTROL.test(c) ? clean(c) : c;
  }
  return out;
}

/** One line: line ends and tabs become blanks, other control characters visible. */
export function line(text, max = NAME_CHARS) {
  return capped(String(text), max, (c) => (c === "\n" || c === "\r" || c === "\t" ? " " : REPLACEMENT));
}

/** Several lines: line ends and tabs stay. */
export function block(text, max = VALUE_CHARS) {
  return capped(String(text), max, (c) => (c === "\n" || c === "\t" ? c : REPLACEMENT));
}

/** For attributes and titles, where nothing isolates writing direction. */
export function attribute(text) {
  return line(text, TITLE_CHARS).replace(BIDI, REPLACEMENT);
}

/** A value of unknown shape: texts as they are, the rest as JSON. */
export function value(v) {
  if (typeof v === "string") return block(v);
  if (v !== null && typeof v === "object") return block(JSON.stringify(v, null, 2));
  return String(v);
}

/** What a producer's module tells by name, in its order, as [name, text]. */
export function told(facts) {
  return (facts ?? []).slice(0, MAX_MEMBERS).map((fact) => [line(fact.label), block(fact.text)]);
}

const CALL_STATES = { "input-available": "under way", error: "failed" };

const listed = (list) => (Array.isArray(list) ? list : []).slice(0, MAX_MEMBERS);

/** How many calls of tools are shown. */
export const callCount = (list) => listed(list).length;

/** One as [name, what went in and came out, or how it stands, and how long it took, whether it is of a point]. */
function call(told, under) {
  const text = (key) => (typeof told?.[key] === "string" ? told[key] : "");
  const output = text("output") && `${told.is_error === true ? "failed: " : "→ "}${text("output")}`;
  const known = Object.hasOwn(CALL_STATES, text("state")) ? CALL_STATES[text("state")] : "";
  const state = known === "failed" && output ? "" : known;
  const [began, ended] = [parse(text("began_at")), parse(text("ended_at"))];
  const took = began !== null && ended !== null && ended >= began ? `took ${precise(ended - began)}` : "";
  const parts = [text("input"), output, state, took];
  return [line(text("name") || "—"), block(parts.filter((part) => part).join("\n")), under];
}

/** Calls of tools beneath the point of the to-do list that they are for, in the order of their first calls. */
export function calls(list) {
  const groups = new Map();
  for (const told of listed(list)) {
    const todo = typeof told?.todo === "string" ? told.todo : "";
    const group = told?.planning === true ? "(planning)" : todo;
    groups.set(group, [...(groups.get(group) ?? []), call(told, group !== "")]);
  }
  return [...groups].flatMap(([group, rows]) => {
    const count = rows.length === 1 ? "1 call" : `${rows.length} calls`;
    return group === "" ? rows : [[line(group, TITLE_CHARS), count, false], ...rows];
  });
}

/** The members of a value as [name, text]; what is no object is one without a name. */
export function members(v) {
  if (v === null || v === undefined) return [];
  if (typeof v !== "object" || Array.isArray(v)) return [["", value(v)]];
  return Object.keys(v)
    .sort()
    .slice(0, MAX_MEMBERS)
    .map((key) => [line(key), value(v[key])]);
}
