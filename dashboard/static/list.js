// The lists of builds. On the live page every build stands in its group, at
// its place; on other pages the rows that the server drew are kept current.

import { move, setHidden, setText, fieldsOf } from "./dom.js";
import { GROUPS, groupOf, sortKey } from "./model.js";
import { fillRow, makeRow } from "./row.js";
import { projectOf } from "./store.js";

function before(a, b) {
  for (let i = 0; i < a.key.length; i++) {
    if (a.key[i] !== b.key[i]) return a.key[i] < b.key[i];
  }
  return a.id < b.id;
}

export class List {
  #store;
  #rows = new Map();
  #placed = new Map();
  #groups = {};
  #words = [];
  #live;
  selected = null;

  constructor(store) {
    this.#store = store;
    this.#live = document.body.dataset.view === "live";
    for (const name of GROUPS) {
      const section = this.#live ? document.querySelector(`[data-group="${name}"]`) : null;
      this.#groups[name] = { order: [], section, ul: section?.querySelector(".rows") };
    }
    for (const li of document.querySelectorAll("li[data-build]")) this.#rows.set(li.dataset.build, li);
  }

  /** How many builds stand in a group. */
  size(group) {
    return this.#groups[group].order.length;
  }

  /** Draws everything anew, rows in place. */
  all(now) {
    for (const id of [...this.#placed.keys()]) if (!this.#store.builds.has(id)) this.#remove(id);
    if (this.#live) {
      for (const [id, li] of this.#rows) if (!this.#store.builds.has(id)) this.#dropRow(id, li);
    }
    const builds = [...this.#store.builds.values()];
    if (this.#live) for (const build of builds) this.#place(build, now);
    else for (const build of builds) this.#count(build, now);
    for (const build of builds) this.#fill(build, now);
    this.#finish();
  }

  /** Draws these builds. `fresh`: a new one is among them, so its project's earlier runs may move. */
  some(ids, fresh, now) {
    const todo = new Set(ids);
    if (fresh) {
      const projects = new Set(ids.map(projectOf));
      for (const id of this.#store.builds.keys()) if (projects.has(projectOf(id))) todo.add(id);
    }
    for (const id of todo) {
      const build = this.#store.builds.get(id);
      if (!build) continue;
      if (this.#live) this.#place(build, now);
      else this.#count(build, now);
      this.#fill(build, now);
    }
    this.#finish();
  }

  /** Shows only rows in which each of the words occurs. */
  filter(text) {
    this.#words = text.toLowerCase().split(/\s+/).filter(Boolean);
    for (const [id, li] of this.#rows) {
      const build = this.#store.builds.get(id);
      if (build) setHidden(li, !this.#matches(build));
    }
    this.#finish();
  }

  /** Marks the row of the chosen build. */
  select(id) {
    this.#mark(this.selected, null);
    this.selected = id;
    this.#mark(id, "true");
  }

  row(id) {
    return this.#rows.get(id);
  }

  #mark(id, value) {
    const link = id && this.#rows.get(id)?.querySelector("a.row");
    if (!link) return;
    if (value) link.setAttribute("aria-current", value);
    else link.removeAttribute("aria-current");
  }

  #matches(build) {
    if (!this.#words.length) return true;
    const parts = [build.project, build.host, build.branch, build.state, build.phase, build.session_id, build.detail, build.id];
    const hay = parts.filter(Boolean).join(" ").toLowerCase();
    return this.#words.every((word) => hay.includes(word));
  }

  #fill(build, now) {
    const li = this.#rows.get(build.id);
    if (!li) return;
    fillRow(li, build, this.#store, now);
    if (this.#live) setHidden(li, !this.#matches(build));
  }

  /** Moves the build to its place in its group; false when it has none any more. */
  #count(build, now) {
    const group = groupOf(build, this.#store, now);
    const had = this.#placed.get(build.id);
    const key = group && sortKey(group, build, this.#store);
    if (had && had.group === group && had.key.every((part, i) => part === key[i])) return had;
    if (had) this.#unplace(had);
    if (!group) return null;
    const entry = { id: build.id, group, key };
    const { order } = this.#groups[group];
    let at = order.findIndex((other) => before(entry, other));
    if (at < 0) at = order.length;
    order.splice(at, 0, entry);
    this.#placed.set(build.id, entry);
    return entry;
  }

  #place(build, now) {
    const entry = this.#count(build, now);
    let li = this.#rows.get(build.id);
    if (!entry) {
      if (li) this.#dropRow(build.id, li);
      if (this.selected !== build.id) this.#store.forget(build.id);
      return;
    }
    if (!li) {
      li = makeRow(build);
      this.#rows.set(build.id, li);
    }
    const { order, ul } = this.#groups[entry.group];
    const next = order[order.indexOf(entry) + 1];
    const nextRow = next ? this.#rows.get(next.id) : null;
    move(ul, li, nextRow?.parentNode === ul ? nextRow : null);
    if (this.selected === build.id) this.#mark(build.id, "true");
  }

  #unplace(entry) {
    const { order } = this.#groups[entry.group];
    const at = order.indexOf(entry);
    if (at >= 0) order.splice(at, 1);
    this.#placed.delete(entry.id);
  }

  #remove(id) {
    this.#unplace(this.#placed.get(id));
  }

  #dropRow(id, li) {
    li.remove();
    this.#rows.delete(id);
  }

  #finish() {
    if (!this.#live) return;
    let shown = 0;
    for (const name of GROUPS) {
      const { order, section, ul } = this.#groups[name];
      const visible = this.#words.length ? [...ul.children].filter((li) => !li.hidden).length : order.length;
      shown += visible;
      setText(fieldsOf(section)["group-count"], String(visible));
      setHidden(section, visible === 0);
    }
    setHidden(document.getElementById("no-match"), shown > 0 || !this.#words.length);
  }
}
