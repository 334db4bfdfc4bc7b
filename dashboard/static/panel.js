// The chosen build in full. Filled from the store, whether the server drew the
// panel or the template did.

import { clone, fieldsOf, setAttr, setHidden, setIcon, setList, setStamp, setText, timesTitle } from "./dom.js";
import { UNKNOWN, exact, parse, precise } from "./format.js";
import { fillMetrics, origin, testMembers } from "./metrics.js";
import { dataAge, elapsed, facts, hops, hostHref, prText, times, updated, web } from "./model.js";
import { fillSteps } from "./steps.js";
import { attribute, block, callCount, calls, line, members, told } from "./text.js";
import { fillTimeline, grows } from "./timeline.js";

const TIMES = {
  started: "started_at",
  changed: "changed_at",
  observed: "observed_at",
  committed: "last_updated",
  alive: "alive_at",
  ended: "ended_at",
};

/** Facts that are left out while unknown. */
const OPTIONAL = ["issue", "context", "gap"];

export function makePanel(build) {
  const article = clone("t-panel");
  article.dataset.panel = build.id;
  return article;
}

export function fillPanel(article, build, store, now) {
  const f = fieldsOf(article);
  fillHead(article, f, build);
  setText(f.origin, origin(build));
  setStamp(f["data-age"], dataAge(build, store, now));
  setStamp(f.updated, { ...updated(build, store, now), title: timesTitle(times(build)) }, "age");
  setHidden(f.updated.previousElementSibling, build.ended_at != null);
  setStamp(f.elapsed, elapsed(build, store, now));
  fillTimeline(f, build, store, now);
  for (const [key, text] of Object.entries(facts(build))) {
    setText(f[key], text ?? UNKNOWN);
    setHidden(f[key].parentNode, text === null && OPTIONAL.includes(key));
  }
  fillTimes(f, build);
  const [agent, commit] = hops(build, store);
  setText(f["hop-agent"], agent);
  setText(f["hop-commit"], commit);
  fillSteps(article, f, build);
  fillMembers(article, f, build);
}

function fillHead(article, f, build) {
  if (article.dataset.state !== build.state) {
    article.dataset.state = build.state;
    setIcon(f.icon, build.state);
    setText(f.state, build.state);
  }
  setText(f.project, line(build.project));
  setAttr(f.project, "title", attribute(`${build.project} · ${build.id}`));
  setText(f.run, `run ${build.run}`);
  setHidden(f.found, !build.found);
  setText(f.host, line(build.host));
  setAttr(f["host-link"], "href", hostHref(build.host));
  setText(f.branch, build.branch ? line(build.branch) : "");
  setHidden(f.branch.parentNode, !build.branch);
  const pr = web(build.pr_url);
  setAttr(f.pr, "href", pr);
  setText(f.pr, pr ? prText(pr) : "");
  setHidden(f.pr.parentNode, !pr);
  for (const [el, text] of [[f.reason, build.state_reason], [f.error, build.error]]) {
    setText(el, text ? block(text) : "");
    setHidden(el, !text);
  }
}

function fillTimes(f, build) {
  for (const [key, member] of Object.entries(TIMES)) {
    const t = parse(build[member]);
    setStamp(f[key], t === null ? null : { t, iso: build[member], text: exact(t) }, "mono");
  }
}

function fillMembers(article, f, build) {
  const tests = members(testMembers(build.tests));
  fillList(f.tests, tests);
  fillMetrics(article, f, build, tests);
  for (const key of ["details", "summary"]) {
    const list = key === "details" ? told(build.facts) : members(build[key]);
    setHidden(article.querySelector(`[data-part="${key}"]`), list.length === 0);
    fillList(f[key], list);
  }
  const called = calls(build.calls);
  setHidden(article.querySelector('[data-part="calls"]'), called.length === 0);
  setText(f["call-count"], String(callCount(build.calls)));
  fillList(f.calls, called);
  const list = members(build.fields);
  setText(f["field-count"], String(Object.keys(build.fields ?? {}).length));
  fillList(f.fields, list);
}

function fillList(dl, list) {
  setList(
    dl,
    list,
    () => clone("t-member"),
    (el, [name, text, under]) => {
      el.classList.toggle("under", under === true);
      setText(el.firstElementChild.firstElementChild, name);
      setText(el.lastElementChild, text);
    },
  );
}

/** How long the last change took from its commit to this screen, milliseconds. */
export function showScreenHop(article, ms) {
  setText(fieldsOf(article)["hop-screen"], ms < 1 ? "<1 ms" : precise(ms));
}

/** What moves by itself each second: the bar of the running phase. */
export function tickPanel(article, build, store, now) {
  if (grows(build)) fillTimeline(fieldsOf(article), build, store, now);
}
