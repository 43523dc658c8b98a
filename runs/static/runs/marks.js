// marks.js - where hits and errors are in the whole log, drawn beside its scroll bar.

const WIDTH = 8;
const HEIGHT = 3;
const PAGES = 20;

/**
 * @param {HTMLElement} frame  holds the scrolling [data-log]; the marks lie over its right edge
 * @param {(line: number) => void} choose  a mark was clicked
 */
export function makeMarks(frame, choose) {
  const canvas = document.createElement("canvas");
  canvas.className = "hit-marks";
  // Next and previous lead to the same places.
  canvas.setAttribute("aria-hidden", "true");
  canvas.hidden = true;
  frame.append(canvas);
  const screen = frame.querySelector("[data-log]") ?? frame;
  let total = 0, hits = [], current = null, errors = [], errorSeq = 0, scheduled = false;

  function draw() {
    scheduled = false;
    canvas.hidden = !total || !(hits.length || errors.length);
    if (canvas.hidden) return;
    const height = screen.clientHeight, ratio = devicePixelRatio || 1;
    canvas.style.right = `${Math.max(0, screen.offsetWidth - screen.clientWidth - screen.clientLeft)}px`;
    canvas.style.height = `${height}px`;
    canvas.width = WIDTH * ratio;
    canvas.height = height * ratio;
    const context = canvas.getContext("2d"), style = getComputedStyle(canvas);
    const colour = (name) => style.getPropertyValue(name).trim();
    context.scale(ratio, ratio);
    // Half as wide, at the right: neither hides the other.
    strokes(context, colour("--failed"), placesOf(errors, total, height), WIDTH / 2, WIDTH / 2);
    strokes(context, colour("--mark-hit"), placesOf(hits, total, height), 0, WIDTH);
    if (current) strokes(context, colour("--mark-current"), placesOf([current], total, height), 0, WIDTH, 2);
  }

  function strokes(context, colour, places, left, width, more = 0) {
    context.fillStyle = colour;
    for (const y of places) context.fillRect(left, Math.max(0, y - more), width, HEIGHT + 2 * more);
  }

  function schedule() {
    if (scheduled) return;
    scheduled = true;
    requestAnimationFrame(draw);
  }

  canvas.addEventListener("click", ({ offsetY }) => {
    const line = nearest([...hits, ...errors], (offsetY / canvas.clientHeight) * total);
    if (line !== null) choose(line);
  });
  new ResizeObserver(schedule).observe(screen);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", schedule);

  return {
    /** How many lines the whole log has. */
    setTotal(lines) {
      total = lines;
      if (hits.length || errors.length) schedule();
    },
    setHits(found, chosen) {
      hits = found.map(({ line }) => line);
      current = chosen?.line ?? null;
      schedule();
    },
    /** Errors among chunks that arrive. */
    take(chunks) {
      const found = chunks.filter(({ stream, seq }) => stream === "error" && seq > errorSeq);
      if (!found.length) return;
      errorSeq = found.at(-1).seq;
      errors.push(...found.map(({ line }) => line + 1));
      schedule();
    },
    /** Errors that are stored. @param {{marks: Function}} source  see recorded.js */
    async load(source) {
      for (let after = 0, pages = 0; after !== null && pages < PAGES; pages++) {
        const { items, next } = await source.marks(after);
        for (const { kind, seq, line } of items) {
          if (kind !== "error" || seq <= errorSeq) continue;
          errorSeq = seq;
          errors.push(line);
        }
        after = next;
      }
      schedule();
    },
  };
}

/** Distinct heights, in whole pixels, at which lines of a log are marked. Pure. */
export function placesOf(lines, total, height) {
  const room = Math.max(0, height - HEIGHT), places = new Set();
  for (const line of lines) places.add(Math.round(Math.min(1, Math.max(0, (line - 1) / Math.max(1, total - 1))) * room));
  return [...places];
}

/** The line that is closest to a place between lines; null if there is none. Pure. */
export function nearest(lines, place) {
  return lines.reduce((best, line) => (best === null || Math.abs(line - place) < Math.abs(best - place) ? line : best), null);
}
