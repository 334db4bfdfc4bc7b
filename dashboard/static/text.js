// Text from producers made fit for a page; the same as src/text.rs.

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

/** Calls of tools as [name, for what, and what went in and came out, or how it stands]. */
export function calls(list) {
  return (Array.isArray(list) ? list : []).slice(0, MAX_MEMBERS).map((call) => {
    const text = (key) => (typeof call?.[key] === "string" ? call[key] : "");
    const todo = call?.planning === true ? "(planning)" : text("todo") && `(${text("todo")})`;
    const output = text("output") && `${call.is_error === true ? "failed: " : "→ "}${text("output")}`;
    const state = Object.hasOwn(CALL_STATES, text("state")) ? CALL_STATES[text("state")] : "";
    return [line(text("name") || "—"), block([todo, text("input"), output, state].filter((part) => part).join("\n"))];
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
