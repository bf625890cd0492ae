// Light, dark, or as the system: chosen in the bar on top, kept by the browser. Runs before anything is drawn.
"use strict";
(() => {
  const KEY = "stoker-theme";
  const CHOICES = ["auto", "light", "dark"];
  const WORDS = { auto: ["◐", "Colours: as the system"], light: ["☀", "Colours: light"], dark: ["☾", "Colours: dark"] };
  const root = document.documentElement;

  function read() {
    try {
      const kept = localStorage.getItem(KEY);
      return CHOICES.includes(kept) ? kept : "auto";
    } catch {
      return "auto"; // storage is switched off
    }
  }

  function show(choice) {
    if (choice === "auto") root.removeAttribute("data-theme");
    else root.setAttribute("data-theme", choice);
  }

  root.classList.add("scripted");
  show(read());
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const label = (choice) => {
      button.firstElementChild.textContent = WORDS[choice][0];
      button.setAttribute("aria-label", WORDS[choice][1]);
      button.title = WORDS[choice][1];
    };
    label(read());
    button.hidden = false;
    button.addEventListener("click", () => {
      const next = CHOICES[(CHOICES.indexOf(root.dataset.theme ?? "auto") + 1) % CHOICES.length];
      try {
        localStorage.setItem(KEY, next);
      } catch {
        // it holds for this page then
      }
      show(next);
      label(next);
      document.dispatchEvent(new Event("stoker:theme"));
    });
  });
})();
