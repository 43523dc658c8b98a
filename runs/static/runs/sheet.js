// sheet.js - the rows that are elements now: only those around what is looked at.

import { drawRow, fillRow, fillText, isBlock } from "./draw.js";

/**
 * @param {HTMLElement} place  holds the rows
 * @param {object} draws  see draw.js
 */
export function makeSheet(place, draws) {
  // By key, not by row: rows are made anew when earlier output is loaded, and an
  // element that stays keeps its focus, its selection and what is unfolded in it.
  let drawn = new Map();

  /** @param {(row: object, index: number) => string} timeOf */
  function show(rows, from, to, timeOf) {
    const next = new Map();
    for (let i = from; i < to; i++) next.set(rows[i].key, rows[i]);
    const spare = spareOf(next);
    const fresh = (row, time) => {
      const element = isBlock(row) ? null : spare.shift();
      if (!element) return drawRow(row, time, draws);
      fillRow(element, row, time, draws);
      return element;
    };
    let cursor = place.firstElementChild, index = from;
    const kept = new Map();
    for (const [key, row] of next) {
      const time = timeOf(row, index++);
      const element = elementOf(key, row, time) ?? fresh(row, time);
      kept.set(key, { row, element });
      if (element === cursor) cursor = cursor.nextElementSibling;
      else place.insertBefore(element, cursor);
    }
    for (const element of spare) element.remove();
    drawn = kept;
  }

  /**
   * Elements of rows that go. In a flood every row is another each time, and its element
   * is filled anew in its place; where some stay the others leave, or those would move.
   */
  function spareOf(next) {
    const all = [...drawn.keys()].every((key) => !next.has(key));
    const spare = [];
    for (const [key, { row, element }] of drawn) {
      if (next.has(key)) continue;
      if (all && !isBlock(row) && !element.contains(document.activeElement)) spare.push(element);
      else element.remove();
    }
    return spare;
  }

  function elementOf(key, row, time) {
    const before = drawn.get(key);
    if (!before) return null;
    if (before.row !== row && !isBlock(row)) fillText(before.element, row, draws);
    const clock = before.element.children[1];
    if (clock.textContent !== time) clock.textContent = time;
    return before.element;
  }

  return {
    show,
    /** Rows that look different now. */
    redraw(changed) {
      for (const row of changed) {
        const known = drawn.get(row.key);
        // One that was made anew is drawn by show().
        if (known?.row === row && !isBlock(row)) fillText(known.element, row, draws);
      }
    },
    clear() {
      place.replaceChildren();
      drawn = new Map();
    },
    /** @returns {Iterable<{row: object, element: HTMLElement}>} */
    drawn: () => drawn.values(),
    /** The row of an element or of a node in it. */
    rowAt(node) {
      const element = (node?.nodeType === 1 ? node : node?.parentElement)?.closest(".row");
      for (const known of drawn.values()) if (known.element === element) return known;
      return null;
    },
  };
}
