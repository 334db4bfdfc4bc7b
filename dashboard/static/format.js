// Durations, times, money and counts; the same as src/format.rs, but times are
// local and all times are milliseconds since the epoch.

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;
export const UNKNOWN = "—";

const FRESH = 5 * SECOND;
const AGING = 30 * SECOND;

const two = (n) => String(n).padStart(2, "0");

export function ageClass(ms) {
  return ms < FRESH ? "fresh" : ms < AGING ? "aging" : "old";
}

/** `48 s`, `14 min`, `1 h 04`, `3 d`. */
export function short(ms) {
  ms = Math.max(0, ms);
  if (ms < MINUTE) return `${Math.floor(ms / SECOND)} s`;
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} min`;
  if (ms < DAY) return `${Math.floor(ms / HOUR)} h ${two(Math.floor((ms % HOUR) / MINUTE))}`;
  return `${Math.floor(ms / DAY)} d`;
}

/** `120 ms`, `4.2 s`, `48 s`, `3 min 05 s`, `1 h 04`. */
export function precise(ms) {
  ms = Math.max(0, Math.floor(ms));
  if (ms < SECOND) return `${ms} ms`;
  if (ms < 10 * SECOND) return `${Math.floor(ms / SECOND)}.${Math.floor((ms % SECOND) / 100)} s`;
  if (ms < MINUTE) return `${Math.floor(ms / SECOND)} s`;
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} min ${two(Math.floor((ms % MINUTE) / SECOND))} s`;
  return short(ms);
}

/** Half up on the decimal digits, as `Money::to_cents`; `toFixed` rounds the binary ones. */
export function money(usd, estimated) {
  const mark = estimated ? "~" : "";
  if (usd > 0 && usd < 0.005) return `${mark}<$0.01`;
  const [dollars, fraction = ""] = String(usd).split(".");
  const digits = `${fraction}000`;
  const cents = Number(digits.slice(0, 2)) + (digits[2] >= "5" ? 1 : 0);
  return `${mark}$${Number(dollars) + Math.floor(cents / 100)}.${two(cents % 100)}`;
}

export function count(n) {
  if (n < 1e3) return String(n);
  if (n < 1e4) return `${(n / 1e3).toFixed(1)} k`;
  if (n < 1e6) return `${Math.floor(n / 1e3)} k`;
  return `${(n / 1e6).toFixed(1)} M`;
}

export function bytes(n) {
  if (n < 1024) return `${n} B`;
  if (n < 1048576) return `${Math.floor(n / 1024)} KiB`;
  return `${(n / 1048576).toFixed(1)} MiB`;
}

/** `14:02`, local. */
export function clock(t) {
  const d = new Date(t);
  return `${two(d.getHours())}:${two(d.getMinutes())}`;
}

/** `14:02:11`, local. */
export function clockSeconds(t) {
  return `${clock(t)}:${two(new Date(t).getSeconds())}`;
}

/** `2026-11-20`, local. */
export function day(t) {
  const d = new Date(t);
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
}

/** `2026-11-20 14:02:11.042`, local. */
export function exact(t) {
  return `${day(t)} ${clockSeconds(t)}.${String(new Date(t).getMilliseconds()).padStart(3, "0")}`;
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const YEAR_MATTERS = 300 * DAY;

/** The time of day within the last 24 h, else `20 Nov`, or `Nov 2025` when that is long ago. */
export function ended(t, now) {
  if (now - t < DAY) return clock(t);
  const d = new Date(t);
  const month = MONTHS[d.getMonth()];
  return now - t < YEAR_MATTERS ? `${d.getDate()} ${month}` : `${month} ${d.getFullYear()}`;
}

/** Milliseconds since the epoch of an RFC 3339 time; null for anything else. */
export function parse(time) {
  const t = typeof time === "string" ? Date.parse(time) : NaN;
  return Number.isNaN(t) ? null : t;
}
