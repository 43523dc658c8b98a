// lanes.js - where lanes of parallel tasks lie, and how many lines each has. Pure;
// laneview.js draws them.

export const SIDE_BY_SIDE = 900;
const LANE_WIDTH = 420;
const MOST_ACROSS = 4;
const LEAST_HEIGHT = 260;

/**
 * @returns {{tabs: boolean, across: number, height: number|null}} height of a lane in pixels;
 *   null: all of them fill the place
 */
export function layoutOf(count, width, height, windowWidth = width) {
  if (windowWidth <= SIDE_BY_SIDE) return { tabs: true, across: 1, height: null };
  const fits = Math.max(2, Math.min(MOST_ACROSS, Math.floor(width / LANE_WIDTH)));
  const across = Math.min(count, fits);
  const down = Math.ceil(count / across);
  // Two tasks of four side by side and two below look better than three and one.
  const even = Math.ceil(count / down);
  return { tabs: false, across: even, height: down > 1 ? Math.max(LEAST_HEIGHT, Math.floor(height / down)) : null };
}

/** Lines by task: of what is stored, page by page, and of what arrives. */
export function makeCounter() {
  const lines = new Map();
  let seq = 0, whole = true;
  return {
    take(chunks) {
      for (const { seq: each, task, text } of chunks) {
        if (each <= seq) continue;
        seq = each;
        lines.set(task, (lines.get(task) ?? 0) + newlines(text));
      }
    },
    /** There was more stored than was counted. */
    missed() {
      whole = false;
    },
    /** "1 line", "1,204 lines", "more than 20,000 lines" */
    text(task) {
      const count = lines.get(task) ?? 0;
      const said = `${count.toLocaleString("en")} line${count === 1 ? "" : "s"}`;
      return whole ? said : `more than ${said}`;
    },
  };
}

function newlines(text) {
  let count = 0;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) count++;
  return count;
}

/** Which lane a key leads to from another, in a grid; the same at its edges. */
export function neighbour(index, key, count, across) {
  const next = { ArrowRight: index + 1, ArrowLeft: index - 1, ArrowDown: index + across, ArrowUp: index - across, Home: 0, End: count - 1 }[key];
  return next === undefined || next < 0 || next >= count ? index : next;
}
