// Reading over plain HTTP, only while the WebSocket cannot be had: one request
// at a time, a new round every 5 s, none while nobody looks.

const EVERY_MS = 5000;
const TIMEOUT_MS = 4500;
const LIMIT = 200;

export class Fallback {
  #running = false;
  #abort = null;
  #timer = 0;

  /** `onData({builds, hosts})` after each round; `onState("ok" | "failing" | "off")`. */
  constructor({ onData, onState }) {
    this.onData = onData;
    this.onState = onState;
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
    const signal = AbortSignal.any([this.#abort.signal, AbortSignal.timeout(TIMEOUT_MS)]);
    try {
      const { builds } = await get(`/api/v1/builds?limit=${LIMIT}`, signal);
      const { hosts } = await get("/api/v1/hosts", signal);
      if (!this.#running) return;
      this.onData({ builds, hosts });
      this.onState("ok");
    } catch {
      if (this.#running) this.onState("failing");
    }
  }
}

async function get(url, signal) {
  const answer = await fetch(url, { signal, cache: "no-store", headers: { accept: "application/json" } });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  return answer.json();
}
