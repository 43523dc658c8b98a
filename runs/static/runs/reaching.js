// reaching.js - asks the server, and says when it cannot be reached and when it can again.

const SENTENCE = "The server cannot be reached. What is shown stays; it is tried again.";
const PAUSE_MS = 3000;

/**
 * @param {string} probe  an address that is asked until there is an answer
 * @param {() => void} back  it answers again
 * @returns {(address: string, options?: object) => Promise<Response>} as fetch
 */
export function makeReach(probe, back, env = browser) {
  let gone = false;

  async function ask(address, options) {
    const response = await env.fetch(address, options);
    if (gone) back();
    gone = false;
    return response;
  }

  function lost() {
    if (!gone) env.setTimeout(again, PAUSE_MS);
    gone = true;
  }

  function again() {
    if (gone) ask(probe).catch(() => env.setTimeout(again, PAUSE_MS));
  }

  return async (address, options) => {
    try {
      return await ask(address, options);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      lost();
      throw new Error(SENTENCE);
    }
  };
}

const browser = { fetch: (...given) => fetch(...given), setTimeout: (...given) => setTimeout(...given) };
