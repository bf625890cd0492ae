// Keeps a page up to date without reloading it: asks for the page again, mostly hears that nothing has changed, and else
// changes what differs. Scroll, selection, focus and what is typed stay. Searching, sorting and turning pages go the same
// way; without scripts they are plain links and forms.
"use strict";
(() => {
  const QUICKEST = 2000; // milliseconds between two looks; longer when nothing happens, up to
  const SLOWEST = 6000;
  const BLOCKS = new Set(["main", "section", "details", "dl", "ul", "ol", "table", "thead", "tbody", "tr", "nav", "form"]);
  const main = document.getElementById("main");
  const offline = document.getElementById("offline");
  let etag = "";
  let wait = QUICKEST;
  let pace = 0; // milliseconds the server wants between two looks, when many look
  let timer = 0;
  let asked = 0; // numbers requests: an answer that was overtaken is dropped
  let skew = 0; // milliseconds the server's clock is ahead
  let since = null;
  let before = null; // title and icon of the page while it does not answer

  // --- looking ---

  async function look({ fresh = false } = {}) {
    clearTimeout(timer);
    const number = ++asked;
    if (fresh) etag = "";
    const answer = await request(location.href);
    if (number !== asked) return;
    if (answer) take(answer.response, answer.text, fresh);
    else lost("It does not answer");
    if (main.hasAttribute("data-live") && !document.hidden) timer = setTimeout(look, Math.max(wait, pace) * (0.9 + 0.2 * Math.random()));
  }

  async function request(url) {
    try {
      const headers = etag ? { Accept: "text/html", "If-None-Match": etag } : { Accept: "text/html" };
      const options = { headers, cache: "no-store", redirect: "manual", signal: AbortSignal.timeout(15000) };
      const response = await fetch(url, options);
      return { response, text: response.status === 304 ? "" : await response.text() };
    } catch {
      return null;
    }
  }

  function take(response, text, fresh) {
    if (response.type === "opaqueredirect") {
      location.reload(); // and so to the log-in page, or to the leader
      return;
    }
    if (main.hasAttribute("data-awaited") && response.status !== 503) {
      location.reload(); // it has scripts that this one lacks
      return;
    }
    if (!response.ok && response.status !== 304 && response.status !== 404) {
      lost(said(text) || `It answers ${response.status}`);
      return;
    }
    found(response);
    if (response.status === 304) {
      wait = Math.min(wait * 1.2, SLOWEST);
      return;
    }
    wait = QUICKEST;
    etag = response.headers.get("ETag") ?? "";
    const page = new DOMParser().parseFromString(text, "text/html");
    if (fresh) for (const field of main.querySelectorAll("input[type=search]")) sync(field, page);
    change(page);
  }

  function sync(field, page) {
    const other = page.getElementsByName(field.name)[0];
    if (other && field !== document.activeElement) field.value = other.defaultValue;
  }

  function change(page) {
    document.title = page.title;
    icon(page.querySelector("link[rel=icon]")?.getAttribute("href"));
    for (const selector of [".where", "#main"]) {
      const [old, fresh] = [document.querySelector(selector), page.querySelector(selector)];
      if (!old || !fresh) continue;
      tidy(fresh);
      stokerClock.localise(fresh);
      Idiomorph.morph(old, fresh, { morphStyle: "outerHTML", callbacks });
    }
    tick();
    document.dispatchEvent(new Event("stoker:changed"));
  }

  // Line breaks between rows and sections look alike, so morphing would match them first, and take out and put back the
  // rows between them: selection and scroll would be lost.
  function tidy(root) {
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    const idle = [];
    while (walker.nextNode()) {
      const text = walker.currentNode;
      if (BLOCKS.has(text.parentNode.localName) && !text.data.trim()) idle.push(text);
    }
    for (const text of idle) text.remove();
  }

  const callbacks = {
    beforeNodeMorphed: (old) => !(old instanceof Element && old.hasAttribute("data-keep")),
    beforeAttributeUpdated: (name, node) =>
      !(name === "open" && node.localName === "details") && !(name === "value" && node.type === "search"),
  };

  function icon(href) {
    const link = document.querySelector("link[rel=icon]");
    if (href && link.getAttribute("href") !== href) link.setAttribute("href", href);
  }

  function lost(why) {
    if (!since) {
      since = new Date();
      before = { title: document.title, icon: document.querySelector("link[rel=icon]").getAttribute("href") };
      document.title = `No answer - ${before.title}`;
      icon("/icon/away.svg");
    }
    offline.textContent = `${why}: what you see is from ${stokerClock.time(since)} (${stokerClock.zone()}). Trying again ...`;
    const others = stokerLeader.others();
    if (others.length) offline.append(" Other masters:", ...others.flatMap((origin) => [" ", link(origin)]));
    offline.title = stokerClock.utc(since);
    offline.hidden = false;
    wait = SLOWEST;
    stokerLeader.seek();
  }

  function link(origin) {
    const element = document.createElement("a");
    element.href = `${origin}${location.pathname}${location.search}`;
    element.textContent = new URL(origin).host;
    return element;
  }

  function found(response) {
    if (since) {
      document.title = before.title;
      icon(before.icon);
    }
    since = null;
    offline.hidden = true;
    pace = 1000 * Number(response.headers.get("Look-After") ?? 0);
    const date = Date.parse(response.headers.get("Date") ?? "");
    const ahead = date - Date.now();
    if (!Number.isNaN(ahead)) skew = Math.abs(ahead) > 2000 ? ahead : 0; // the header has whole seconds
  }

  function said(text) {
    return new DOMParser().parseFromString(text, "text/html").querySelector(".headline")?.textContent.trim() ?? "";
  }

  // --- time goes on ---

  function duration(seconds) {
    if (seconds < 1) return `${Math.max(0, Math.round(seconds * 1000))} ms`;
    if (seconds < 60) return `${seconds.toFixed(0)} s`;
    if (seconds < 3600) return `${(seconds / 60).toFixed(1)} min`;
    if (seconds < 48 * 3600) return `${(seconds / 3600).toFixed(1)} h`;
    return `${(seconds / 86400).toFixed(1)} days`;
  }

  function tick() {
    const now = (Date.now() + skew) / 1000;
    for (const time of main.querySelectorAll("time[data-since]")) {
      const text = duration(now - Number(time.dataset.since));
      if (time.textContent !== text) time.textContent = text;
    }
  }

  // --- searching, sorting, turning pages ---

  function go(url, { quietly = false } = {}) {
    history[quietly ? "replaceState" : "pushState"](null, "", url);
    look({ fresh: true });
  }

  function ask(form, quietly) {
    const fields = [...new FormData(form)].filter(([, value]) => value);
    go(`${location.pathname}?${new URLSearchParams(fields)}`, { quietly });
  }

  let typing = 0;
  main.addEventListener("input", (event) => {
    const form = event.target.closest("form[data-live]");
    if (!form) return;
    clearTimeout(typing);
    typing = setTimeout(() => ask(form, true), event.target.type === "search" ? 250 : 0);
  });
  main.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-live]");
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    go(link.href);
  });
  window.addEventListener("popstate", () => look({ fresh: true }));

  // --- changing something ---

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.matches("form[data-live]")) {
      event.preventDefault();
      clearTimeout(typing);
      ask(form, false);
    } else if (form.matches("form[data-change]")) {
      event.preventDefault();
      const terms = document.getElementById(event.submitter?.dataset.asks);
      if (terms) terms.showModal(); // its own button sends the form
      else sure(event.submitter).then((yes) => yes && send(form, event.submitter));
    }
  });
  document.addEventListener("click", (event) => event.target.closest("form dialog button[value=no]")?.closest("dialog").close());

  function sure(button) {
    if (!button?.classList.contains("kill")) return Promise.resolve(true);
    const dialog = document.getElementById("confirm");
    const { name, user, since } = button.dataset;
    document.getElementById("confirm-title").textContent = `Kill ${name || button.value}?`;
    document.getElementById("confirm-job").textContent = button.value;
    const whose = user ? `Submitted by ${user}` : "Submitted";
    const age = duration((Date.now() + skew) / 1000 - Number(since));
    document.getElementById("confirm-text").textContent =
      `${whose} ${age} ago. All of its processes get TERM, and KILL ten seconds later. It is not restarted.`;
    return new Promise((resolve) => {
      const over = new AbortController(); // the next question must not hear this one's events, nor this one the next's
      const heard = { signal: over.signal };
      const answer = (yes) => {
        over.abort();
        dialog.close();
        resolve(yes);
      };
      dialog.addEventListener("click", (event) => answer(event.target.closest("button")?.value === "yes"), heard);
      dialog.addEventListener("cancel", () => answer(false), heard);
      dialog.showModal();
      dialog.querySelector("[value=no]").focus();
    });
  }

  async function send(form, button) {
    try {
      const body = new URLSearchParams(new FormData(form, button));
      const response = await fetch(form.action, { method: "POST", body, headers: { Accept: "text/plain" } });
      const text = await response.text();
      form.querySelector("dialog")?.close();
      if (response.ok) form.reset();
      toast(response.ok ? text : said(text) || `It was refused: ${response.status}`, !response.ok);
    } catch {
      toast("It does not answer: nothing is known of what you asked for. Look, and try again.", true);
    }
    look({ fresh: true });
  }

  function toast(text, bad) {
    const line = document.createElement("p");
    line.textContent = text;
    line.classList.toggle("bad", bad);
    document.getElementById("toast").append(line);
    setTimeout(() => line.remove(), bad ? 15000 : 6000);
  }

  // A copied id is the id and nothing else, however it was selected.
  document.addEventListener("copy", (event) => {
    const text = getSelection().toString().trim();
    if (!text || /\s/.test(text)) return;
    const id = [...document.querySelectorAll(".id")].find((element) => element.textContent.trim() === text);
    if (!id) return;
    event.preventDefault();
    event.clipboardData.setData("text/plain", text);
  });

  tidy(main);
  setInterval(tick, 1000);
  tick();
  if (main.hasAttribute("data-live")) {
    timer = setTimeout(look, QUICKEST);
    document.addEventListener("visibilitychange", () => document.hidden || look());
  }
})();
