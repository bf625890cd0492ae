// Follows what jobs write, by byte range: the end of both streams on a driver's page, and the log page with its switch.
"use strict";
(() => {
  const EVERY = 1000; // milliseconds between looks at something that runs
  const IDLE = 5000; // and at something that has ended: a supervised driver may be started again
  const FIRST = 8 * 1024; // bytes shown at first of what is followed on another page
  const MOST = 256 * 1024; // bytes of one look
  const KEPT = 2 * 1024 * 1024; // characters of a log that stay on a page
  const ESCAPES = /\x1b\[[0-?]*[ -\/]*[@-~]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/g;

  class Follower {
    constructor(pre, url, end) {
      this.pre = pre;
      this.url = url;
      this.end = end; // null: start with the last bytes there are
      this.on = false;
      this.timer = 0;
      this.decoder = new TextDecoder();
    }

    start() {
      if (this.on) return;
      this.on = true;
      this.look();
    }

    stop() {
      this.on = false;
      clearTimeout(this.timer);
    }

    async look() {
      clearTimeout(this.timer);
      let wait = IDLE;
      const answer = await read(this.url, this.end ?? -FIRST);
      if (answer.problem === undefined) wait = this.take(answer);
      this.says(answer.problem ?? "");
      if (this.on && this.pre.isConnected && !document.hidden) this.timer = setTimeout(() => this.look(), wait);
    }

    take({ start, size, state, data }) {
      if (this.end === null && start > 0) this.gap(`... ${start} bytes before this`);
      if (this.end !== null && size < this.end) {
        this.end = 0;
        this.gap("... the file has begun anew");
        return 0;
      }
      if (this.end !== null && start > this.end) this.gap(`... ${start - this.end} bytes were removed`);
      this.end = start + data.byteLength;
      if (data.byteLength) this.add(this.decoder.decode(data, { stream: true }));
      const left = size - this.end;
      if (left > 4 * MOST) {
        this.end = size - FIRST;
        this.gap(`... ${left - FIRST} bytes left out: it is written faster than this page reads`);
      }
      return left > 0 ? 0 : state === "running" ? EVERY : IDLE;
    }

    // Why there is nothing to read: instead of an empty box, or above of what was read before.
    says(problem) {
      const line = document.getElementById(this.pre.id.replace(/^(tail-)?/, "problem-"));
      line.textContent = problem;
      line.hidden = !problem;
      this.pre.hidden = Boolean(problem) && !this.pre.textContent;
    }

    gap(text) {
      const line = document.createElement("span");
      line.className = "gap";
      line.textContent = `${text}\n`;
      this.pre.append(line);
    }

    add(text) {
      const { pre } = this;
      const atEnd = pre.scrollTop + pre.clientHeight >= pre.scrollHeight - 30;
      pre.append(text.replaceAll("\r\n", "\n").replace(ESCAPES, ""));
      let length = pre.textContent.length;
      while (length > KEPT && pre.childNodes.length > 1) {
        length -= pre.firstChild.textContent.length;
        pre.firstChild.remove();
      }
      if (atEnd) pre.scrollTop = pre.scrollHeight;
      document.dispatchEvent(new CustomEvent("stoker:read", { detail: this }));
    }
  }

  async function read(url, offset, length = MOST) {
    try {
      const response = await fetch(`${url}&offset=${offset}&byteLength=${length}`, { cache: "no-store" });
      if (!response.ok) return { problem: (await response.text()).trim().slice(0, 500) || `The answer is ${response.status}.` };
      const { headers } = response;
      const [start, size] = [Number(headers.get("Log-Start")), Number(headers.get("Log-Size"))];
      return { start, size, state: headers.get("Log-State"), data: await response.arrayBuffer() };
    } catch {
      return { problem: "The dashboard does not answer." };
    }
  }

  const followers = new Map();
  function adopt() {
    for (const [pre, follower] of followers) {
      if (!pre.isConnected) {
        follower.stop();
        followers.delete(pre);
      }
    }
    for (const pre of document.querySelectorAll("pre[data-follow]")) {
      if (followers.has(pre)) continue;
      pre.textContent = "";
      const follower = new Follower(pre, pre.dataset.follow, null);
      followers.set(pre, follower);
      follower.start();
    }
  }
  adopt();
  document.addEventListener("stoker:changed", adopt);

  // --- the log page ---

  const log = document.getElementById("log");
  if (log) {
    const follower = new Follower(log, log.dataset.tail, Number(log.dataset.end));
    const box = document.getElementById("follow");
    const bytes = document.getElementById("bytes");
    followers.set(log, follower);
    box.parentElement.hidden = false;
    box.addEventListener("change", () => (box.checked ? follower.start() : follower.stop()));
    document.addEventListener("stoker:read", (event) => {
      if (event.detail === follower) bytes.textContent = bytes.textContent.replace(/- \d+ of \d+/, `- ${follower.end} of ${follower.end}`);
    });
    if (log.dataset.end === log.dataset.size && !log.querySelector("mark")) {
      box.checked = true;
      follower.start();
      log.scrollTop = log.scrollHeight;
    } else {
      const here = log.querySelector("mark.here");
      if (here) log.scrollTop = here.offsetTop - log.clientHeight / 2;
    }
    document.getElementById("earlier")?.addEventListener("click", (event) => {
      event.preventDefault();
      earlier(event.currentTarget, log, bytes);
    });
  }

  async function earlier(link, pre, bytes) {
    const before = Number(link.dataset.before);
    const start = Math.max(0, before - MOST);
    const answer = await read(pre.dataset.tail, start, before - start);
    if (answer.problem !== undefined) return;
    const text = new TextDecoder().decode(answer.data.slice(0, Math.max(0, before - answer.start)));
    const height = pre.scrollHeight;
    pre.prepend(text.replaceAll("\r\n", "\n").replace(ESCAPES, ""));
    pre.scrollTop += pre.scrollHeight - height;
    const first = Math.min(answer.start, before);
    link.dataset.before = String(first);
    bytes.textContent = bytes.textContent.replace(/Bytes: \d+/, `Bytes: ${first}`);
    if (start === 0 || first > start) link.parentElement.remove();
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    for (const follower of followers.values()) if (follower.on) follower.look();
  });
})();
