// draw.js - a row becomes an element, as templates/runs/_chunks.html draws it.
// Everything a program wrote goes in as text, never as markup.

import { button, make } from "./elements.js";
import { clock, counted } from "./format.js";
import { extent, unfoldedText } from "./longline.js";

const NUMBERS = new Intl.NumberFormat("en");

/**
 * @param {object} row  see terminal.js
 * @param {string} time  what its time column says
 * @param {{drawText: (row: object) => Node, drawBlock: (row: object) => Node}} draws
 */
export function drawRow(row, time, draws) {
  const element = make("div");
  const number = make("a", "n");
  number.tabIndex = -1;
  element.append(number, make("span", "t"), isBlock(row) ? draws.drawBlock(row) : make("span", "text"));
  fillRow(element, row, time, draws);
  return element;
}

/** Another row in the element of one; both are text. */
export function fillRow(element, row, time, draws) {
  element.className = `row ${row.stream}`;
  element.dataset.seq = row.seq;
  element.dataset.number = row.number;
  element.dataset.t = row.t;
  element.dataset.task = row.task;
  const [number, clock] = element.children;
  number.textContent = NUMBERS.format(row.number);
  number.href = `#L${row.number}`;
  clock.textContent = time;
  if (!isBlock(row)) fillText(element, row, draws);
}

export const isBlock = (row) => row.event !== undefined || row.data !== undefined;

/** Draw the text of a row anew, after it went on. */
export function fillText(element, row, draws) {
  const text = element.querySelector(".text");
  const { rest } = extent(row);
  text.replaceChildren(draws.drawText(row), unfoldedText(row));
  if (rest > 0) text.append(moreButton(rest));
}

const moreButton = (more) => button("more", `… ${counted(more, "more character")}`);

/** How the time of a row is shown, by mode: (row, the row before it) => text. */
export function timeTexts(startedAt) {
  const start = startedAt ? Date.parse(startedAt) : Number.NaN;
  return {
    start: ({ t }) => clock(t),
    off: () => "",
    day({ t }) {
      if (Number.isNaN(start)) return clock(t);
      const moment = new Date(start + t * 1000);
      const time = moment.toLocaleTimeString("en-GB");
      return `${time}.${String(moment.getMilliseconds()).padStart(3, "0")}`;
    },
    gap: ({ t }, before) => (before ? `+${(t - before.t).toFixed(3)}` : ""),
  };
}
