// Which build is chosen: the panel and its address. A click opens it without
// leaving the list; back, forward, reload and a copied address lead to the same.

import { serverNow } from "./clock.js";
import { Events } from "./events.js";
import { fillPanel, makePanel, showScreenHop, tickPanel } from "./panel.js";

const TIMEOUT_MS = 10_000;

export class Selection {
  #store;
  #list;
  #aside = document.getElementById("panel");
  #main = document.getElementById("main");
  #article = null;
  #events;
  #log;
  #onChange;
  #left = null;
  id = null;

  /** `log`: of the chosen build; `onChange(build or null)`: for the title. */
  constructor(store, list, log, onChange) {
    this.#store = store;
    this.#list = list;
    this.#onChange = onChange;
    this.#log = log;
    this.#events = new Events(store);
  }

  start() {
    document.addEventListener("click", (event) => this.#clicked(event));
    window.addEventListener("popstate", () => this.#follow());
    const article = this.#aside.querySelector("[data-panel]");
    if (!article) return;
    this.id = article.dataset.panel;
    this.#article = article;
    this.#list.select(this.id);
  }

  /** The first data is here: the panel that the server drew comes to life. */
  async ready() {
    if (!this.id || this.#aside.dataset.alive) return;
    const build = await this.#find(this.id);
    if (!build || this.#article?.dataset.panel !== build.id) return;
    this.#aside.dataset.alive = "";
    this.#fill(build);
    this.#events.attach(this.#article, build);
    this.#log.attach(this.#article, build);
  }

  /** This build has changed; `event`: now, by what happened on its host. */
  changed(id, event) {
    if (id !== this.id || !this.#article) return;
    const build = this.#store.get(id);
    if (!build) return;
    this.#fill(build);
    if (event) showScreenHop(this.#article, serverNow() - Date.parse(build.last_updated));
    this.#events.changed(build);
    this.#log.changed();
  }

  tick(now) {
    const build = this.id && this.#store.get(this.id);
    if (build && this.#article) tickPanel(this.#article, build, this.#store, now);
  }

  close() {
    if (this.id === null) return;
    history.pushState(null, "", "/");
    this.#hide();
  }

  #fill(build) {
    fillPanel(this.#article, build, this.#store, serverNow());
    this.#onChange(build);
  }

  #clicked(event) {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const target = event.target instanceof Element ? event.target : null;
    if (target?.closest("[data-action=close]")) {
      event.preventDefault();
      this.close();
      return;
    }
    const id = target?.closest("a.row")?.closest("[data-build]")?.dataset.build;
    const build = id && this.#store.get(id);
    // Not known yet: the link leads to the build's own page.
    if (!build) return;
    event.preventDefault();
    if (id === this.id) return;
    history.pushState(null, "", target.closest("a.row").href);
    this.#show(build);
    this.#article.querySelector("h1").focus({ preventScroll: true });
  }

  async #follow() {
    const id = /^\/builds\/([^/]+)$/.exec(location.pathname)?.[1];
    if (!id) return this.#hide();
    const build = await this.#find(decodeURIComponent(id));
    if (build) this.#show(build);
    else location.reload();
  }

  async #find(id) {
    const known = this.#store.get(id);
    if (known) return known;
    try {
      const url = `/api/v1/builds/${encodeURIComponent(id)}`;
      const answer = await fetch(url, { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
      if (answer.ok) this.#store.keep(await answer.json());
    } catch {
      // The page as the server drew it stays; the next change brings the build.
    }
    return this.#store.get(id);
  }

  #show(build) {
    // Where there is no room for both, the list goes away and forgets where it was.
    if (!this.id) this.#left = { page: window.scrollY, list: document.getElementById("list").scrollTop };
    this.id = build.id;
    this.#article = makePanel(build);
    this.#aside.dataset.alive = "";
    this.#fill(build);
    this.#aside.replaceChildren(this.#article);
    this.#aside.scrollTop = 0;
    this.#aside.hidden = false;
    this.#main.classList.add("open");
    this.#list.select(build.id);
    window.scrollTo(0, 0);
    this.#events.attach(this.#article, build);
    this.#log.attach(this.#article, build);
  }

  #hide() {
    const row = this.id && this.#list.row(this.id);
    this.id = null;
    this.#article = null;
    this.#aside.hidden = true;
    this.#aside.replaceChildren();
    this.#main.classList.remove("open");
    this.#list.select(null);
    this.#onChange(null);
    this.#log.detach();
    if (this.#left) {
      document.getElementById("list").scrollTop = this.#left.list;
      window.scrollTo(0, this.#left.page);
    }
    row?.querySelector("a.row")?.focus({ preventScroll: true });
  }
}
