// Puts the parts together: the stream into the store, the store onto the page.

import { announce } from "./announce.js";
import { check, measure, serverNow, startFromPage } from "./clock.js";
import { Connection } from "./connection.js";
import { setAttr, setHidden, setText } from "./dom.js";
import { Fallback } from "./fallback.js";
import { Hosts } from "./hosts.js";
import { startKeys } from "./keys.js";
import { measured, median } from "./latency.js";
import { List } from "./list.js";
import { BuildLog } from "./log.js";
import { Selection } from "./select.js";
import { Status } from "./status.js";
import { Store } from "./store.js";
import { attribute } from "./text.js";
import { each, localise, start as startTicker } from "./ticker.js";
import { DAY, parse } from "./format.js";

/** Drawn at once up to this many times within a frame of the screen; then gathered. */
const AT_ONCE = 4;
const SCREEN_FRAME_MS = 16;
/** No frames are painted in a hidden tab, yet its title must be right. */
const HIDDEN_DRAW_MS = 200;
/** Rows leave the list a day after their end; no need to look more often. */
const EXPIRE_EVERY_MS = 60_000;
const ENDS = new Set(["completed", "failed", "cancelled"]);

const root = document.documentElement;
const live = document.body.dataset.view === "live";
/** A page of the past stands still: no stream, no clock. */
const past = "past" in document.body.dataset;
const baseTitle = document.title.replace(/^\(\d+\) /, "");

const store = new Store();
const list = new List(store);
const hosts = new Hosts(store);
let chosenTitle = null;
const log = new BuildLog({ send: (message) => connection.send(message), isLive: () => connection.state === "live" });
const selection = live ? new Selection(store, list, log, (build) => titled(build)) : null;

const connection = new Connection({ since: () => store.seq, onFrame: received, onState: stateChanged });
const fallback = new Fallback({
  shown: mayChange,
  onStale: (stale) => status.stale(stale),
  onData: readByHttp,
  onState: (state) => status.fallback(state),
});
const status = new Status(connection);

let pending = { all: false, builds: new Map(), hosts: false, fresh: false };
let scheduled = false;
let drawnAt = 0;
let drawnTimes = 0;
/** Reading over HTTP left out some builds, of which open ones may be. */
let unread = false;

function received(frame) {
  const sent = parse(frame.timestamp);
  if (sent !== null) check(sent);
  if (frame.type === "log") return log.take(frame.data);
  const change = store.apply(frame);
  if (frame.type === "heartbeat") status.stale(frame.data.stale ?? null);
  status.heard(serverNow());
  if (change.missing) void fetchMissing(change.missing);
  if (frame.type === "build_complete" && frame.source === "event") ended(frame.data.id);
  const seen = frame.type === "build_update" && frame.source === "event" && "observed_at" in frame.data;
  note(change, seen);
}

function ended(id) {
  const build = store.get(id);
  if (build) announce(build);
}

async function fetchMissing(id) {
  const answer = await fetch(`/api/v1/builds/${encodeURIComponent(id)}`, { cache: "no-store" }).catch(() => null);
  if (!answer?.ok) return;
  note(store.apply({ type: "build", data: await answer.json(), seq: null }), false);
}

function note(change, event) {
  if (change.all) pending.all = true;
  for (const id of change.builds ?? []) pending.builds.set(id, event || pending.builds.get(id) === true);
  if (change.hosts) pending.hosts = true;
  if (change.fresh) pending.fresh = true;
  if (!pending.all && !pending.hosts && !pending.builds.size) return setAttr(root, "data-seq", String(store.seq ?? 0));
  if (!scheduled) schedule();
}

/** A single change is drawn at once; many are drawn together with the screen's next frame. */
function schedule() {
  const now = performance.now();
  if (now - drawnAt > SCREEN_FRAME_MS) {
    drawnAt = now;
    drawnTimes = 0;
  }
  if (!document.hidden && drawnTimes++ < AT_ONCE) return draw();
  scheduled = true;
  if (document.hidden) setTimeout(draw, HIDDEN_DRAW_MS);
  else requestAnimationFrame(draw);
}

