// The history of the chosen build: pages of it over plain HTTP, and what comes
// in while one looks. One request at a time.

import { clone, fieldsOf, setAttr, setHidden, setStamp, setText, timesTitle } from "./dom.js";
import { bytes, clockSeconds, parse, precise } from "./format.js";
import { attribute, block, line } from "./text.js";

const PAGE = 50;
const DOCUMENT_CHARS = 8000;
const TIMEOUT_MS = 10_000;

export class Events {
  #store;
  #build = null;
  #article = null;
  #last = null;
  #more = false;
  #busy = false;
  #again = false;

  constructor(store) {
    this.#store = store;
  }

  /** Takes over a panel: the one the server filled, or a fresh one. */
  attach(article, build) {
    this.#article = article;
    this.#build = build;
    const f = fieldsOf(article);
    this.#last = Number(f.events.lastElementChild?.dataset.event) || null;
    const button = article.querySelector("[data-action=more-events]");
    this.#more = !button.hidden;
    button.onclick = (event) => {
      event.preventDefault();
      void this.#read();
    };
    if (this.#last === null) void this.#read();
    else if (!this.#more) void this.#read();
  }

  /** The build has changed: look for its newest events, when the end is on show. */
  changed(build) {
    if (build.id !== this.#build?.id) return;
    this.#build = build;
    if (!this.#more) void this.#read();
  }

  async #read() {
    if (this.#busy) {
      this.#again = true;
      return;
    }
    this.#busy = true;
    this.#again = false;
    const article = this.#article;
    try {
      const page = await this.#fetch();
      if (article === this.#article) this.#show(page);
    } catch {
      if (article === this.#article) this.#note("They cannot be read right now.");
    } finally {
      this.#busy = false;
    }
    if (this.#again) void this.#read();
  }

  async #fetch() {
    const url = new URL(`/api/v1/builds/${encodeURIComponent(this.#build.id)}/events`, location.href);
    url.searchParams.set("limit", String(PAGE));
    if (this.#last !== null) url.searchParams.set("after", String(this.#last));
    const answer = await fetch(url, { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    return answer.json();
  }

  #show({ events, next }) {
    const list = fieldsOf(this.#article).events;
    for (const event of events) {
      if (this.#last !== null && event.id <= this.#last) continue;
      list.append(this.#item(event));
      this.#last = event.id;
    }
    this.#more = next !== null && next !== undefined;
    setHidden(this.#article.querySelector("[data-action=more-events]"), !this.#more);
    this.#note(list.children.length ? "" : "None are kept any more.");
  }

  #note(text) {
    const note = fieldsOf(this.#article)["events-note"];
    setText(note, text);
    setHidden(note, text === "");
  }

  #item(event) {
    const li = clone("t-event");
    const f = fieldsOf(li);
    li.dataset.event = event.id;
    const t = parse(event.changed_at) ?? 0;
    const pairs = [
      ["file changed", event.changed_at],
      ["seen by the agent", event.observed_at],
      ["taken by the broker", event.broker_at],
      ["committed", event.committed_at],
    ];
    setStamp(f["event-at"], { t, iso: event.changed_at, text: clockSeconds(t), title: timesTitle(pairs) });
    setText(f["event-kind"], line(event.kind).replaceAll("_", " "));
    setText(f["event-file"], event.file ? line(event.file.slice(event.file.lastIndexOf("/") + 1)) : "");
    setAttr(f["event-file"], "title", event.file ? attribute(event.file) : null);
    const marks = [event.late && "late, without effect", event.found && "found", event.size > 0 && bytes(event.size)];
    setText(f["event-marks"], marks.filter(Boolean).join(" · "));
    this.#fillRest(f, event);
    return li;
  }

  #fillRest(f, event) {
    const seen = parse(event.observed_at) - parse(event.changed_at);
    const committed = parse(event.committed_at) - this.#store.ours(this.#build.host, event.observed_at);
    setText(f["event-hops"], event.file ? `seen after ${precise(seen)}, committed after ${precise(committed)}` : "");
    setHidden(f["event-message"], !event.message);
    setText(f["event-message"], event.message ? block(event.message) : "");
    const empty = event.document === null || event.document === undefined;
    setHidden(f["event-content"], empty);
    setText(f["event-document"], empty ? "" : block(JSON.stringify(event.document, null, 2), DOCUMENT_CHARS));
    setAttr(f["event-content"], "open", null);
  }
}
