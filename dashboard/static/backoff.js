// How long to wait before the next try: 1 s doubling to 30 s, spread by a
// quarter to each side so that many browsers do not come back at once.

const FIRST_MS = 1000;
const LONGEST_MS = 30_000;
const SPREAD = 0.25;

/** `tries`: failed ones so far, from 1; `random`: 0 to 1. */
export function delay(tries, random = Math.random()) {
  const middle = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(tries - 1, 10));
  const spread = middle * (1 - SPREAD + 2 * SPREAD * random);
  return Math.min(LONGEST_MS, Math.max(FIRST_MS, spread));
}
