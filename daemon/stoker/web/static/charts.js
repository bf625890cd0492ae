// Use of the cluster over the last hour, from /history/: the master keeps the samples, so a reload loses nothing.
"use strict";
(() => {
  const EVERY = 30000; // milliseconds; half a pixel of an hour
  const HOUR = 3600; // seconds
  const panel = document.getElementById("charts");
  if (!panel) return;
  const GIB = 1024; // MiB

  const CHARTS = {
    cores: [line("used", "a", (h) => h.cores_used, true), line("total", "c", (h) => h.cores)],
    memory: [
      line("used GiB", "a", (h) => h.memory_used_mib.map((mib) => mib / GIB), true),
      line("total GiB", "c", (h) => h.memory_mib.map((mib) => mib / GIB)),
    ],
    queue: [
      line("running", "b", (h) => h.drivers.map((count, at) => count + h.apps[at]), true),
      line("waiting", "a", (h) => h.drivers_waiting.map((count, at) => count + h.apps_waiting[at])),
    ],
  };
  let history = null; // a list for each field
  let plots = [];

  function line(label, ink, values, filled = false) {
    return { label, ink, values, filled };
  }

  function colour(ink) {
    const probe = document.createElement("i");
    probe.className = `ink-${ink}`;
    panel.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  }

  function clear(found, share) {
    return found.replace(/^rgb\((.*)\)$/, `rgba($1, ${share})`);
  }

  function short(value) {
    return value == null ? "" : value >= 100 ? value.toFixed(0) : String(Math.round(value * 10) / 10);
  }

  function draw() {
    for (const plot of plots) plot.destroy();
    const [soft, grid] = [colour("c"), colour("grid")];
    const axis = { stroke: soft, grid: { stroke: grid, width: 1 }, ticks: { show: false }, font: "11px system-ui" };
    plots = [...panel.querySelectorAll("[data-chart]")].map((box) => {
      const lines = CHARTS[box.dataset.chart];
      const series = lines.map(({ label, ink, filled }) => ({
        label,
        stroke: colour(ink),
        width: 1.75,
        fill: filled ? clear(colour(ink), 0.14) : undefined,
        paths: uPlot.paths.stepped({ align: -1 }),
        dash: ink === "c" ? [4, 4] : undefined,
        points: { show: false },
        value: (plot, value, at) => short(value ?? plot.data[at].at(-1)),
      }));
      return new uPlot(
        {
          width: box.clientWidth,
          height: 130,
          cursor: { y: false, sync: { key: "stoker" } },
          legend: { live: true },
          hooks: { setCursor: [(plot) => point(box, plot.cursor.idx)] },
          scales: { y: { range: (_, low, high) => [0, Math.max(1, high * 1.08)] } },
          axes: [
            { ...axis, space: 70, size: 22, values: (_, times) => times.map((time) => clock(time, times[1] - times[0] < 60)) },
            { ...axis, size: 38, values: (_, values) => values.map(short) },
          ],
          series: [{ label: `Time (${stokerClock.zone()})`, value: (_, time) => (time == null ? "now" : clock(time)) }, ...series],
        },
        data(box),
        box,
      );
    });
  }

  function clock(seconds, exact = true) {
    return stokerClock.time(new Date(seconds * 1000), exact);
  }

  // The tooltip: when the sample under the pointer was taken; of the newest one while the pointer is elsewhere.
  function point(box, at) {
    const date = new Date(1000 * (history.at[at] ?? history.at.at(-1)));
    box.title = `${stokerClock.time(date)} (${stokerClock.zone(date)}), ${stokerClock.utc(date)}`;
  }

  function data(box) {
    return [history.at, ...CHARTS[box.dataset.chart].map(({ values }) => values(history))];
  }

  function update() {
    for (const [at, box] of [...panel.querySelectorAll("[data-chart]")].entries()) {
      plots[at].setData(data(box));
      point(box, plots[at].cursor.idx);
      const last = CHARTS[box.dataset.chart].map(({ label, values }) => `${label} ${short(values(history).at(-1))}`);
      box.setAttribute("role", "img");
      box.setAttribute("aria-label", `${box.previousElementSibling.textContent} now: ${last.join(", ")}`);
    }
  }

  function merge(fresh) {
    if (!history) history = fresh;
    else for (const name of Object.keys(history)) history[name] = history[name].concat(fresh[name]);
    const first = history.at.findIndex((at) => at > history.at.at(-1) - HOUR);
    for (const name of Object.keys(history)) history[name] = history[name].slice(first);
  }

  async function look() {
    try {
      const since = history?.at.at(-1) ?? 0;
      const response = await fetch(`/history/?since=${since}`, { cache: "no-store" });
      if (!response.ok) return;
      const fresh = await response.json();
      if (!fresh.at.length) return;
      merge(fresh);
      if (plots.length === 0) {
        panel.hidden = false;
        draw();
      }
      update();
    } catch {
      // live.js tells when the master does not answer
    }
  }

  document.addEventListener("stoker:theme", () => history && (draw(), update()));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => history && (draw(), update()));
  new ResizeObserver(() => {
    for (const plot of plots) plot.setSize({ width: plot.root.parentElement.clientWidth, height: 130 });
  }).observe(panel);
  setInterval(() => document.hidden || look(), EVERY);
  document.addEventListener("visibilitychange", () => document.hidden || look());
  look();
})();
