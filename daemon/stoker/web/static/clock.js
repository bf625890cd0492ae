// One clock for a page: the viewer's zone, named once in the bar on top, and UTC when one points at a time. Without scripts
// every time is UTC and says so.
"use strict";
const stokerClock = (() => {
  const two = (number) => String(number).padStart(2, "0");

  function day(date) {
    return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  }

  function time(date, exact = true) {
    return `${two(date.getHours())}:${two(date.getMinutes())}${exact ? `:${two(date.getSeconds())}` : ""}`;
  }

  function utc(date) {
    return `${date.toISOString().slice(0, 19).replace("T", " ")} UTC`;
  }

  // As at that moment: summer and winter differ.
  function zone(date = new Date()) {
    const ahead = -date.getTimezoneOffset();
    if (!ahead) return "UTC";
    const minutes = Math.abs(ahead) % 60;
    return `UTC${ahead > 0 ? "+" : "-"}${Math.floor(Math.abs(ahead) / 60)}${minutes ? `:${two(minutes)}` : ""}`;
  }

  function stamp(date) {
    const moved = zone(date) === zone() ? "" : ` (${zone(date)})`;
    return `${day(date)} ${time(date)}${moved}`;
  }

  function localise(root) {
    for (const element of root.querySelectorAll("time[datetime]")) {
      const date = new Date(element.dateTime);
      if (Number.isNaN(date.getTime())) continue;
      element.textContent = stamp(date);
      element.title = utc(date);
    }
  }

  function name() {
    const label = document.getElementById("zone");
    label.textContent = `Times: ${zone()}`;
    label.title = `${Intl.DateTimeFormat().resolvedOptions().timeZone}. Point at a time to see it in UTC.`;
  }

  document.addEventListener("DOMContentLoaded", () => {
    name();
    localise(document);
  });
  return { time, utc, zone, localise };
})();
