// timeline.js - what lies under the seek range: how much was printed when, what stands out,
// and what is under the pointer.

import { makeDensity } from "./density.js";
import { make } from "./elements.js";
import { shortClock } from "./format.js";
import { chosenOf, describe, makeMarkers } from "./markers.js";

// New markers are asked for at most so often, in ms.
const MARKS_PAUSE = 1000;
const MARKS_PAGES = 50;

/**
 * @param {HTMLElement} element  [data-timeline] of templates/runs/_player.html
 * @param {{outline: Function, marks: Function}} source  see recorded.js
 * @param {{choose: Function, position: () => number, reads: (seconds: number) => string, outline: Function, failed: Function}} on
 *   choose(mark): a marker was clicked; outline(seconds): how far the output goes; failed(error): picture or markers could not be loaded
 */
export function makeTimeline(element, source, on) {
  const find = (name) => element.querySelector(`[data-${name}]`);
  const seek = find("seek"), list = find("marks"), tip = find("tip");
  const density = makeDensity(), markers = makeMarkers();
  const buttons = new Map();
  let length = 0, begun = false, loading = false, timer = null;

  // --- drawing -----------------------------------------------------------------------

  function draw() {
    const path = density.path(length);
    for (const drawn of find("density").children) drawn.setAttribute("d", path);
    drawMarks();
  }

  function drawMarks() {
    if (!markers.length && !buttons.size) return void (list.hidden = true);
    const clusters = markers.clusters(length, list.clientWidth || element.clientWidth);
    list.hidden = clusters.length === 0;
    const keys = new Set(clusters.map(({ key }) => key));
    for (const [key, button] of buttons) {
      if (keys.has(key)) continue;
      button.remove();
      buttons.delete(key);
    }
    clusters.forEach(drawMark);
    const focused = inOrder().find((button) => button === document.activeElement);
    stopAt(focused ?? inOrder()[0]);
  }

  /** Redrawn in place: a marker may hold the focus while the recording grows. */
  function drawMark({ key, share, kind, marks }) {
    let button = buttons.get(key);
    if (!button) {
      button = make("button", "mark-on-bar");
      button.type = "button";
      buttons.set(key, button);
      list.append(button);
    }
    button.marks = marks;
    button.share = share;
    button.dataset.kind = kind;
    button.dataset.count = marks.length > 1 ? String(Math.min(marks.length, 99)) : "";
    button.style.left = `${(share * 100).toFixed(3)}%`;
    button.setAttribute("aria-label", `${describe(marks)}, at ${shortClock(marks[0].t)}`);
  }

  const inOrder = () => [...list.children].sort((a, b) => a.share - b.share);

  /** One stop for the tab key; arrows go from marker to marker. */
  function stopAt(stop) {
    for (const button of list.children) button.tabIndex = button === stop ? 0 : -1;
  }

  // --- what is loaded, and what arrives ---------------------------------------------------

  async function loadOutline() {
    try {
      const outline = await source.outline();
      density.start(outline);
      on.outline(outline.seconds);
    } catch (error) {
      density.start();
      on.failed(error);
    }
    draw();
  }

  async function loadMarks() {
    if (loading) return;
    loading = true;
    try {
      let after = markers.lastSeq;
      for (let pages = 0; after !== null && pages < MARKS_PAGES; pages++) {
        const page = await source.marks(after);
        markers.add(page.items);
        after = page.next;
      }
      drawMarks();
    } catch (error) {
      on.failed(error);
    } finally {
      loading = false;
    }
  }

  function loadMarksSoon() {
    if (begun) timer ??= setTimeout(() => {
      timer = null;
      loadMarks();
    }, MARKS_PAUSE);
  }

  // --- hands and keys ---------------------------------------------------------------------

  function showTip(share, text) {
    tip.textContent = text;
    tip.hidden = false;
    // Held inside the bar, however near to its ends.
    const half = tip.offsetWidth / 2, width = element.clientWidth;
    tip.style.left = `${Math.min(Math.max(share * width, half), Math.max(half, width - half))}px`;
  }

  const showMark = ({ share, marks }) => showTip(share, `${on.reads(marks[0].t)} · ${describe(marks)}`);
  const hideTip = () => (tip.hidden = true);

  element.addEventListener("pointermove", ({ target, clientX }) => {
    const button = target.closest?.(".mark-on-bar");
    if (button) return showMark(button);
    const { left, width } = seek.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (clientX - left) / width));
    showTip(share, on.reads(share * length));
  });
  element.addEventListener("pointerleave", hideTip);
  list.addEventListener("focusin", ({ target }) => {
    if (target.matches(":focus-visible")) showMark(target);
  });
  list.addEventListener("focusout", hideTip);
  list.addEventListener("click", ({ target }) => {
    const button = target.closest(".mark-on-bar");
    if (button) on.choose(chosenOf(button.marks, on.position()));
  });
  list.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || event.shiftKey) return;
    event.preventDefault();
    const all = inOrder();
    const next = all[all.indexOf(document.activeElement) + step];
    stopAt(next ?? document.activeElement);
    next?.focus();
  });
  new ResizeObserver(drawMarks).observe(element);

  return {
    setLength(seconds) {
      length = seconds;
      draw();
    },
    setPlayed: (share) => element.style.setProperty("--played", share.toFixed(4)),
    /** Chunks that arrive live; markers among them are asked for. */
    add(chunks) {
      density.add(chunks);
      if (chunks.some(({ stream }) => stream !== "stdout" && stream !== "stderr")) loadMarksSoon();
    },
    load() {
      begun = true;
      return Promise.all([loadOutline(), loadMarks()]);
    },
    after: markers.after,
    before: markers.before,
  };
}
