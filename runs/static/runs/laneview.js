// laneview.js - parallel tasks side by side, each a log of its own with its status; tabs
// where there is no room. A lane is opened when it is first seen.

import { button, make } from "./elements.js";
import { setStatus } from "./head.js";
import { layoutOf, makeCounter, neighbour } from "./lanes.js";

const COUNTED_PAGES = 8;
const PAGE = 2500;

/**
 * @param {HTMLElement} place  gets the lanes
 * @param {{task: number, program: string, status: string, exit_code: number|null}[]} tasks
 * @param {{open: (frame: HTMLElement, task: number) => object, source: object}} on
 *   open(): a view of one task in a frame, see view.js; `source` as recorded.js has it
 */
export function mountLanes(place, tasks, on) {
  const counter = makeCounter();
  const tabs = make("div", "lane-tabs"), grid = make("div", "lane-grid");
  let shown = 0, across = 1, held = [], counting = true;
  tabs.setAttribute("role", "tablist");
  tabs.setAttribute("aria-label", "Tasks");
  const lanes = tasks.map((task, index) => makeLane(task, index));
  tabs.append(...lanes.map(({ tab }) => tab));
  grid.append(...lanes.map(({ element }) => element));
  place.classList.add("lanes");
  place.append(tabs, grid);

  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) if (isIntersecting) lanes[Number(target.dataset.lane)].open();
  }, { root: grid, rootMargin: "200px" });
  for (const { element } of lanes) seen.observe(element);
  new ResizeObserver(arrange).observe(place);

  // --- one lane -----------------------------------------------------------------------

  function makeLane(task, index) {
    const name = `Task ${task.task}`;
    const element = make("section", "lane"), head = make("header", "lane-head"), frame = make("div", "log-frame");
    const status = statusOf(), exit = make("span", "hint"), lines = make("span", "hint lane-lines");
    const larger = button("text-button", "Enlarge", () => maximise(element.classList.contains("maximised") ? -1 : index));
    larger.setAttribute("aria-label", `Enlarge ${name.toLowerCase()}`);
    const program = make("code", "lane-program", firstLine(task.program));
    program.title = task.program.slice(0, 500);
    head.append(status, make("strong", "", name), program, lines, exit, larger);
    element.append(head, frame);
    element.dataset.lane = index;
    element.id = `lane-${task.task}`;
    element.setAttribute("aria-label", name);
    const tab = tabOf(task, index, name, element.id);
    let view = null;
    return {
      element, tab, larger,
      task: task.task,
      open() {
        view ??= on.open(frame, task.task);
      },
      show({ status: word, exit_code: code }) {
        for (const each of [status, tab.querySelector(".status")]) setStatus(each, word);
        exit.textContent = code === null ? "" : `exit ${code}`;
      },
      count(text) {
        lines.textContent = text;
      },
      get view() { return view; },
    };
  }

  function tabOf({ task }, index, name, id) {
    const tab = button("tab", "", () => choose(index));
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-controls", id);
    tab.append(statusOf(), name);
    tab.dataset.laneTab = task;
    return tab;
  }

  function statusOf() {
    const status = make("span", "status"), mark = make("span", "mark"), word = make("span", "sr");
    mark.setAttribute("aria-hidden", "true");
    word.dataset.statusWord = "";
    status.append(mark, word);
    return status;
  }

  // --- where they lie --------------------------------------------------------------------

  function arrange() {
    const layout = layoutOf(lanes.length, place.clientWidth, place.clientHeight, innerWidth);
    across = layout.across;
    place.classList.toggle("tabbed", layout.tabs);
    tabs.hidden = !layout.tabs;
    grid.style.setProperty("--across", layout.across);
    grid.style.setProperty("--lane", layout.height ? `${layout.height}px` : "1fr");
    choose(shown, false);
  }

  function choose(index, focus = true) {
    shown = index;
    for (const [each, { element, tab }] of lanes.entries()) {
      element.classList.toggle("chosen", each === index);
      tab.setAttribute("aria-selected", String(each === index));
      tab.tabIndex = each === index ? 0 : -1;
    }
    if (focus) lanes[index].tab.focus();
    if (place.classList.contains("tabbed")) lanes[index].open();
  }

  /** One lane takes the whole place; -1: none does. */
  function maximise(index) {
    place.classList.toggle("one", index >= 0);
    for (const [each, { element, larger }] of lanes.entries()) {
      element.classList.toggle("maximised", each === index);
      larger.textContent = each === index ? "All tasks" : "Enlarge";
    }
    if (index >= 0) lanes[index].open();
  }

  tabs.addEventListener("keydown", (event) => {
    const index = neighbour(shown, event.key, lanes.length, lanes.length);
    if (index === shown) return;
    event.preventDefault();
    event.stopPropagation(); // the arrows also move through the recording
    choose(index);
  });
  place.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !place.classList.contains("one")) return;
    maximise(-1);
    event.stopPropagation();
  });

  // --- what they show ----------------------------------------------------------------------

  function setTasks(now) {
    for (const lane of lanes) {
      const task = now.find((each) => each.task === lane.task);
      if (task) lane.show(task);
    }
  }

  function showCounts() {
    for (const lane of lanes) lane.count(counter.text(lane.task));
  }

  /** Count what is stored up to a seq; what arrives meanwhile comes after it. */
  async function count(until) {
    let after = 0;
    for (let pages = 0; after !== null && after < until && pages < COUNTED_PAGES; pages++) {
      const page = await on.source.after(after, PAGE);
      counter.take(page.items);
      after = page.next;
    }
    if (after !== null && after < until) counter.missed();
    counting = false;
    counter.take(held);
    held = [];
    showCounts();
  }

  setTasks(tasks);
  arrange();
  return {
    setTasks, maximise, count,
    /** Chunks that arrived, of any task. */
    heard(chunks) {
      if (counting) {
        held.push(...chunks);
        return;
      }
      counter.take(chunks);
      showCounts();
    },
    /** Call for the view of each lane that is open: fn(view, task). */
    each(fn) {
      for (const { view, task } of lanes) if (view) fn(view, task);
    },
    get across() { return across; },
  };
}

const firstLine = (program) => {
  const [line = ""] = program.split("\n").filter((each) => each.trim());
  return line.trim().slice(0, 120);
};
