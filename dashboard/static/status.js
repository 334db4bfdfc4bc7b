// How the page is connected, as seen: a dot, a countdown, a banner, and what
// the values are worth meanwhile.

import { clockSeconds } from "./format.js";
import { setAttr, setHidden, setText } from "./dom.js";

const root = document.documentElement;

export class Status {
  #connection;
  #fallback = "off";
  #asOf;
  #stale = null;
  #el = document.getElementById("connection");
  #banner = document.getElementById("banner");

  constructor(connection) {
    this.#connection = connection;
    this.#asOf = Number(root.dataset.now);
    for (const button of document.querySelectorAll("[data-action=retry]")) {
      button.addEventListener("click", () => connection.retryNow());
    }
  }

  /** All values were right at `now` (server time). */
  heard(now) {
    this.#asOf = now;
  }

  fallback(state) {
    this.#fallback = state;
    this.draw();
  }

  /** The server itself hears nothing new: why, and since when. Null: it does. */
  stale(stale) {
    this.#stale = stale;
    this.draw();
  }

  draw() {
    const { state } = this.#connection;
    setAttr(root, "data-connection", state);
    const stale = state === "live" && this.#stale;
    setAttr(root, "data-fallback", this.#fallback);
    setAttr(root, "data-stale", stale ? "yes" : null);
    const text = this.#el.querySelector("[data-f=connection]");
    setText(text, stale ? "stale" : this.#word(state));
    setHidden(this.#el.querySelector("[data-action=retry]"), state !== "reconnecting");
    setHidden(this.#banner, state !== "lost" && !stale);
    setHidden(this.#banner.querySelector("[data-action=retry]"), Boolean(stale));
    if (stale) setText(this.#banner.querySelector("[data-f=banner]"), this.#staleSentence(stale));
    if (state === "lost") setText(this.#banner.querySelector("[data-f=banner]"), this.#sentence());
    const title = state === "live" ? "Changes arrive as they happen" : `Values as of ${clockSeconds(this.#asOf)}`;
    setAttr(this.#el, "title", title);
  }

  #staleSentence({ reason, last_seen_at: lastSeen }) {
    return `Stale: ${reason}. Everything here was last seen at ${clockSeconds(Date.parse(lastSeen))}; news comes by itself when it is back.`;
  }

  #seconds() {
    const { retryAt } = this.#connection;
    return retryAt ? Math.max(0, Math.ceil((retryAt - Date.now()) / 1000)) : 0;
  }

  #word(state) {
    if (state !== "reconnecting") return state;
    const seconds = this.#seconds();
    return seconds > 0 ? `reconnecting in ${seconds} s` : "reconnecting";
  }

  #sentence() {
    const seconds = this.#seconds();
    const asOf = clockSeconds(this.#asOf);
    const next = seconds > 0 ? `Next try in ${seconds} s.` : "Trying now.";
    if (this.#fallback === "ok") return `No live connection: read every 5 s instead, as of ${asOf}. ${next}`;
    return `Connection lost: everything here is as of ${asOf}. ${next}`;
  }
}
