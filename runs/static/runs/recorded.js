// recorded.js - pages of a run's stored output.

/**
 * @param {(query: string) => Promise<Response>} get  asks the chunks call of one run
 */
export function recordedSource(get) {
  async function page(query) {
    const response = await get(query);
    if (!response.ok) throw new Error(await sentenceOf(response));
    return response.json();
  }
  return {
    /** Chunks that follow a seq: {items, last_seq, next, status}. */
    after: (seq, limit) => page(`after=${seq}&limit=${limit}`),
    /** The last chunks before a seq, in seq order. */
    before: (seq, limit) => page(`before=${seq}&limit=${limit}`),
    /** From the first chunk at `seconds` or later. */
    at: (seconds, limit) => page(`at=${seconds}&limit=${limit}`),
    /** Events only; items may be empty with `next` set. */
    events: (after) => page(`after=${after}&limit=2000&stream=event`),
  };
}

/** The sentence of an error answer, or one of ours if it holds none. */
export async function sentenceOf(response) {
  try {
    return (await response.json()).error.message;
  } catch {
    return `The server answered ${response.status}. Reload the page, or try again in a moment.`;
  }
}
