// Tells those who listen rather than look that builds ended. Nothing else is
// said: a page that talks all the time is switched off.

import { attribute } from "./text.js";

/** Ends within this time are told in one sentence. */
const GATHER_MS = 1000;

const ended = [];
let timer = 0;

/** A build has just ended. */
export function announce(build) {
  ended.push(`${attribute(build.project)} on ${attribute(build.host)} ${build.state}`);
  timer ||= setTimeout(tell, GATHER_MS);
}

function tell() {
  timer = 0;
  const all = ended.splice(0);
  const text = all.length > 3 ? `${all.length} builds ended` : all.join(". ");
  document.getElementById("announce").textContent = text;
}
