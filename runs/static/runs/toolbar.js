// toolbar.js - what of the log is shown, and how: streams, tasks, times, wrap, raw.

import { remember, remembered } from "./choices.js";

/**
 * @param {HTMLElement} page
 * @param {{setFilter: Function, setTime: Function, setWrap: Function, setRaw: Function}} log
 * @param {() => void} filtered  other streams or another task were chosen
 */
export function bindToolbar(page, log, filtered = () => {}) {
  const find = (name) => page.querySelector(`[data-${name}]`);
  const toggles = [...page.querySelectorAll("[data-stream-toggle]")];
  const tabs = [...page.querySelectorAll("[data-task-tab]")];
  const wrap = find("wrap"), raw = find("raw"), time = find("time");
  let task = null;

  function filter() {
    const hidden = toggles.filter((toggle) => !isPressed(toggle));
    if (!hidden.length && task === null) return null;
    const shown = toggles.filter(isPressed).flatMap(({ dataset }) => streamsOf(dataset.streamToggle));
    return { streams: hidden.length ? new Set(shown) : null, task };
  }

  function refilter() {
    log.setFilter(filter());
    filtered();
  }

  for (const toggle of toggles) {
    toggle.addEventListener("click", () => {
      flip(toggle);
      refilter();
    });
  }

  for (const tab of tabs) {
    tab.addEventListener("click", () => {
      for (const other of tabs) other.setAttribute("aria-pressed", String(other === tab));
      task = tab.dataset.taskTab === "" ? null : Number(tab.dataset.taskTab);
      refilter();
    });
  }

  wrap.setAttribute("aria-pressed", remembered("wrap") ?? "true");
  wrap.addEventListener("click", () => {
    log.setWrap(flip(wrap));
    remember("wrap", wrap.getAttribute("aria-pressed"));
  });
  raw.addEventListener("click", () => log.setRaw(flip(raw)));
  if ([...time.options].some(({ value }) => value === remembered("time"))) time.value = remembered("time");
  time.addEventListener("change", () => {
    log.setTime(time.value);
    remember("time", time.value);
  });
  log.setWrap(isPressed(wrap));
  log.setTime(time.value);

  /** What of the log is shown: {streams: Set|null, task: number|null}; null: all of it. */
  return { filter };
}

// What went wrong stands with the results.
const streamsOf = (name) => (name === "result" ? ["result", "error"] : [name]);

const isPressed = (button) => button.getAttribute("aria-pressed") === "true";

function flip(button) {
  const pressed = !isPressed(button);
  button.setAttribute("aria-pressed", String(pressed));
  return pressed;
}
