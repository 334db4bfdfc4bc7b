// The keyboard, the search box, the help and the choice of theme.

import { setAttr, setHidden, setText } from "./dom.js";

const THEMES = ["auto", "light", "dark"];

function rows() {
  return [...document.querySelectorAll("a.row")].filter((row) => row.checkVisibility());
}

function step(by) {
  const all = rows();
  if (!all.length) return;
  const at = all.indexOf(document.activeElement);
  const from = at >= 0 ? at : all.findIndex((row) => row.getAttribute("aria-current"));
  const next = from < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, from + by));
  all[next].focus();
  all[next].scrollIntoView({ block: "nearest" });
}

function typing(target) {
  return target instanceof Element && target.closest("input, textarea, select, [contenteditable]") !== null;
}

/** Arrow keys belong to whatever scrolls, unless a row or nothing has the focus. */
function onRows(target) {
  return target === document.body || (target instanceof Element && target.closest("a.row") !== null);
}

/** `onFilter(text)` as one types; `onEscape()` when nothing else is to be left. */
export function startKeys({ onFilter, onEscape }) {
  const search = document.getElementById("search");
  const help = document.getElementById("help");
  document.addEventListener("keydown", (event) => {
    if (event.metaKey || event.ctrlKey || event.altKey || help.open) return;
    if (event.key === "Escape") return escape(event, search, onFilter, onEscape);
    if (typing(event.target)) return;
    const act = {
      j: () => step(1),
      k: () => step(-1),
      ArrowDown: onRows(event.target) && (() => step(1)),
      ArrowUp: onRows(event.target) && (() => step(-1)),
      "/": () => search.focus(),
      l: () => document.querySelector(".log-lines")?.focus(),
      "?": () => help.showModal(),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  search.addEventListener("input", () => onFilter(search.value));
  const button = document.getElementById("help-button");
  setHidden(button, false);
  button.addEventListener("click", () => help.showModal());
  startTheme();
}

function escape(event, search, onFilter, onEscape) {
  if (document.activeElement === search) {
    search.value = "";
    onFilter("");
    search.blur();
  } else if (!typing(event.target)) {
    onEscape();
  }
}

function startTheme() {
  const button = document.getElementById("theme");
  const root = document.documentElement;
  const draw = () => {
    const theme = root.dataset.theme ?? "auto";
    setAttr(button, "title", `Theme: ${theme}`);
    setText(button.querySelector("[data-f=theme]"), `Theme: ${theme}`);
  };
  button.addEventListener("click", () => {
    const at = THEMES.indexOf(root.dataset.theme ?? "auto");
    const theme = THEMES[(at + 1) % THEMES.length];
    if (theme === "auto") delete root.dataset.theme;
    else root.dataset.theme = theme;
    try {
      localStorage.setItem("phaseline-theme", theme);
    } catch {
      // Storage is switched off: the choice lasts as long as the page.
    }
    draw();
  });
  setHidden(button, false);
  draw();
}
