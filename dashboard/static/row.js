// One row of a list: filled from a build, whether the server drew it or the
// template did. Touches only what differs.

import { clone, fieldsOf, setAttr, setHidden, setIcon, setList, setStamp, setText, timesTitle } from "./dom.js";
import { age, buildHref, cells, cost, elapsed, iteration, progress, spoken, times, why } from "./model.js";
import { attribute, line } from "./text.js";

export function makeRow(build) {
  const li = clone("t-row");
  li.dataset.build = build.id;
  li.querySelector("a").href = buildHref(build.id);
  return li;
}

export function fillRow(li, build, store, now) {
  const f = fieldsOf(li);
  if (li.dataset.state !== build.state) {
    li.dataset.state = build.state;
    setIcon(f.icon, build.state);
    setText(f.state, build.state);
  }
  setText(f.project, line(build.project));
  setAttr(f.project, "title", attribute(`${build.project} · ${build.id} · run ${build.run}`));
  setText(f.host, line(build.host));
  setHidden(f.found, !build.found);
  setText(f.branch, build.branch ? line(build.branch) : "");
  setHidden(f.branch.parentNode, !build.branch);
  fillTrack(f.track, build);
  fillWhy(f["row-why"], why(build));
  setText(f.number, build.phase_number == null ? "" : line(build.phase_number));
  setText(f.iteration, iteration(build));
  setStamp(f.elapsed, elapsed(build, store, now));
  fillProgress(f.progress, progress(build));
  setText(f.cost, cost(build));
  setStamp(f.age, { ...age(build, store, now), title: timesTitle(times(build)) }, "num age");
}

function fillTrack(track, build) {
  const list = cells(build);
  setAttr(track, "aria-label", spoken(list));
  setList(
    track,
    list,
    () => clone("t-cell"),
    (el, cell) => {
      setAttr(el, "class", cell.class);
      setAttr(el, "title", cell.title);
      setText(el, cell.text);
    },
  );
}

function fillWhy(el, text) {
  setHidden(el, !text);
  setText(el, text ? line(text) : "");
  setAttr(el, "title", text ? attribute(text) : null);
}

function fillProgress(el, value) {
  setHidden(el, value === null);
  if (value === null) return;
  if (el.value !== value) el.value = value;
  setAttr(el, "title", `${Math.round(value * 100)} %, by the producer's numbers`);
}
