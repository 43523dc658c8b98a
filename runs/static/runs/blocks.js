// blocks.js - what is more than a line of text: events, results, errors, our own remarks.

import { button, fold, make, progressBar } from "./elements.js";
import { eventView } from "./events.js";
import { drawFields } from "./jsontree.js";
import { drawResult, plainText } from "./resultview.js";
import { errorOf } from "./results.js";
import { visible } from "./text.js";

const REMEMBERED = 2000;
const memories = new WeakMap();

/**
 * @param {object} row  {seq, stream, text, event | data}, as terminal.js makes them
 * @param {{frameUrl: (seq: number, mime?: string) => string, resultUrl: (seq: number, mime: string) => string}} context
 *   where a result is shown in a frame of its own, and where it can be downloaded
 * @returns {HTMLElement} to stand behind the row's number and time
 */
export function drawBlock(row, context) {
  try {
    return BLOCKS[row.stream](row, context, remembered(context, row.seq));
  } catch (error) {
    // Whatever a program may print, its text can be shown.
    console.warn(`Chunk ${row.seq} is shown as text: ${error}`);
    return plainText(row.text ?? "");
  }
}

/** What a reader unfolded and chose is so again when the row is drawn anew. */
function remembered(context, seq) {
  if (!memories.has(context)) memories.set(context, new Map());
  const memory = memories.get(context);
  if (!memory.has(seq)) memory.set(seq, {});
  if (memory.size > REMEMBERED) memory.delete(memory.keys().next().value);
  return memory.get(seq);
}

const BLOCKS = { event: drawEvent, result: drawResult, error: drawError, system: drawRemark };

function drawEvent(row, context, memory) {
  const { type, summary, percent } = eventView(row.event);
  const line = [make("span", "event-type", type)];
  if (percent !== null) line.push(progressBar(percent), make("span", "hint percent", `${Math.round(percent)} %`));
  line.push(make("span", "text", summary));
  const block = fold("block event-block", line, () => [drawFields(row.event, 3), rawLine(row)]);
  if (memory.open) block.unfold();
  block.addEventListener("toggle", () => (memory.open = block.open));
  return block;
}

/** The line as the program printed it, a click away. */
function rawLine(row) {
  const place = make("div", "raw-line");
  place.append(button("text-button", "Raw line", () => place.replaceChildren(plainText(row.text))));
  return place;
}

function drawError(row) {
  const { title, traceback } = errorOf(row.data, row.text);
  const block = make("div", "block error-block");
  block.append(make("strong", "error-title", visible(title)), plainText(traceback, "traceback"));
  return block;
}

function drawRemark(row) {
  const block = make("div", "block remark");
  block.append(make("span", "text", visible(row.text.trimEnd())));
  return block;
}
