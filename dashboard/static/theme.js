// Runs before the first paint, so that a chosen theme does not flash.
// "auto" (nothing stored) follows the system.
(() => {
  try {
    const theme = localStorage.getItem("phaseline-theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch {
    // Storage is switched off: the system's theme it is.
  }
})();
