// Hosts: the list at the left, what is wrong as notices, the cards of the
// hosts' own pages, and what an empty page says is watched.

import { serverNow } from "./clock.js";
import { clone, fieldsOf, setAttr, setHidden, setIcon, setKeyed, setList, setStamp, setText } from "./dom.js";
import { UNKNOWN, bytes, count, exact, parse, precise, short } from "./format.js";
import { hostHref, hostKey } from "./model.js";
import { TITLE_CHARS, line } from "./text.js";

const MAX_NOTICES = 4;
const OFFSET_NOISE_MS = 1000;
/** A host that is up was heard within two presences and a margin. */
const HEARD = "less than 22 s ago";
const GONE_REMEDY = "check that phaseline-agent runs there and reaches NATS";
const OUTBOX_REMEDY = "check the way from there to NATS";

const events = (n) => `${count(n)} ${n === 1 ? "event" : "events"}`;

/** What is wrong with a host: [{class, host, text, remedy}]; as in src/view/host.rs. */
export function noticesOf(host) {
  const notice = (cls, text, remedy) => ({ class: cls, host: host.name, text: line(text, TITLE_CHARS), remedy: line(remedy ?? "", TITLE_CHARS) });
  if (host.state === "stopped") return [];
  if (host.state === "gone") return [notice("bad", `gone: ${host.state_reason ?? "its agent is not heard"}`, GONE_REMEDY)];
  const found = [];
  if (host.state_reason) found.push(notice("warn", host.state_reason, ""));
  for (const root of host.roots ?? []) {
    if (root.state !== "missing" && root.state !== "degraded") continue;
    found.push(notice("warn", `${root.path} is ${root.state}: ${root.reason ?? "no reason was given"}`, root.remedy));
  }
  if (host.outbox?.overflowed) {
    found.push(notice("bad", "the outbox was full: only the newest state of each file was kept", OUTBOX_REMEDY));
  } else if (host.outbox?.events > 0) {
    found.push(notice("warn", `${events(host.outbox.events)} in the outbox, waiting for the broker`, OUTBOX_REMEDY));
  }
  return found;
}

function fillNotice(el, notice) {
  const f = fieldsOf(el);
  setAttr(el, "class", `notice ${notice.class}`);
  setAttr(f["notice-host"], "href", hostHref(notice.host));
  setText(f["notice-host"].firstElementChild, line(notice.host));
  setText(f["notice-text"], notice.text);
  setText(f["notice-remedy"], notice.remedy);
  setHidden(f["notice-how"], !notice.remedy);
}

function fillRoot(el, root) {
  const f = fieldsOf(el);
  setAttr(el, "data-state", root.away ? "away" : root.state);
  setText(f["root-host"], root.host ? line(root.host) : "");
  setHidden(f["root-host"], !root.host);
  setText(f["root-path"], line(root.path, TITLE_CHARS));
  setText(f["root-state"], root.away ? `was ${root.state}` : root.state);
  setText(f["root-watches"], watched(root));
  setText(f["root-reason"], root.reason ? line(root.reason, TITLE_CHARS) : "");
  setText(f["root-remedy"], root.remedy ? line(root.remedy, TITLE_CHARS) : "");
  setHidden(f["root-why"], !root.reason && !root.remedy);
}

/** Of a host that is not heard, each says how it was. */
function rootsOf(host) {
  return (host.roots ?? []).map((root) => ({ ...root, away: host.state !== "up" }));
}

function watched(root) {
  return `${count(root.watches)} ${root.watches === 1 ? "directory" : "directories"}`;
}

function note(host, open) {
  if (host.state !== "up") return host.state;
  return open === 0 ? "" : open === 1 ? "1 build" : `${open} builds`;
}

function offset(ms) {
  if (typeof ms !== "number") return UNKNOWN;
  if (Math.abs(ms) < OFFSET_NOISE_MS) return `${ms} ms`;
  return ms > 0 ? `${precise(ms)} ahead of ours` : `${precise(-ms)} behind ours`;
}

function outbox(status) {
  if (!status) return UNKNOWN;
  if (status.events === 0) return "empty";
  return `${events(status.events)} waiting, ${bytes(status.bytes)} of ${bytes(status.max_bytes)}`;
}

