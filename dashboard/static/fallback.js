// Reading over plain HTTP, only while the WebSocket cannot be had: one request
// at a time, a new round every 5 s, none while nobody looks. A round asks
// whether the server itself hears anything new, then reads the newest builds,
// those on show that are older, and the hosts.

import { serverNow } from "./clock.js";

const EVERY_MS = 5000;
/** For one request: a round is several of them. */
const TIMEOUT_MS = 4500;
/** As many as the API gives at once. */
const PAGE = 200;
/** As many as a snapshot holds. */
const MOST_BUILDS = 1000;
/** Older builds on show, each a request of its own: so many that open ones are hardly ever left out. */
const MOST_OLDER = 50;

export class Fallback {
  #running = false;
  #abort = null;
  #timer = 0;

  /**
   * `shown()`: ids of builds on show that may still change, the chosen one first.
   * In each round `onStale(stale)`: what the server says of its own values, null when they are current;
   * `onData({builds, hosts, more}, now)`: `more` when there are builds that were not read, `now` the (server)
   * time since when all of it is right; `onState("ok" | "failing" | "off")`.
   */
  constructor({ shown, onStale, onData, onState }) {
    Object.assign(this, { shown, onStale, onData, onState });
  }

  start() {
    if (this.#running) return;
    this.#running = true;
    void this.#round();
  }

  stop() {
    if (!this.#running) return;
    this.#running = false;
    clearTimeout(this.#timer);
    this.#abort?.abort();
    this.onState("off");
  }

  async #round() {
    const began = Date.now();
    if (!document.hidden) await this.#read();
    if (!this.#running) return;
    this.#timer = setTimeout(() => void this.#round(), Math.max(0, EVERY_MS - (Date.now() - began)));
  }

  async #read() {
    this.#abort = new AbortController();
    try {
      const stale = await this.#freshness();
      if (!this.#running) return;
      this.onStale(stale);
      const now = serverNow();
      const found = await this.#builds();
      const { hosts } = await this.#get("/api/v1/hosts");
      if (!this.#running) return;
      this.onData({ ...found, hosts }, now);
      this.onState("ok");
    } catch {
      if (this.#running) this.onState("failing");
    }
  }

  /** Why the server's values may be old, or null. It tells so while it is not ready, too. */
  async #freshness() {
    const answer = await this.#ask("/readyz");
    return (await answer.json()).stale ?? null;
  }

  async #builds() {
    const builds = [];
    let cursor = null;
    do {
      const after = cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`;
      const page = await this.#get(`/api/v1/builds?limit=${PAGE}${after}`);
      builds.push(...page.builds);
      cursor = page.next;
    } while (cursor !== null && builds.length < MOST_BUILDS);
    const read = new Set(builds.map((build) => build.id));
    const older = this.shown().filter((id) => !read.has(id));
    for (const id of older.slice(0, MOST_OLDER)) {
      const build = await this.#get(`/api/v1/builds/${encodeURIComponent(id)}`);
      if (build) builds.push(build);
    }
    return { builds, more: cursor !== null };
  }

  /** What is at the address; null when there is nothing (any more). */
  async #get(url) {
    const answer = await this.#ask(url);
    if (answer.status === 404) return null;
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    return answer.json();
  }

  #ask(url) {
    const signal = AbortSignal.any([this.#abort.signal, AbortSignal.timeout(TIMEOUT_MS)]);
    return fetch(url, { signal, cache: "no-store", headers: { accept: "application/json" } });
  }
}
