// The one timer that makes ages count: once a second, only while somebody
// looks, and only what reads differently than before is touched.

import { serverNow } from "./clock.js";
import { setAttr, setText } from "./dom.js";
import { ageClass, clock, clockSeconds, ended, exact, short } from "./format.js";

const EVERY_MS = 1000;
const AGE_CLASSES = ["fresh", "aging", "old"];

const jobs = new Set();
let timer = 0;

/** Calls `job(now)` each second while the page is seen. */
export function each(job) {
  jobs.add(job);
}

function tickTimes(now) {
  for (const el of document.querySelectorAll("time[data-tick]")) {
    const ms = now - Number(el.dataset.t);
    const kind = el.dataset.tick;
    setText(el, kind === "ago" ? `${short(ms)} ago` : short(ms));
    if (kind === "elapsed") continue;
    const cls = ageClass(ms);
    if (!el.classList.contains(cls)) {
      el.classList.remove(...AGE_CLASSES);
      el.classList.add(cls);
    }
  }
}

function tick() {
  const now = serverNow();
  tickTimes(now);
  for (const job of jobs) job(now);
}

function update() {
  clearInterval(timer);
  timer = 0;
  if (document.hidden) return;
  tick();
  timer = setInterval(tick, EVERY_MS);
}

export function start() {
  document.addEventListener("visibilitychange", update);
  update();
}

/** Says the times that the server wrote in UTC in the reader's own zone. */
export function localise(root = document) {
  const now = serverNow();
  for (const el of root.querySelectorAll("time[data-local]")) {
    const t = Number(el.dataset.t);
    const say = { clock: () => clock(t), seconds: () => clockSeconds(t), exact: () => exact(t), ended: () => ended(t, now) }[el.dataset.local];
    if (!say) continue;
    const before = el.textContent.startsWith("ended ") ? "ended " : "";
    setText(el, before + say());
    if (el.dataset.local === "exact") setAttr(el, "title", exact(t));
    el.removeAttribute("data-local");
  }
}
