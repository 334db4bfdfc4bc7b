// How far this browser's clock is off the server's, measured: a few short
// requests, of which the one with the shortest round trip tells most. Frames
// only check it: one that arrives before it was sent means that a clock moved.

const PROBES = 4;
const PROBE_TIMEOUT_MS = 3000;
/** Frames may be this much "early" before we measure again. */
const TOLERANCE_MS = 20;
/** Not more often than this, whatever the clocks do. */
const AGAIN_AFTER_MS = 60_000;

let offsetMs = 0;
let errorMs = Infinity;
let measuredAt = 0;

/** Before the first measurement: the page's own time against when its first byte came. */
export function startFromPage() {
  const server = Number(document.documentElement.dataset.now);
  const entry = performance.getEntriesByType("navigation")[0];
  // A page from the back-forward or HTTP cache says nothing about now.
  if (!server || !entry || entry.type === "back_forward") return;
  offsetMs = performance.timeOrigin + entry.responseStart - server;
  errorMs = Math.max(1, entry.responseStart - entry.requestStart);
}

/** Now, on the server's clock, milliseconds. */
export function serverNow() {
  return Date.now() - offsetMs;
}

/** How wrong serverNow() may be, milliseconds. */
export function uncertainty() {
  return errorMs;
}

async function probe() {
  const sent = Date.now();
  const began = performance.now();
  const answer = await fetch("/clock", { cache: "no-store", signal: AbortSignal.timeout(PROBE_TIMEOUT_MS) });
  const roundTrip = performance.now() - began;
  const { now } = await answer.json();
  const server = Date.parse(now);
  if (!answer.ok || Number.isNaN(server)) throw new Error("no time");
  return { roundTrip, offset: sent + roundTrip / 2 - server };
}

/** Measures anew; keeps what was known when the server cannot be asked. */
export async function measure() {
  measuredAt = Date.now();
  let best = null;
  for (let i = 0; i < PROBES; i++) {
    try {
      const one = await probe();
      if (!best || one.roundTrip < best.roundTrip) best = one;
    } catch {
      break;
    }
  }
  if (best) {
    offsetMs = best.offset;
    errorMs = best.roundTrip / 2 + 1;
  }
}

/** A frame of server time `sent` has just arrived. */
export function check(sent) {
  if (serverNow() + TOLERANCE_MS + errorMs >= sent) return;
  offsetMs = Date.now() - sent;
  if (Math.abs(Date.now() - measuredAt) > AGAIN_AFTER_MS) void measure();
}
