// The log of the chosen build: its newest lines over plain HTTP, what comes
// after them by the stream. Follows the end unless one has scrolled up. Lines
// have numbers without gaps, so that a missing frame is seen and fetched.

import { clone, fieldsOf, setAttr, setHidden, setText } from "./dom.js";
import { clockSeconds, parse } from "./format.js";
import { attribute, block, line } from "./text.js";

/** Lines on the page: what one can look over; the rest has the API. */
const MAX_LINES = 2000;
const PAGE = 500;
const LINE_CHARS = 2001;
const TIMEOUT_MS = 10_000;
/** Nearer to the end than this is at the end, pixels. */
const AT_END_PX = 24;
/** No frames are painted in a hidden tab. */
const HIDDEN_DRAW_MS = 500;

export class BuildLog {
  #stream;
  #id = null;
  #article = null;
  #last = 0;
  #newest = 0;
  #waiting = [];
  #scheduled = false;
  #busy = false;
  #again = false;
  #paused = false;
  #following = true;
  #unseen = 0;
  #filter = "";
  #file = null;

  /** `stream`: `send(message)` to the server, and `isLive()`. */
  constructor(stream) {
    this.#stream = stream;
  }

  /** Takes over a panel. */
  attach(article, build) {
    this.#article = article;
    this.#id = build.id;
    this.#last = this.#newest = this.#unseen = 0;
    this.#waiting = [];
    this.#paused = false;
    this.#following = true;
    this.#filter = "";
    this.#file = null;
    const f = fieldsOf(article);
    setAttr(f["log-all"], "href", `/api/v1/builds/${encodeURIComponent(build.id)}/logs?limit=1000`);
    f["log-filter"].oninput = () => this.#filtered(f["log-filter"].value);
    f["log-filter"].onkeydown = (event) => this.#key(event);
    f["log-pause"].onclick = () => this.#pause(!this.#paused);
    f["log-end"].onclick = () => this.#toEnd();
    f["log-lines"].onscroll = () => this.#scrolled();
    this.subscribe();
  }

  detach() {
    this.#id = null;
    this.#article = null;
    this.#stream.send({ type: "logs", build: null });
  }

