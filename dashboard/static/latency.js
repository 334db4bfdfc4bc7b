// "File to screen": from the moment a file changed to the moment the page
// showed it, measured on real changes only, on clocks that were compared.

import { serverNow, uncertainty } from "./clock.js";
import { parse } from "./format.js";

const KEEP = 21;
/** Beyond this it was not a live change: an outbox was emptied, or a tab woke. */
const LONGEST_MS = 60_000;
const AT_ONCE_MS = 1000;

const samples = [];

/** What was found at the agent's start may have changed long before. */
function seenAtOnce(build) {
  return parse(build.observed_at) - parse(build.changed_at) < AT_ONCE_MS;
}

/** The page shows this change now. */
export function measured(build, store) {
  if (document.hidden || (build.found && !seenAtOnce(build))) return;
  const changed = store.ours(build.host, build.changed_at);
  if (changed === null) return;
  const ms = serverNow() - changed;
  if (ms < -uncertainty() - 1 || ms > LONGEST_MS) return;
  samples.push(Math.max(0, ms));
  if (samples.length > KEEP) samples.shift();
}

/** {text, title} of the median, or null before the first. */
export function median() {
  if (!samples.length) return null;
  const ms = [...samples].sort((a, b) => a - b)[Math.floor(samples.length / 2)];
  const text = ms < 1 ? "<1 ms" : ms < 10 ? `${ms.toFixed(1)} ms` : ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
  const n = samples.length;
  return { text, title: `median of the last ${n} ${n === 1 ? "change" : "changes"}, clocks compared to ±${Math.ceil(uncertainty())} ms` };
}
