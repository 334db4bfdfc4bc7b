// The few ways in which the page is written to. All of them touch only what
// differs, and all data goes in as text or as an attribute, never as markup.

import { exact, parse } from "./format.js";

const fields = new WeakMap();

/** The elements of `root` that are named by data-f. Looked up once. */
export function fieldsOf(root) {
  let map = fields.get(root);
  if (!map) {
    map = {};
    for (const el of root.querySelectorAll("[data-f]")) map[el.dataset.f] ??= el;
    fields.set(root, map);
  }
  return map;
}

/** A copy of the first element in a template. */
export function clone(id) {
  return document.getElementById(id).content.firstElementChild.cloneNode(true);
}

export function setText(el, text) {
  const only = el.firstChild;
  if (only && only === el.lastChild && only.nodeType === Node.TEXT_NODE) {
    if (only.data !== text) only.data = text;
  } else if (el.textContent !== text) {
    el.textContent = text;
  }
}

export function setAttr(el, name, value) {
  if (value === null) {
    if (el.hasAttribute(name)) el.removeAttribute(name);
  } else if (el.getAttribute(name) !== value) {
    el.setAttribute(name, value);
  }
}

export function setHidden(el, hidden) {
  if (el.hidden !== hidden) el.hidden = hidden;
}

export function setIcon(use, name) {
  setAttr(use, "href", `#i-${name}`);
}

/**
 * Writes a time. `stamp`: null for an unknown one, else `t` (on our clock),
 * `text`, and as needed `title`, `tick`, `class`, `iso`. `base` are the classes that stay.
 */
export function setStamp(el, stamp, base = "") {
  setAttr(el, "datetime", stamp ? stamp.iso ?? new Date(stamp.t).toISOString() : null);
  setAttr(el, "data-t", stamp ? String(stamp.t) : null);
  setAttr(el, "data-tick", stamp?.tick || null);
  setAttr(el, "data-local", null);
  setAttr(el, "title", stamp ? stamp.title ?? exact(stamp.t) : null);
  setAttr(el, "class", `${base} ${stamp?.class ?? ""}`.trim());
  setText(el, stamp ? stamp.text : "—");
}

/** Makes `parent` hold one child for each of `items`: `make(item)` adds, `fill(child, item)` writes. */
export function setList(parent, items, make, fill) {
  while (parent.children.length > items.length) parent.lastElementChild.remove();
  items.forEach((item, i) => {
    let child = parent.children[i];
    if (!child) {
      child = make(item);
      parent.append(child);
    }
    fill(child, item);
  });
}

/** As setList, for items with a key: children keep their place in the tree, their focus and their selection. */
export function setKeyed(parent, items, keyOf, attr, make, fill) {
  const have = new Map();
  for (const child of [...parent.children]) have.set(child.getAttribute(attr), child);
  let cursor = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    let child = have.get(key);
    have.delete(key);
    if (!child) {
      child = make(item);
      child.setAttribute(attr, key);
    }
    if (child === cursor) cursor = cursor.nextElementSibling;
    else parent.insertBefore(child, cursor);
    fill(child, item);
  }
  for (const child of have.values()) child.remove();
}

/** Moves `el` before `next` without losing the focus within it. */
export function move(parent, el, next) {
  if (el.parentNode === parent && el.nextElementSibling === next) return;
  const focused = el.contains(document.activeElement) ? document.activeElement : null;
  if (el.isConnected && parent.moveBefore) parent.moveBefore(el, next);
  else parent.insertBefore(el, next);
  if (focused && document.activeElement !== focused) focused.focus({ preventScroll: true });
}

/** The lines of a tooltip with exact times: [[what, RFC 3339 or null], ...]. */
export function timesTitle(pairs) {
  return pairs
    .map(([what, time]) => [what, parse(time)])
    .filter(([, t]) => t !== null)
    .map(([what, t]) => `${what} ${exact(t)}`)
    .join("\n");
}