  /** The stream is there, or there again. */
  subscribe() {
    if (this.#id === null) return;
    this.#stream.send({ type: "logs", build: this.#id });
    void this.#read();
  }

  /** The build has changed: where no stream is to be had, its lines have too. */
  changed() {
    if (this.#id !== null && !this.#paused && !this.#stream.isLive()) void this.#read();
  }

  /** A `log` frame. */
  take({ id, lines, dropped, skipped_bytes: skipped }) {
    if (id !== this.#id || lines.length === 0) return;
    this.#newest = Math.max(this.#newest, lines[lines.length - 1].number);
    this.#tellDropped(dropped, skipped);
    if (this.#paused) return this.#buttons();
    const expected = (this.#waiting.at(-1)?.number ?? this.#last) + 1;
    if (this.#busy || lines[0].number > expected) return void this.#read();
    this.#queue(lines);
  }

  async #read() {
    if (this.#busy) {
      this.#again = true;
      return;
    }
    this.#busy = true;
    this.#again = false;
    const article = this.#article;
    let more = false;
    try {
      this.#draw();
      const page = await this.#fetch();
      if (article !== this.#article) return;
      more = this.#show(page);
    } catch {
      if (article === this.#article) this.#note("It cannot be read right now.");
    } finally {
      this.#busy = false;
      if ((more || this.#again) && this.#id !== null && !this.#paused) void this.#read();
    }
  }

  async #fetch() {
    const url = new URL(`/api/v1/builds/${encodeURIComponent(this.#id)}/logs`, location.href);
    url.searchParams.set("limit", String(PAGE));
    // Too far behind: the newest are worth more than all that are between.
    if (this.#last === 0 || this.#newest - this.#last > PAGE) url.searchParams.set("last", "1");
    else url.searchParams.set("after", String(this.#last));
    const answer = await fetch(url, { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    return answer.json();
  }

  /** True: there is more to be read. */
  #show({ lines, next, dropped, skipped_bytes: skipped }) {
    this.#tellDropped(dropped, skipped);
    this.#queue(lines);
    this.#draw();
    const none = this.#last === 0;
    this.#note(none ? "No log lines came from this build." : "");
    setHidden(fieldsOf(this.#article)["log-body"], none);
    return next !== null && next !== undefined;
  }

  #queue(lines) {
    this.#waiting.push(...lines);
    if (this.#waiting.length > MAX_LINES) this.#waiting.splice(0, this.#waiting.length - MAX_LINES);
    if (this.#scheduled) return;
    this.#scheduled = true;
    if (document.hidden) setTimeout(() => this.#draw(), HIDDEN_DRAW_MS);
    else requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#scheduled = false;
    if (!this.#article) return;
    const list = fieldsOf(this.#article)["log-lines"];
    const fragment = document.createDocumentFragment();
    for (const entry of this.#waiting.splice(0)) {
      if (entry.number <= this.#last) continue;
      if (this.#last && entry.number > this.#last + 1) fragment.append(this.#gap(entry.number - this.#last - 1));
      if (entry.file !== this.#file) fragment.append(this.#head(entry));
      fragment.append(this.#item(entry));
      this.#last = entry.number;
      this.#unseen += 1;
    }
    if (!fragment.childNodes.length) return;
    this.#newest = Math.max(this.#newest, this.#last);
    list.append(fragment);
    while (list.children.length > MAX_LINES) list.firstElementChild.remove();
    this.#note("");
    setHidden(fieldsOf(this.#article)["log-body"], false);
    if (this.#following) list.scrollTop = list.scrollHeight;
    this.#buttons();
  }

  #item(entry) {
    const li = clone("t-log-line");
    li.dataset.number = entry.number;
    setText(li.firstElementChild, block(entry.text, LINE_CHARS) || " ");
    setHidden(li.lastElementChild, !entry.cut);
    setHidden(li, !this.#fits(entry.text));
    return li;
  }

  /** Where the lines of another file begin. */
  #head(entry) {
    this.#file = entry.file;
    const li = clone("t-log-file");
    setText(li.firstElementChild, line(entry.file));
    setAttr(li.firstElementChild, "title", attribute(entry.file));
    const t = parse(entry.observed_at);
    setText(li.lastElementChild, t === null ? "" : clockSeconds(t));
    return li;
  }

  #gap(count) {
    const li = clone("t-log-file");
    setText(li.firstElementChild, `${count} lines are not shown here`);
    this.#file = null;
    return li;
  }

  #fits(text) {
    return this.#filter === "" || text.toLowerCase().includes(this.#filter);
  }

  #filtered(text) {
    this.#filter = text.trim().toLowerCase();
    const list = fieldsOf(this.#article)["log-lines"];
    let shown = 0;
    for (const li of list.children) {
      if (!li.dataset.number) continue;
      const fits = this.#fits(li.firstElementChild.textContent);
      setHidden(li, !fits);
      if (fits) shown += 1;
    }
    this.#note(this.#filter && !shown ? "No line here matches." : "");
    if (this.#following) list.scrollTop = list.scrollHeight;
  }

  #key(event) {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    const filter = event.currentTarget;
    filter.value = "";
    this.#filtered("");
    fieldsOf(this.#article)["log-lines"].focus();
  }

  #pause(paused) {
    this.#paused = paused;
    this.#buttons();
    if (!paused) void this.#read();
  }

  #toEnd() {
    const list = fieldsOf(this.#article)["log-lines"];
    list.scrollTop = list.scrollHeight;
    list.focus({ preventScroll: true });
  }

  #scrolled() {
    const list = fieldsOf(this.#article)["log-lines"];
    const following = list.scrollHeight - list.scrollTop - list.clientHeight < AT_END_PX;
    if (following === this.#following && !following) return;
    this.#following = following;
    this.#buttons();
  }

  #buttons() {
    const f = fieldsOf(this.#article);
    if (this.#following) this.#unseen = 0;
    const held = this.#paused ? Math.max(0, this.#newest - this.#last) : 0;
    setAttr(f["log-pause"], "aria-pressed", String(this.#paused));
    setText(f["log-pause"], this.#paused ? (held ? `Go on (${held} new)` : "Go on") : "Pause");
    setHidden(f["log-end"], this.#following);
    setText(f["log-end"], this.#unseen ? `To the end (${this.#unseen} new)` : "To the end");
  }

  #tellDropped(dropped, skipped) {
    const parts = [];
    if (dropped) parts.push(`${dropped.toLocaleString("en")} older ${dropped === 1 ? "line is" : "lines are"} not kept`);
    if (skipped) parts.push(`${skipped.toLocaleString("en")} bytes were never read: they came too fast`);
    const el = fieldsOf(this.#article)["log-dropped"];
    setText(el, parts.join(" · "));
    setHidden(el, parts.length === 0);
  }

  #note(text) {
    const note = fieldsOf(this.#article)["log-note"];
    setText(note, text);
    setHidden(note, text === "");
  }
}
