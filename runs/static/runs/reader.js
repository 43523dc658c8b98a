// reader.js - which part of a log is loaded: grows at both edges, jumps, follows the end.
// Pure: pages come from a source, what to draw is told to nobody - whoever asks draws.
//
// `low` and `high` are the seqs between which everything is known (what a filter keeps of
// it is loaded). `end` is where the log ends: for a run that goes on what has arrived, in
// a replay the position.

import { endOf, lastLines, linesOf, makeModel } from "./model.js";

const LINES = 1500;
const BYTES = 512 * 1024;
const CHUNKS = 1000;
// A flood of more lines than this is not drawn line by line: its end is.
const FLOOD = 4000;
const SHOWN_OF_FLOOD = 2000;
const KEPT_MEANWHILE = 20_000;

/**
 * @param {object} source  see recorded.js
 * @param {() => {feed: Function}} newScreen  see terminal.js
 */
export function makeReader(source, newScreen, bounds) {
  const model = makeModel(newScreen, bounds);
  let end = { seq: 0, lines: 0 };
  let low = 1, high = 0, filter = null;
  let generation = 0, jumps = 0, up = false, down = false;
  // What arrives while a page is asked for: it follows what that page will end with.
  let meanwhile = null;
  // Rows that pages wrote into again: a line may go on in the next page.
  let rewritten = new Set();

  const attached = () => high >= end.seq;

  // --- what is known ---------------------------------------------------------------

  /** @param {object[]|null} chunks  that follow each other; null: nothing is loaded yet */
  function reset(newEnd, chunks) {
    generation++;
    meanwhile = null;
    end = newEnd;
    if (chunks) hold(lastLines(chunks, LINES * 4), chunks.at(-1)?.seq ?? end.seq);
    else hold([], 0, end.seq + 1);
  }

  function hold(chunks, last, first = chunks[0]?.seq ?? 1) {
    low = first;
    high = last;
    model.reset(chunks.filter(isKept));
  }

  const isKept = ({ stream, task }) =>
    !filter || ((!filter.streams || filter.streams.has(stream)) && (filter.task === null || filter.task === task));

  /**
   * What comes next; chunks known already are dropped.
   * @returns {{lines: number, changed: Set<object>}} how much of it is kept by the filter
   */
  function append(chunks, following) {
    const wasAttached = attached();
    const fresh = chunks.filter(({ seq }) => seq > end.seq);
    if (!fresh.length) return { lines: 0, changed: new Set() };
    end = endOf(fresh);
    const kept = fresh.filter(isKept);
    const lines = kept.reduce((sum, chunk) => sum + (linesOf(chunk) || Number(chunk.data !== null)), 0);
    if (!wasAttached) keepMeanwhile(fresh);
    const changed = wasAttached ? join(kept, lines, following) : new Set();
    return { lines, changed };
  }

  function join(kept, lines, following) {
    const none = new Set();
    if (following && lines > FLOOD) {
      const shown = lastLines(kept, SHOWN_OF_FLOOD);
      low = shown[0].seq;
      high = end.seq;
      model.reset(shown, SHOWN_OF_FLOOD);
      return none;
    }
    // Someone reads further up: what they read stays, what comes is loaded when they come.
    if (!following && (model.isFull || lines > KEPT_MEANWHILE)) return none;
    high = end.seq;
    return model.append(kept);
  }

  function keepMeanwhile(chunks) {
    if (!meanwhile) return;
    meanwhile.push(...chunks);
    if (end.lines - meanwhile[0].line > KEPT_MEANWHILE) meanwhile = null;
  }

  /** Let go of what is far above row `kept`; see model.js. @returns {boolean} whether anything went */
  function trim(kept, whole) {
    if (!model.trim(kept, whole)) return false;
    low = model.chunks[0].seq;
    return true;
  }

  // --- pages -------------------------------------------------------------------------

  /** How many chunks hold about a page of lines, by what is known of this run. */
  function limit() {
    const { chunks } = model;
    const bytes = chunks.reduce((sum, { text }) => sum + text.length, 0);
    const linesEach = chunks.length > 1 && !filter
      ? (chunks.at(-1).line - chunks[0].line) / (chunks.length - 1)
      : end.lines / Math.max(end.seq, 1);
    const bytesEach = chunks.length ? bytes / chunks.length : BYTES / 20;
    const fit = Math.min(LINES / Math.max(linesEach, 0.1), BYTES / Math.max(bytesEach, 1));
    return Math.max(1, Math.min(CHUNKS, Math.ceil(fit)));
  }

  const narrowed = () =>
    filter ? { streams: filter.streams ? [...filter.streams] : undefined, task: filter.task } : undefined;

  function extend(items) {
    for (const row of model.append(items)) rewritten.add(row);
  }

  const upToEnd = (items) => (items.at(-1)?.seq > end.seq ? items.filter(({ seq }) => seq <= end.seq) : items);

  /** The seq up to which a page that was read forward says everything. */
  const reach = (page) => Math.min(end.seq, page.next ?? Math.max(page.last_seq, page.items.at(-1)?.seq ?? 0));

  /** What arrived meanwhile follows what is held, if that reaches to where it began. */
  function joinMeanwhile(since) {
    const arrived = meanwhile?.filter(({ seq }) => seq > high) ?? [];
    if (!meanwhile || high < since) return;
    meanwhile = null;
    high = end.seq;
    extend(arrived.filter(isKept));
  }

  /** @param {() => number} kept  how many rows from the first must stay */
  async function earlier(kept) {
    if (up || low <= 1 || jumps) return false;
    const mine = generation;
    up = true;
    try {
      const page = await source.before(low, limit(), narrowed());
      if (mine !== generation) return false;
      low = page.next ?? 1;
      if (page.items.length && model.prepend(page.items, kept())) high = model.chunks.at(-1).seq;
      return true;
    } finally {
      up = false;
    }
  }

  async function later() {
    if (down || attached() || jumps) return false;
    const mine = generation, since = end.seq;
    down = true;
    meanwhile = [];
    try {
      const page = await source.after(high, limit(), narrowed());
      if (mine !== generation) return false;
      const items = upToEnd(page.items);
      high = Math.max(high, reach(page));
      extend(items);
      joinMeanwhile(since);
      return true;
    } finally {
      down = false;
    }
  }

  /** Hold another part. The newest jump wins. @returns {Promise<boolean>} whether it came */
  async function jump(load) {
    const mine = ++generation, since = end.seq;
    jumps++;
    meanwhile = [];
    try {
      const { page, from } = await load();
      if (mine !== generation) return false;
      const items = upToEnd(page.items);
      hold(items, reach(page), from ?? items[0]?.seq ?? end.seq + 1);
      joinMeanwhile(since);
      return true;
    } finally {
      jumps--;
    }
  }

  const toSeq = (seq) =>
    jump(async () => ({ page: await source.after(Math.max(seq - 1, 0), limit(), narrowed()), from: seq }));

  const toLine = (number) =>
    jump(async () => {
      if (!filter) return { page: await source.line(number, limit()) };
      const from = (await source.line(number, 1)).items[0]?.seq ?? 1;
      return { page: await source.after(from - 1, limit(), narrowed()), from };
    });

  const toTail = () =>
    jump(async () => {
      const until = end.seq;
      const page = await source.before(until + 1, limit(), narrowed());
      return { page: { ...page, next: until }, from: page.next ?? 1 };
    });

  return {
    model, reset, append, trim, earlier, later, toSeq, toLine, toTail,
    toStart: () => toSeq(1),
    setEnd(value) {
      end = value;
    },
    /** Rows, since the last time, that look different now that later() or a jump has come. */
    takeRewritten() {
      const taken = rewritten;
      if (taken.size) rewritten = new Set();
      return taken;
    },
    /** Forget the jump that is under way. */
    cancel() {
      generation++;
    },
    /** @param {{streams: Set<string>|null, task: number|null}|null} value */
    setFilter(value) {
      filter = value;
    },
    get filter() { return filter; },
    get end() { return end; },
    get low() { return low; },
    get high() { return high; },
    get first() { return low <= 1; },
    /** The first row is longer than what is kept of its text; it stays as it is. */
    get firstIsCut() { return model.rows[0]?.seq < low; },
    get attached() { return attached(); },
    get busy() { return jumps > 0; },
  };
}
