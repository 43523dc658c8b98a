// geometry.js - where rows and the lines that are not loaded lie, in pixels. Pure.
//
// From the top: lines not loaded, the loaded rows, lines not loaded. A line that is not
// loaded counts ROW pixels. No browser draws more than some 33 million of them, so where
// there are more lines the parts that are not loaded are drawn to a smaller scale.

export const ROW = 20;
export const TALLEST = 25_000_000;

/** @param {(row: object) => number} heightOf  measured if the row was drawn, else guessed */
export function makeGeometry(heightOf) {
  let tops = new Float64Array(1), count = 0;
  let above = 0, below = 0, scale = 1, first = 1, last = 0;

  return {
    /** @param {object[]} rows  @param {number} linesAbove  @param {number} linesBelow */
    lay(rows, linesAbove, linesBelow) {
      count = rows.length;
      first = rows[0]?.number ?? linesAbove + 1;
      last = rows.at(-1)?.number ?? linesAbove;
      if (tops.length <= count) tops = new Float64Array(2 * count + 1);
      let top = 0;
      for (let i = 0; i < count; i++) {
        tops[i] = top;
        top += heightOf(rows[i]);
      }
      tops[count] = top;
      const unloaded = (linesAbove + linesBelow) * ROW;
      scale = unloaded > TALLEST - top ? Math.max(0, TALLEST - top) / unloaded : 1;
      above = linesAbove * ROW * scale;
      below = linesBelow * ROW * scale;
    },
    /** Top of a row; of the row behind the last, where the loaded part ends. */
    top: (index) => above + tops[index],
    /** The row at a place; the first or last if it lies outside. */
    indexAt(y) {
      let low = 0, high = count - 1;
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if (above + tops[middle] <= y) low = middle;
        else high = middle - 1;
      }
      return Math.max(low, 0);
    },
    /** The number of the line at a place where nothing is loaded, and how deep in it the place is. */
    lineAt(y) {
      const step = ROW * scale || 1;
      const rest = (depth) => (scale === 1 ? depth : 0);
      if (y < above) {
        const lines = Math.ceil((above - y) / step);
        return { number: first - lines, rest: rest(y - above + lines * step) };
      }
      const depth = y - above - tops[count];
      const lines = Math.floor(depth / step);
      return { number: last + lines + 1, rest: rest(depth - lines * step) };
    },
    get above() { return above; },
    get below() { return below; },
    get loadedEnd() { return above + tops[count]; },
    get height() { return above + tops[count] + below; },
  };
}