function draw() {
  scheduled = false;
  const { all, builds, hosts: hostsChanged, fresh } = pending;
  pending = { all: false, builds: new Map(), hosts: false, fresh: false };
  const now = serverNow();
  if (all || hostsChanged) hosts.draw();
  if (all) list.all(now);
  else if (hostsChanged) list.all(now);
  else list.some([...builds.keys()], fresh, now);
  if (all && selection?.id) selection.changed(selection.id, false);
  for (const [id, event] of builds) {
    selection?.changed(id, event);
    if (event) measured(store.get(id), store);
  }
  if (builds.size && !all && !hostsChanged) hosts.builds();
  drawFigures();
  setAttr(root, "data-seq", String(store.seq ?? 0));
  if (all) void selection?.ready();
}

function figure(name, text) {
  const el = document.querySelector(`[data-stat="${name}"]`);
  if (!el) return null;
  setText(el.querySelector("b"), text);
  return el;
}

function drawFigures() {
  const needs = list.size("needs");
  drawTitle();
  if (!live) return;
  const now = serverNow();
  const all = [...store.builds.values()];
  const up = [...store.hosts.values()].filter((host) => host.state === "up").length;
  const failed = all.filter((b) => b.state === "failed" && now - (parse(b.ended_at) ?? parse(b.last_updated)) < DAY);
  figure("needs", String(needs)).classList.toggle("hot", needs > 0);
  figure("running", String(all.filter((build) => build.state === "running").length));
  figure("failed", String(failed.length));
  figure("hosts", `${up}/${store.hosts.size}`);
  const latency = median();
  if (latency) {
    const el = figure("latency", latency.text);
    setAttr(el, "title", latency.title);
    setHidden(el, false);
  }
  drawEmpty(all.length);
  setHidden(document.getElementById("truncated"), !store.truncated && !unread);
}

function drawEmpty(builds) {
  const empty = document.getElementById("empty");
  setAttr(empty, "data-kind", builds ? "" : store.hosts.size ? "no-builds" : "no-hosts");
  setHidden(empty, builds > 0);
}

function titled(build) {
  chosenTitle = build ? `${attribute(build.project)} · Phaseline` : null;
  drawTitle();
}

function drawTitle() {
  const needs = list.size("needs");
  const title = live ? chosenTitle ?? "Phaseline" : baseTitle;
  const whole = needs ? `(${needs}) ${title}` : title;
  if (document.title !== whole) document.title = whole;
}

function stateChanged(state) {
  // A server whose values are old says so with its first frames.
  if (state === "live") {
    status.stale(null);
    unread = false;
  } else status.draw();
  if (state === "live") log.subscribe();
  if (state === "live") fallback.stop();
  else if (connection.tries > 0) fallback.start();
}

function readByHttp(data, now) {
  unread = data.more;
  note(store.merge(data), false);
  status.heard(now);
}

/** The builds on show that have not ended, the chosen one first whatever it is. */
function mayChange() {
  const rows = [...document.querySelectorAll("li[data-build]")].filter((li) => !ENDS.has(li.dataset.state));
  const ids = rows.map((li) => li.dataset.build);
  return selection?.id ? [selection.id, ...ids.filter((id) => id !== selection.id)] : ids;
}

function filtered(text) {
  list.filter(text);
  document.querySelector("[data-f=search-history]").href = `/history?q=${encodeURIComponent(text.trim())}`;
}

function wokeUp() {
  if (!document.hidden && !past) void measure();
}

startFromPage();
localise();
if (!past) startTicker();
selection?.start();
if (live && selection.id) chosenTitle = baseTitle;
startKeys({
  onFilter: (text) => live && filtered(text),
  onEscape: () => selection?.close(),
});
if (!past) {
  each(() => connection.state !== "live" && status.draw());
  each((now) => selection?.tick(now));
  setInterval(() => !document.hidden && list.all(serverNow()), EXPIRE_EVERY_MS);
}
document.addEventListener("visibilitychange", wokeUp);
window.addEventListener("pageshow", (event) => event.persisted && wokeUp());
if (!past) {
  connection.start();
  void measure();
}
