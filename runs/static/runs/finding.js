// finding.js - looks for something in the whole run, page by page. Pure: who asks and what
// shows it are passed in.
//
// The log is searched from where the reader is to its end, then from its start to there;
// what is printed meanwhile is searched when it has come.

export const MOST = 10_000;
// How long new output waits for its search, in ms.
const PAUSE = 500;
const LIMIT = 500;

const later = (a, b) => a.seq - b.seq || a.line - b.line;
const keyOf = ({ seq, line }) => `${seq} ${line}`;

/**
 * @param {(q: string, options: object) => Promise<object>} search  see recorded.js
 * @param {{changed: Function, went: (hit: object) => void, failed: (error: Error) => void}} on
 *   changed(): read `hits`, `index` and the rest anew; went(hit): it is the current one now
 * @param {{setTimeout: Function, clearTimeout: Function}} clock
 */
export function makeFinding(search, on, clock, most = MOST) {
  let query = null, hits = [], known = new Map(), current = null, wanted = 0;
  let searching = false, examined = 0, stored = 0, timer = null, generation = 0, abort = null;

  /**
   * @param {{q: string, matchCase?: boolean, regex?: boolean, streams?: string[], task?: number}|null} wish
   * @param {{seq?: number, line?: number}} from  where the reader is; the first hit there becomes the current one
   */
  async function start(wish, { seq = 0, line = 0 } = {}) {
    stop();
    query = wish?.q ? wish : null;
    on.changed();
    if (!query) return;
    const mine = generation, before = Math.max(0, seq - 1);
    wanted = line;
    searching = true;
    on.changed();
    try {
      await run(mine, before, Infinity);
      if (before) await run(mine, 0, before);
    } catch (error) {
      if (mine === generation) on.failed(error);
    }
    if (mine !== generation) return;
    searching = false;
    choose(true);
    on.changed();
    arrived(stored);
  }

  function stop() {
    generation++;
    abort?.abort();
    clock.clearTimeout(timer);
    timer = abort = current = query = null;
    hits = [];
    known = new Map();
    searching = false;
    examined = 0;
  }

  /** Pages behind `after` until one reaches `until` or the end. */
  async function run(mine, after, until) {
    while (after !== null && after < until && hits.length < most) {
      abort = new AbortController();
      const { q, ...options } = query;
      const page = await search(q, { ...options, after, limit: LIMIT, signal: abort.signal });
      if (mine !== generation) return;
      take(page.items);
      if (until === Infinity) examined = Math.max(examined, page.examined);
      after = page.next;
      choose(false);
      on.changed();
    }
  }

  /** A line that went on comes again, and is what it became. */
  function take(items) {
    for (const hit of items) {
      const key = keyOf(hit), before = known.get(key);
      if (!before && hits.length >= most) continue;
      if (before) Object.assign(before, hit);
      else hits.push(hit);
      if (!before) known.set(key, hit);
    }
    hits.sort(later);
  }

  function choose(isAll) {
    if (current || !hits.length) return;
    const hit = hits.find((each) => each.line >= wanted) ?? (isAll ? hits[0] : null);
    if (hit) go(hit);
  }

  function go(hit) {
    current = hit;
    on.went(hit);
  }

  function step(by) {
    if (!hits.length) return;
    const at = hits.indexOf(current);
    go(hits[(at + by + hits.length) % hits.length]);
    on.changed();
  }

  /** There is output up to a seq. */
  function arrived(lastSeq) {
    stored = Math.max(stored, lastSeq);
    if (!query || searching || timer || stored <= examined || hits.length >= most) return;
    timer = clock.setTimeout(searchOn, PAUSE);
  }

  async function searchOn() {
    const mine = generation;
    try {
      await run(mine, examined, Infinity);
    } catch (error) {
      if (mine === generation) on.failed(error);
    }
    if (mine !== generation) return;
    timer = null;
    arrived(stored);
  }

  return {
    start,
    stop() {
      stop();
      on.changed();
    },
    next: () => step(1),
    previous: () => step(current ? -1 : 0),
    arrived,
    get hits() { return hits; },
    get current() { return current; },
    get index() { return hits.indexOf(current); },
    get query() { return query; },
    get searching() { return searching; },
    get isCut() { return hits.length >= most; },
  };
}

/** "12 of 340", "12 of 340, searching…", "No line has it" */
export function countText({ query, hits, index, searching, isCut }) {
  if (!query) return "";
  const total = `${hits.length.toLocaleString("en")}${isCut ? "+" : ""}`;
  const found = index >= 0 ? `${(index + 1).toLocaleString("en")} of ${total}` : total;
  if (searching) return hits.length ? `${found}, searching…` : "Searching…";
  return hits.length ? found : "No line has it";
}

/** What an address says of a search, and an address that says it. */
export function queryOf(parameters) {
  const q = parameters.get("find") ?? "";
  return { q, matchCase: parameters.get("case") === "1", regex: parameters.get("regex") === "1" };
}

export function withQuery(address, query) {
  const url = new URL(address);
  for (const name of ["find", "case", "regex"]) url.searchParams.delete(name);
  if (query?.q) url.searchParams.set("find", query.q);
  if (query?.q && query.matchCase) url.searchParams.set("case", "1");
  if (query?.q && query.regex) url.searchParams.set("regex", "1");
  return url.href;
}