export class Hosts {
  #store;
  #ul = document.getElementById("hosts");
  #notices = document.getElementById("notices");
  #open = new Map();

  constructor(store) {
    this.#store = store;
  }

  /** Draws everything that shows hosts. */
  draw() {
    const hosts = [...this.#store.hosts.values()].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
    if (this.#ul) {
      this.#countOpen();
      setKeyed(this.#ul, hosts, (host) => hostKey(host.name), "data-host", () => clone("t-host"), (el, host) => this.#fill(el, host));
      this.#drawNotices(hosts);
      setList(document.getElementById("roots"), hosts.flatMap((h) => rootsOf(h).map((root) => ({ ...root, host: h.name }))), () => clone("t-root"), fillRoot);
    }
    for (const host of hosts) {
      const card = document.querySelector(`[data-host-card="${hostKey(host.name)}"]`);
      if (card) fillCard(card, host);
    }
  }

  /** How many builds are open on each host has changed. */
  builds() {
    if (!this.#ul) return;
    this.#countOpen();
    for (const host of this.#store.hosts.values()) {
      const el = this.#ul.querySelector(`[data-host="${hostKey(host.name)}"]`);
      if (el) this.#fill(el, host);
    }
  }

  #countOpen() {
    this.#open.clear();
    for (const build of this.#store.builds.values()) {
      if (!build.ended_at) this.#open.set(build.host, (this.#open.get(build.host) ?? 0) + 1);
    }
  }

  #fill(el, host) {
    const f = fieldsOf(el);
    setAttr(el, "data-state", host.state);
    el.toggleAttribute("data-trouble", noticesOf(host).length > 0);
    setIcon(f.icon, host.state);
    setAttr(el.firstElementChild, "href", hostHref(host.name));
    setText(f["host-name"], line(host.name));
    setText(f["host-note"], note(host, this.#open.get(host.name) ?? 0));
    const seen = host.state === "up" ? null : parse(host.last_seen_at);
    setHidden(f["host-since"], seen === null);
    if (seen !== null) setStamp(f["host-since"], { t: seen, text: short(serverNow() - seen), tick: "elapsed", title: `last heard ${exact(seen)}` });
  }

  #drawNotices(hosts) {
    const all = hosts.flatMap(noticesOf).sort((a, b) => (a.class < b.class ? -1 : a.class > b.class ? 1 : 0));
    setHidden(this.#notices, all.length === 0);
    setList(this.#notices, all.slice(0, MAX_NOTICES), () => clone("t-notice"), fillNotice);
    const more = document.getElementById("more-notices");
    setHidden(more, all.length <= MAX_NOTICES);
    setText(fieldsOf(more)["more-notices"], String(Math.max(0, all.length - MAX_NOTICES)));
  }
}

function fillCard(card, host) {
  const f = fieldsOf(card);
  setAttr(card, "data-state", host.state);
  setIcon(f.icon, host.state);
  setText(f["host-state"], host.state);
  setText(f["host-reason"], host.state_reason ? line(host.state_reason, TITLE_CHARS) : "");
  const notices = noticesOf(host);
  setHidden(f["host-notices"], notices.length === 0);
  setList(f["host-notices"], notices, () => clone("t-notice"), fillNotice);
  setText(f["host-agent"], host.agent ? line(host.agent) : UNKNOWN);
  setText(f["host-version"], host.version ? line(host.version) : UNKNOWN);
  // "Up" says that it was heard within two presences; these move no frame, so that a time shown here would grow old.
  const up = host.state === "up";
  setText(f["host-heard"], up ? HEARD : "");
  setHidden(f["host-heard"], !up);
  setHidden(f["host-away"], up);
  for (const [key, time] of [["host-started", host.started_at], ["host-seen", host.last_seen_at]]) {
    const t = parse(time);
    setStamp(f[key], t === null ? null : { t, iso: time, text: exact(t) });
  }
  setText(f["host-offset"], offset(host.clock_offset_ms));
  setText(f["host-outbox"], outbox(host.outbox));
  setList(f["host-roots"], rootsOf(host), () => clone("t-root"), fillRoot);
}
