// longline.js - shows the rest of a line that is too long to be drawn at once, in pieces.

import { make } from "./elements.js";
import { counted } from "./format.js";
import { visible } from "./text.js";

const PIECE = 100_000;
const PAGE = 20;

/**
 * @param {{row: object, element: HTMLElement}|null} known  the row of the button
 * @param {HTMLButtonElement} button
 * @param {{model: object, source: object}} from
 */
export async function unfoldLine(known, button, from) {
  if (!known) return;
  const { row } = known;
  button.disabled = true;
  try {
    row.whole ??= visible(lastOver(await lineOf(row, from)));
  } finally {
    button.disabled = false;
  }
  const shown = (row.unfolded ??= row.text.length);
  row.unfolded = Math.min(row.whole.length, shown + PIECE);
  button.before(make("span", "", row.whole.slice(shown, row.unfolded)));
  const rest = row.whole.length - row.unfolded;
  if (rest > 0) button.textContent = `… ${counted(rest, "more character")}`;
  else button.remove();
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
    yield* model.chunks.slice(loaded);
    after = model.chunks.at(-1).seq;
  }
  while (after !== null) {
    const page = await source.after(after, PAGE);
    yield* page.items;
    after = page.next;
  }
}
