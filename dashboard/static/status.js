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

  /** All values are those that the server had at `now` (server time); a stale server's were right before. */
  heard(now) {
    if (!this.#stale) this.#asOf = now;
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
    const live = state === "live";
    const stale = this.#stale !== null;
    setAttr(root, "data-connection", state);
    setAttr(root, "data-fallback", this.#fallback);
    setAttr(root, "data-stale", stale ? "yes" : null);
    const text = this.#el.querySelector("[data-f=connection]");
    setText(text, live && stale ? "stale" : this.#word(state));
    setHidden(this.#el.querySelector("[data-action=retry]"), state !== "reconnecting");
    setHidden(this.#banner, state !== "lost" && !stale);
    setHidden(this.#banner.querySelector("[data-action=retry]"), state !== "lost");
    if (!this.#banner.hidden) setText(this.#banner.querySelector("[data-f=banner]"), this.#sentence(state));
    setAttr(this.#el, "title", live && !stale ? "Changes arrive as they happen" : `Values as of ${this.#asOfText()}`);
  }

  /** Until when the values are known to have been right. */
  #asOfText() {
    return clockSeconds(this.#stale ? Date.parse(this.#stale.last_seen_at) : this.#asOf);
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

  #sentence(state) {
    const asOf = this.#asOfText();
    const stale = this.#stale && `Stale: ${this.#stale.reason}. Everything here was last seen at ${asOf}`;
    if (state !== "lost") return `${stale}; news comes by itself when it is back.`;
    const seconds = this.#seconds();
    const next = seconds > 0 ? `Next try in ${seconds} s.` : "Trying now.";
    if (this.#fallback !== "ok") return `Connection lost: everything here is as of ${asOf}. ${next}`;
    if (stale) return `${stale}, read every 5 s without a live connection. ${next}`;
    return `No live connection: read every 5 s instead, as of ${asOf}. ${next}`;
  }
}
