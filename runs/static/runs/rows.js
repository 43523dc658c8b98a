// rows.js - chunks become rows; web/lines.py makes the same rows on the server.
//
// A chunk's boundaries mean nothing, so a row goes on where its stream and task
// left it. Pure: what draws rows is draw.js.

import { eventView } from "./events.js";
import { partsOf } from "./results.js";
import { LINE_LENGTH, clean, pieces } from "./text.js";

const BLOCKS = ["event", "result", "error"];

/**
 * @param {Map<string, object>} unfinished  rows whose end has not come, by stream and task
 * @param {object} chunk  as the contract has it
 * @param {number} most  of a chunk of very many lines, only this many of the last are made
 * @returns {object[]} rows that are new or have changed, in order
 */
export function addChunk(unfinished, chunk, most = Infinity) {
  if (chunk.data !== null && BLOCKS.includes(chunk.stream)) return [block(chunk)];
  const key = `${chunk.stream} ${chunk.task}`;
  const cut = pieces(chunk.text);
  const skipped = Math.max(0, cut.length - most);
  if (skipped) unfinished.delete(key);
  return cut.slice(skipped).map((piece, index) => {
    const row = unfinished.get(key) ?? textRow(chunk, skipped + index);
    extend(row, piece);
    if (row.ended) unfinished.delete(key);
    else unfinished.set(key, row);
    return row;
  });
}

/** A row as it was drawn by the server, to be gone on with. */
export function openRow({ seq, stream, task, raw }) {
  return { seq, stream, task, raw, more: 0, ended: false, text: clean(raw) };
}

function textRow(chunk, offset) {
  const { seq, t, stream, task } = chunk;
  return { seq, t, stream, task, number: chunk.line + 1 + offset, raw: "", more: 0, ended: false, text: "" };
}

function extend(row, piece) {
  row.ended = piece.endsWith("\n");
  row.raw += piece;
  const again = row.raw.lastIndexOf("\r", row.raw.length - 2);
  // Overwritten text is not needed again; neither is what is too long to be drawn.
  if (again > 0 && !/[\r\n]/.test(row.raw[again + 1])) row.raw = row.raw.slice(again);
  if (row.raw.length > 2 * LINE_LENGTH) {
    row.more += row.raw.length - LINE_LENGTH;
    row.raw = row.raw.slice(0, LINE_LENGTH);
  }
  row.text = clean(row.raw, row.more);
}

function block(chunk) {
  const { seq, t, stream, task, text, data } = chunk;
  const row = { seq, t, stream, task, number: chunk.line + 1, ended: true };
  if (stream === "event") return { ...row, event: eventView(data) };
  return { ...row, parts: partsOf(stream, data, text) };
}
