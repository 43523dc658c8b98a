// draw.js - a row becomes an element, as templates/runs/_chunks.html draws it.
// Everything a program wrote goes in as text, never as markup.

import { clock } from "./format.js";
import { visible } from "./text.js";

/** @param {(seq: number) => string} frameUrl  where the HTML of a result is served */
export function drawRow(row, timeText, frameUrl) {
  const element = make("div", `row ${row.stream}`);
  element.dataset.seq = row.seq;
  element.dataset.t = row.t;
  element.dataset.task = row.task;
  element.append(make("span", "n", row.number), make("span", "t", timeText(row.t)));
  if (row.event) element.append(...drawEvent(row.event));
  else if (row.parts) element.append(drawParts(row, frameUrl));
  else element.append(make("span", "text", row.text));
  return element;
}

export function redrawText(element, row) {
  element.querySelector(".text").textContent = row.text;
}

/** How the time of a row is shown: since the start, of the day, or not at all. */
export function timeTexts(startedAt) {
  const start = startedAt ? Date.parse(startedAt) : Number.NaN;
  return {
    start: (t) => clock(t),
    off: (t) => clock(t),
    day: (t) => {
      if (Number.isNaN(start)) return clock(t);
      const moment = new Date(start + t * 1000);
      const time = moment.toLocaleTimeString("en-GB");
      return `${time}.${String(moment.getMilliseconds()).padStart(3, "0")}`;
    },
  };
}

function drawEvent({ type, summary, percent }) {
  const drawn = [make("span", "event-type", type)];
  if (percent !== null) drawn.push(progressBar(percent));
  return [...drawn, make("span", "text", summary)];
}

export function progressBar(percent) {
  const bar = make("progress", "");
  bar.max = 100;
  bar.value = percent;
  return bar;
}

function drawParts(row, frameUrl) {
  const parts = make("div", "parts");
  for (const { how, label, value } of row.parts) {
    if (how === "image") {
      const image = make("img", "result-image");
      image.alt = label;
      image.src = value;
      parts.append(image);
    } else if (how === "frame") {
      const frame = make("iframe", "result-frame");
      frame.setAttribute("sandbox", "");
      frame.title = label;
      frame.src = frameUrl(row.seq);
      parts.append(frame);
    } else {
      const heading = how === "error" ? make("strong", "error-title", label) : make("span", "part-label", label);
      if (label) parts.append(heading);
      parts.append(make("pre", "text", visible(value)));
    }
  }
  return parts;
}

export function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}
