// recorded.js - what is stored of a run: pages of its output, and what is known of the whole.
//
// A page is {items, last_seq, next, status}. `filter` is {streams: [name], task: number};
// what is left out or null narrows nothing. No streams in the list is none of the output.

const PAGES_WITHOUT_A_FIND = 100;

/**
 * @param {(query: string, call: string, options: object) => Promise<Response>} get  asks one of
 *   a run's calls: "chunks", "outline", "marks" or "search"; `options` as fetch takes them
 */
export function recordedSource(get) {
  async function ask(parameters, call = "chunks", options = {}) {
    const response = await get(new URLSearchParams(parameters).toString(), call, options);
    if (!response.ok) throw new Error(await sentenceOf(response));
    return response.json();
  }

  /** A page; with a filter, what fits may lie pages away: they are stepped over here. */
  async function page(place, limit, filter, onward = "after") {
    if (filter?.streams && ![...filter.streams].length) return nothing();
    const wanted = { limit, ...narrowed(filter) };
    let found = await ask({ ...place, ...wanted });
    for (let pages = 0; !found.items.length && found.next !== null && pages < PAGES_WITHOUT_A_FIND; pages++) {
      found = await ask({ [onward]: found.next, ...wanted });
    }
    return found;
  }

  async function nothing() {
    const { last_seq, status } = await ask({ after: Number.MAX_SAFE_INTEGER, limit: 1 });
    return { items: [], last_seq, next: null, status };
  }

  return {
    /** Chunks that follow a seq. */
    after: (seq, limit, filter) => page({ after: seq }, limit, filter),
    /** The last chunks before a seq, in seq order; `next` is where the page before them ends. */
    before: (seq, limit, filter) => page({ before: seq }, limit, filter, "before"),
    /** From the first chunk at `seconds` or later. */
    at: (seconds, limit, filter) => page({ at: seconds }, limit, filter),
    /** From the chunk in which a line begins; lines are counted from 1, over all streams. */
    line: (number, limit, filter) => page({ line: number }, limit, filter),
    /** Events only. */
    events: (after) => page({ after }, 2000, { streams: ["event"] }),
    /** Output over time: {seconds, lines, last_seq, buckets: [{t, lines, chunks}]}. */
    outline: (buckets = 200) => ask({ buckets }, "outline"),
    /** What stands out behind a seq: {items: [{seq, t, line, task, kind, label}], next}. */
    marks: (after = 0) => ask({ after }, "marks"),
    /**
     * Lines that hold `q` behind seq `after`, or before seq `before`:
     * {items: [{seq, t, line, stream, task, text, start, end}], next, examined}, where `text` is
     * the line, cut around the first find, which is from `start` to `end` in it.
     */
    async search(q, { after, before, matchCase, regex, streams, task, limit, signal } = {}) {
      if (streams && ![...streams].length) return { items: [], next: null, examined: after ?? 0 };
      const parameters = { q, ...narrowed({ streams, task }) };
      if (before !== undefined) parameters.before = before;
      else parameters.after = after ?? 0;
      if (matchCase) parameters.case = 1;
      if (regex) parameters.regex = 1;
      if (limit) parameters.limit = limit;
      const page = await ask(parameters, "search", { signal });
      return { ...page, items: page.items.map(inUnits) };
    },
  };
}

function narrowed(filter) {
  const parameters = {}, streams = [...(filter?.streams ?? [])], task = filter?.task ?? "";
  if (streams.length) parameters.stream = streams.join(",");
  if (task !== "") parameters.task = task;
  return parameters;
}

/** The server counts characters; a string here counts those beyond U+FFFF twice. */
function inUnits(hit) {
  const { text, start, end } = hit;
  if (!/[\ud800-\udbff]/.test(text)) return hit;
  const characters = [...text];
  const units = (count) => characters.slice(0, count).join("").length;
  return { ...hit, start: units(start), end: units(end) };
}

/** The sentence of an error answer, or one of ours if it holds none. */
export async function sentenceOf(response) {
  try {
    return (await response.json()).error.message;
  } catch {
    return `The server answered ${response.status}. Reload the page, or try again in a moment.`;
  }
}
