// The WebSocket: kept open for ever. States: connecting (first try), live,
// reconnecting, lost (after some tries or some time). Resumes where it was by
// `?since=`; looks after itself when the tab wakes and when nothing is heard.

import { delay } from "./backoff.js";

/** Heartbeats are asked for every 5 s; given up after two missed and a margin. */
const BEAT_S = 5;
const SILENCE_MS = 12_000;
/** After waking, one missed heartbeat is enough to ask anew. */
const STALE_ON_WAKE_MS = 6000;
const JUST_WOKE_MS = 2000;
const WATCH_EVERY_MS = 2000;
const OPEN_TIMEOUT_MS = 10_000;
const LOST_AFTER_TRIES = 3;
const LOST_AFTER_MS = 15_000;

export class Connection {
  #socket = null;
  #tries = 0;
  #downSince = null;
  #heardAt = 0;
  #retryTimer = 0;
  #openTimer = 0;
  #retryAt = 0;
  #stopped = true;
  #wasOffline = false;
  #wokeAt = 0;

  /** `since()`: newest seq or null; `onFrame(frame)`; `onState(state)`. */
  constructor({ since, onFrame, onState }) {
    this.since = since;
    this.onFrame = onFrame;
    this.onState = onState;
    this.state = "connecting";
  }

  /** When the next try is due, milliseconds of Date.now(); 0 while one is under way. */
  get retryAt() {
    return this.#retryAt;
  }

  /** Failed tries since it was last live. */
  get tries() {
    return this.#tries;
  }

  start() {
    this.#stopped = false;
    document.addEventListener("visibilitychange", () => document.hidden || this.#wake());
    document.addEventListener("resume", () => this.#wake());
    window.addEventListener("focus", () => this.#wake());
    window.addEventListener("offline", () => (this.#wasOffline = true));
    window.addEventListener("online", () => this.#wake());
    // A page in the back-forward cache must not hold a socket.
    window.addEventListener("pagehide", () => this.#pause());
    window.addEventListener("pageshow", (event) => event.persisted && this.#resume());
    setInterval(() => this.#watch(), WATCH_EVERY_MS);
    this.#connect();
  }

  /** Says something to the server; lost when it is away. */
  send(message) {
    if (this.#isLive()) this.#socket.send(JSON.stringify(message));
  }

  /** Now, whatever the back-off says. */
  retryNow() {
    if (this.#stopped || this.#isLive()) return;
    this.#connect();
  }

  #isLive() {
    return this.state === "live" && this.#socket?.readyState === WebSocket.OPEN;
  }

  #silentFor() {
    return Date.now() - this.#heardAt;
  }

  #wake() {
    if (this.#stopped) return;
    this.#wokeAt = Date.now();
    const doubtful = this.#wasOffline || this.#silentFor() > STALE_ON_WAKE_MS;
    this.#wasOffline = false;
    if (this.#isLive() && !doubtful) return;
    if (this.#socket?.readyState === WebSocket.CONNECTING && !doubtful) return;
    this.#connect();
  }

  #watch() {
    if (this.#isLive() && this.#silentFor() > SILENCE_MS) this.#failed();
    else if (!this.#isLive() && !this.#stopped) this.#judge();
  }

  #pause() {
    this.#stopped = true;
    this.#drop();
  }

  #resume() {
    this.#stopped = false;
    this.#connect();
  }

  #drop() {
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#openTimer);
    this.#retryAt = 0;
    const socket = this.#socket;
    this.#socket = null;
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = socket.onerror = null;
      socket.close();
    }
  }

  #connect() {
    this.#drop();
    this.#downSince ??= Date.now();
    this.#judge();
    const url = new URL("/api/v1/stream", location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    const since = this.since();
    url.searchParams.set("beat", String(BEAT_S));
    if (since !== null) url.searchParams.set("since", String(since));
    let socket;
    try {
      socket = new WebSocket(url);
    } catch {
      // Forbidden by the browser: plain HTTP may still be allowed.
      this.#failed();
      return;
    }
    this.#socket = socket;
    this.#openTimer = setTimeout(() => this.#failed(), OPEN_TIMEOUT_MS);
    socket.onopen = () => this.#opened();
    socket.onclose = () => this.#failed();
    socket.onmessage = (event) => this.#heard(event.data);
  }

  #opened() {
    clearTimeout(this.#openTimer);
    this.#heardAt = Date.now();
    this.#downSince = null;
    this.#set("live");
  }

  #heard(text) {
    this.#heardAt = Date.now();
    this.#tries = 0;
    this.onFrame(JSON.parse(text));
  }

  #failed() {
    this.#drop();
    if (this.#stopped) return;
    this.#downSince ??= Date.now();
    this.#tries += 1;
    // A tab that wakes learns only then that its socket was closed: no reason to wait.
    const justWoke = this.#tries === 1 && Date.now() - this.#wokeAt < JUST_WOKE_MS;
    const wait = justWoke ? 0 : delay(this.#tries);
    this.#retryAt = Date.now() + wait;
    this.#retryTimer = setTimeout(() => this.#connect(), wait);
    this.#judge();
  }

  #judge() {
    const lost = this.#tries >= LOST_AFTER_TRIES || Date.now() - this.#downSince > LOST_AFTER_MS;
    const first = this.state === "connecting" && this.#tries === 0;
    this.#set(first ? "connecting" : lost ? "lost" : "reconnecting");
  }

  #set(state) {
    this.state = state;
    this.onState(state);
  }
}
