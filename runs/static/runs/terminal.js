// terminal.js - chunks become rows that read as they would in a terminal.
//
// A chunk's boundaries mean nothing: each stream of each task goes on where it was left,
// in the middle of a line, of an escape sequence or of a style. Pure: drawing is spans.js.

import { showAll } from "./hidden.js";
import { Interpreter } from "./interpreter.js";
import { Row } from "./row.js";

const BLOCKS = ["event", "result", "error"];

/**
 * `feed(chunk, most)` gives the rows that are new, in order, and those it wrote into again.
 * Of a chunk of very many lines only the last `most` become rows.
 *
 * A row of text: {seq, t, stream, task, number, offset, key, ended, text, spans, more}; it stays
 * the same object as it goes on. `number` is the line it began at, `offset` how many newlines of
 * its chunk are before; numbers grow, but leave out lines that were written over an earlier row.
 * `more`: how many characters are not in `text`. Spans: {text, style}, style null or as NORMAL in
 * escapes.js has it, a colour being 0 to 255 or [r, g, b].
 * Other rows: {seq, t, stream, task, number, key, ended, text} and `event` or `data`.
 *
 * @param {boolean} raw  nothing is interpreted: a row is a line as it was written
 */
export function makeScreen({ raw = false } = {}) {
  const writers = new Map();
  let added, changed;
  const on = {
    added: (row) => added.push(row),
    changed: (row) => changed.add(row),
  };

  function writerOf({ stream, task }) {
    const key = `${stream} ${task}`;
    if (!writers.has(key)) writers.set(key, raw ? new Lines(on) : new Interpreter(on));
    return writers.get(key);
  }

  return {
    feed(chunk, most = Infinity) {
      added = [];
      changed = new Set();
      if (chunk.data !== null && BLOCKS.includes(chunk.stream)) return { added: [block(chunk)], changed };
      const writer = writerOf(chunk);
      const { at, offset } = startOfLast(most, chunk.text);
      if (at) writer.skip(chunk.text, at);
      if (chunk.text) writer.write(chunk, at, offset);
      if (changed.size) for (const row of added) changed.delete(row);
      return { added, changed };
    },
  };
}

/** Lines as they were written. */
class Lines {
  #open = null;

  constructor(on) {
    this.on = on;
  }

  skip() {
    this.#open = null;
  }

  write(chunk, at, offset) {
    const lines = chunk.text.slice(at).split("\n");
    const last = lines.pop();
    for (const line of lines) {
      this.#extend(chunk, offset++, line).ended = true;
      this.#open = null;
    }
    if (last) this.#extend(chunk, offset, last);
  }

  #extend(chunk, offset, text) {
    const row = this.#open ?? new Row(chunk, offset);
    if (this.#open) this.on.changed(row);
    else this.on.added(row);
    if (text) row.append(showAll(text), null);
    this.#open = row;
    return row;
  }
}

/** Where the last `most` lines of a text begin, and how many newlines stand before. */
function startOfLast(most, text) {
  if (text.length <= most) return { at: 0, offset: 0 };
  let lines = 0;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) lines++;
  const whole = text.endsWith("\n") ? lines : lines + 1;
  const offset = Math.max(0, whole - most);
  let at = 0;
  for (let skipped = 0; skipped < offset; skipped++) at = text.indexOf("\n", at) + 1;
  return { at, offset };
}

function block({ seq, t, stream, task, line, text, data }) {
  const row = { seq, t, stream, task, number: line + 1, key: `${seq}.0`, ended: true, text };
  return stream === "event" ? { ...row, event: data } : { ...row, data };
}
