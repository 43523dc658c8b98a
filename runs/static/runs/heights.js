// heights.js - how high rows are: as measured once they were drawn, guessed before.

import { isBlock } from "./draw.js";
import { ROW } from "./geometry.js";

/** @param {HTMLElement} screen  the log  @param {HTMLElement} place  its rows */
export function makeHeights(screen, place) {
  // Heights that were measured hold for one layout: a width, wrap on or off.
  let layout = 1, columns = Infinity, width = 0;

  function of(row) {
    if (row.laid === layout || (row.laid && isBlock(row))) return row.height;
    if (columns === Infinity) return ROW;
    if (row.guessed !== layout) {
      row.guessed = layout;
      row.guess = Math.max(1, Math.ceil(row.text.length / columns)) * ROW;
    }
    return row.guess;
  }

  function begin() {
    layout++;
    width = screen.clientWidth;
    const text = place.querySelector(".row:not(.system) > .text");
    const wraps = screen.classList.contains("wraps");
    columns = wraps && text ? Math.max(10, Math.floor(text.clientWidth / charWidth(text))) : Infinity;
  }

  return {
    of,
    /** Another width, or wrap was switched: nothing that was measured holds. */
    refresh() {
      if (screen.clientWidth !== width) begin();
    },
    /** The first rows that are ever drawn tell how many characters fit a line. */
    learn() {
      if (columns === Infinity && screen.classList.contains("wraps")) begin();
    },
    forget(row) {
      row.laid = row.guessed = 0;
    },
    reset() {
      width = 0;
      columns = Infinity;
    },
    /** @param {Iterable<{row, element}>} drawn  @returns {boolean} whether any height was another */
    measure(drawn) {
      let changed = false;
      for (const { row, element } of drawn) {
        const { height } = element.getBoundingClientRect();
        changed ||= Math.abs(height - of(row)) > 0.1;
        row.height = height;
        row.laid = layout;
      }
      return changed;
    },
  };
}

function charWidth(beside) {
  const ruler = document.createElement("span");
  ruler.textContent = "0".repeat(100);
  beside.append(ruler);
  const width = ruler.getBoundingClientRect().width / 100;
  ruler.remove();
  return width || 8;
}
