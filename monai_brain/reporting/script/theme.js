"use strict";
// The choice of colours is kept where the browser allows it; a page opened from a file may not be allowed.
(() => {
  const choice = document.getElementById("theme");
  const root = document.documentElement;
  const kept = () => { try { return localStorage.getItem("monai_brain.theme") || ""; } catch { return ""; } };
  const keep = (name) => { try { localStorage.setItem("monai_brain.theme", name); } catch { /* not kept */ } };
  const use = (name) => { if (name) root.dataset.theme = name; else delete root.dataset.theme; };
  choice.value = kept();
  use(choice.value);
  choice.parentElement.hidden = false;
  choice.addEventListener("change", () => { keep(choice.value); use(choice.value); });
})();
