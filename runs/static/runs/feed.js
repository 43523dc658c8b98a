// feed.js - gives a run's events, in seq order and once each, to those that draw them:
// first what is stored, page by page, then what arrives. Pure.

const MOST_PAGES = 200;
// Arriving events that are held back while stored ones are loaded; of more, pages are loaded.
const MOST_HELD = 5000;

/**
 * @param {{events: (after: number) => Promise<{items: object[], next: number|null}>}} source
 * @param {{take: (chunks: object[]) => void}[]} takers
 */
export function makeFeed(source, takers) {
  let held = [], loading = true, seq = 0, goal = 0;

  function give(chunks) {
    const fresh = chunks.filter((chunk) => chunk.seq > seq && chunk.stream === "event" && chunk.data !== null);
    if (!fresh.length) return;
    seq = fresh.at(-1).seq;
    for (const taker of takers) taker.take(fresh);
  }

  return {
    /** Load what is stored up to a seq; what arrives meanwhile comes after it. */
    async load(until) {
      try {
        goal = until;
        for (let after = 0, pages = 0; after !== null && after < goal && pages < MOST_PAGES; pages++) {
          const page = await source.events(after);
          give(page.items);
          after = page.next;
        }
      } finally {
        loading = false;
        give(held);
        held = [];
      }
    },
    /** Chunks that arrive, of any stream. */
    take(chunks) {
      if (!loading) return give(chunks);
      for (const chunk of chunks) if (chunk.stream === "event") held.push(chunk);
      if (held.length <= MOST_HELD) return;
      held = [];
      goal = Infinity;
    },
  };
}
