// Goes to the leader when this page's master stops answering or leading: asks the other masters, which its page named.
"use strict";
const stokerLeader = (() => {
  const WITHIN = 3000; // milliseconds a master may take to answer
  const EVERY = 10000; // milliseconds between two looks of a page that does not keep itself up to date
  const LEADS = ["ALIVE", "RECOVERING"]; // the states of a leader, the best first
  const MOVED = "#moved";
  const LOGGED_OUT = "#moved-logged-out";
  const main = document.getElementById("main");
  const IDLE = 30000; // milliseconds without a touch after which a page may be loaded again
  const allowed = new Set(others()); // by the policy that the page was loaded with
  let isSeeking = false;
  let touched = 0;

  function others() {
    return (main.dataset.masters?.split(" ") ?? []).filter((origin) => origin !== location.origin);
  }

  async function state(origin) {
    try {
      const options = { cache: "no-store", credentials: "omit", redirect: "error", signal: AbortSignal.timeout(WITHIN) };
      return (await (await fetch(`${origin}/readyz`, options)).json()).status;
    } catch {
      return "";
    }
  }

  async function seek() {
    if (isSeeking) return;
    isSeeking = true;
    const origins = others().filter((origin) => allowed.has(origin));
    const states = await Promise.all(origins.map(state));
    isSeeking = false;
    const leads = LEADS.map((wanted) => states.indexOf(wanted)).find((at) => at >= 0);
    if (leads !== undefined) go(origins[leads]);
  }

  // A session counts for one master, and its cookie never leaves the page: the person logs in there again.
  function go(origin) {
    const mark = document.getElementById("logout") ? LOGGED_OUT : MOVED;
    location.replace(`${origin}${location.pathname}${location.search}${mark}`);
  }

  function arrive() {
    if (location.hash !== MOVED && location.hash !== LOGGED_OUT) return;
    const line = document.createElement("p");
    line.textContent = "The master that you looked at does not lead any longer: you see the new leader.";
    if (location.hash === LOGGED_OUT) line.textContent += " A log-in counts for one master: log in here, too.";
    document.getElementById("toast").append(line);
    setTimeout(() => line.remove(), 15000);
    history.replaceState(null, "", location.pathname + location.search);
  }

  async function check() {
    if (!document.hidden && !LEADS.includes(await state(location.origin))) await seek();
    setTimeout(check, EVERY);
  }

  // A master that has joined since may be asked only by a page that is loaded again.
  function renew() {
    const isInUse = Date.now() - touched < IDLE || getSelection().toString() || document.querySelector("dialog[open]");
    const isIdle = document.getElementById("offline").hidden && !isInUse;
    if (isIdle && others().some((origin) => !allowed.has(origin))) location.reload();
  }

  for (const kind of ["pointerdown", "pointermove", "wheel", "keydown"]) {
    addEventListener(kind, () => (touched = Date.now()), { passive: true });
  }
  setInterval(renew, EVERY);
  arrive();
  if (main.dataset.masters && !main.hasAttribute("data-live")) setTimeout(check, EVERY);
  return { others, seek };
})();
