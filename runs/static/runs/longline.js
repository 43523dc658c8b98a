// longline.js - shows the rest of a line that is too long to be drawn at once, in pieces.

import { visible } from "./text.js";

const PIECE = 100_000;
const PAGE = 20;

/** How many of the line's characters are to be drawn, and how many there are beside them. */
export function extent(row) {
  const shown = isUnfolded(row) ? row.unfolded : row.text.length;
  return { shown, rest: lengthOf(row) - shown };
}

/** What is drawn behind the row's own text. */
export const unfoldedText = (row) => (isUnfolded(row) ? row.whole.slice(row.text.length, row.unfolded) : "");

// Not one that was written over since, as progress bars are.
const isUnfolded = (row) => row.unfolded !== undefined && row.text === row.textThen && row.more >= row.moreThen;

const isOutgrown = (row) => row.more > row.moreThen && row.text.length + row.more > row.whole.length;

const isKnown = (row) => isUnfolded(row) && !isOutgrown(row);

const lengthOf = (row) => (isKnown(row) ? row.whole.length : row.text.length + row.more);

/**
 * Draw a piece more of a row's line from now on.
 * @param {(key: string) => object|undefined} current  the row of a key, which may be made anew meanwhile
 * @param {{model: object, source: object}} from
 * @returns {Promise<object|undefined>} the row that is to be drawn again
 */
export async function unfold(row, current, from) {
  const whole = isKnown(row) ? row.whole : visible(lastOver(await lineOf(row, from)));
  const now = current(row.key);
  if (!now) return;
  const unfolded = Math.min(whole.length, extent(now).shown + PIECE);
  return Object.assign(now, { whole, unfolded, textThen: now.text, moreThen: now.more });
}

// A carriage return begins the line again, as progress bars do.
const lastOver = (line) => {
  const text = line.replace(/[\r\n]+$/, "");
  return text.slice(text.lastIndexOf("\r") + 1);
};

/** The line that begins in the row's chunk, out of what is loaded or asked for again. */
async function lineOf(row, { model, source }) {
  const parts = [];
  let offset = Number(row.offset ?? row.key.split(/\D+/).filter(Boolean).at(1) ?? 0);
  for await (const { seq, stream, task, text } of chunksFrom(row.seq, model, source)) {
    if (stream !== row.stream || task !== row.task) continue;
    const begin = seq === row.seq ? skipLines(text, offset) : 0;
    const end = text.indexOf("\n", begin);
    parts.push(text.slice(begin, end < 0 ? undefined : end));
    if (end >= 0) break;
  }
  return parts.join("");
}

function skipLines(text, count) {
  let at = 0;
  for (; count > 0; count--) at = text.indexOf("\n", at) + 1;
  return at;
}

async function* chunksFrom(seq, model, source) {
  const loaded = model.chunks.findIndex((chunk) => chunk.seq === seq);
  let after = seq - 1;
  if (loaded >= 0) {
    const held = model.chunks.slice(loaded);
    yield* held;
    after = held.at(-1).seq;
  }
  while (after !== null) {
    const page = await source.after(after, PAGE);
    yield* page.items;
    after = page.next;
  }
}
