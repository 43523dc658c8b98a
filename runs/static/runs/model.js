// model.js - the part of a log that is loaded: chunks that follow each other, and their
// rows. Bounded: what is far from the reader goes again. Pure.

export const MOST_ROWS = 40_000;
export const MOST_TEXT = 8_000_000;
// Rows above the maximum before any go: removing a few each frame is dear.
const SLACK = 1.25;

/** @param {() => {feed: Function}} newScreen  see terminal.js */
export function makeModel(newScreen, { mostRows = MOST_ROWS, mostText = MOST_TEXT } = {}) {
  let screen = newScreen(), chunks = [], rows = [], size = 0;

  function feed(given, most) {
    const changed = new Set();
    for (const chunk of given) {
      const made = screen.feed(chunk, most);
      for (const row of made.added) {
        row.last = chunk.seq;
        rows.push(row);
      }
      for (const row of made.changed) {
        row.last = chunk.seq;
        changed.add(row);
      }
    }
    return changed;
  }

  function rebuild() {
    screen = newScreen();
    rows = [];
    size = sizeOf(chunks);
    feed(chunks);
  }

  const tooMuch = () => rows.length > mostRows || size > mostText;

  return {
    /** Hold only these. @param {number} most  of a chunk of many lines, its last so many */
    reset(given, most = Infinity) {
      screen = newScreen();
      chunks = [...given];
      rows = [];
      size = sizeOf(chunks);
      feed(chunks, most);
    },
    /** What follows. @returns {Set<object>} rows that look different now */
    append(given, most = Infinity) {
      for (const chunk of given) chunks.push(chunk);
      size += sizeOf(given);
      return feed(given, most);
    },
    /**
     * What precedes. Rows are made anew, since a line may begin in it; chunks at the end
     * go when there are too many, but never those with the first `kept` rows of now.
     * @returns {boolean} whether any went
     */
    prepend(given, kept) {
      const last = rows[Math.min(kept, rows.length) - 1]?.last ?? 0;
      chunks = [...given, ...chunks];
      rebuild();
      if (!tooMuch()) return false;
      let end = chunks.length, over = rows.length - mostRows, surplus = size - mostText;
      while (end > 1 && (over > 0 || surplus > 0) && chunks[end - 1].seq > last) {
        end--;
        over -= linesOf(chunks[end]);
        surplus -= weightOf(chunks[end]);
      }
      if (end === chunks.length) return false;
      chunks = chunks.slice(0, end);
      rebuild();
      return true;
    },
    /**
     * Let go of whole chunks at the start while there is too much; the row `kept` and those
     * behind it stay. `whole`: so does all that they were made of; else a line that goes on
     * for ever would grow for ever.
     * @returns {boolean} whether any went
     */
    trim(kept, whole = false) {
      if (rows.length <= mostRows * SLACK && size <= mostText * SLACK) return false;
      const row = rows[Math.max(0, Math.min(kept, rows.length - 1))];
      const limit = (whole ? row?.seq : row?.last) ?? 0;
      let gone = 0, over = rows.length - mostRows, surplus = size - mostText;
      while (gone < chunks.length - 1 && (over > 0 || surplus > 0) && chunks[gone].seq < limit) {
        over -= linesOf(chunks[gone]);
        surplus -= weightOf(chunks[gone]);
        gone++;
      }
      // A line that goes on in what stays, stays; even if it began in what goes.
      while (gone && rows.length && !rows.some((row) => row.last >= chunks[gone].seq)) gone--;
      if (!gone) return false;
      for (const chunk of chunks.splice(0, gone)) size -= weightOf(chunk);
      const first = rows.findIndex((row) => row.last >= chunks[0].seq);
      rows.splice(0, first);
      return true;
    },
    rebuild,
    get rows() { return rows; },
    get isFull() { return rows.length > mostRows || size > mostText; },
    get chunks() { return chunks; },
  };
}

export const linesOf = ({ text }) => {
  let lines = 0;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) lines++;
  return lines;
};

const weightOf = ({ text, data }) => text.length + (data === null ? 0 : weightOfData(data)) + 100;
const weightOfData = (data) =>
  Object.values(data).reduce((sum, value) => sum + (typeof value === "string" ? value.length : 100), 0);
const sizeOf = (chunks) => chunks.reduce((sum, chunk) => sum + weightOf(chunk), 0);

/** Where a log is that ends with these chunks: {seq, lines}. */
export function endOf(chunks) {
  const last = chunks.at(-1);
  return last ? { seq: last.seq, lines: last.line + linesOf(last) } : { seq: 0, lines: 0 };
}

/** Whole chunks of about `most` lines from the end; at least one. */
export function lastLines(chunks, most) {
  const { lines } = endOf(chunks);
  let first = chunks.length - 1;
  while (first > 0 && lines - chunks[first].line < most) first--;
  return chunks.slice(Math.max(first, 0));
}
