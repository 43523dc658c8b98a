// socket.js - keep a socket open: again after a pause that grows, with the state said in words.

export const RETRY_FIRST_MS = 500;
export const RETRY_CAP_MS = 10_000;
// Longer than three pings of the server.
const SILENCE_MS = 50_000;

export function isRefusal(code) {
  return code >= 4400 && code < 4500 && code !== 4408;
}

/**
 * @param {() => WebSocket} connect
 * @param {{message: Function, state: (state: string, seconds?: number, code?: number) => void}} on
 *   state: connecting, open, reconnecting (in `seconds`), refused (with the `code` it closed with), never (no connection was ever made)
 * @param {{setTimeout: Function, clearTimeout: Function, random: Function}} env
 */
export function keepOpen(connect, on, env = browser) {
  let socket, timer, attempt = 0, stopped = false, everOpen = false;

  function start() {
    on.state("connecting");
    socket = connect();
    socket.onopen = () => {
      everOpen = true;
      on.state("open");
      watchSilence();
    };
    socket.onmessage = ({ data }) => {
      attempt = 0;
      watchSilence();
      on.message(JSON.parse(data));
    };
    socket.onclose = ({ code }) => {
      env.clearTimeout(timer);
      if (stopped) return;
      if (isRefusal(code)) return end("refused", code);
      if (!everOpen && attempt >= 1) return end("never");
      retry();
    };
  }

  // A cable that was pulled closes nothing.
  function watchSilence() {
    env.clearTimeout(timer);
    timer = env.setTimeout(() => {
      const silent = socket;
      silent.onclose = silent.onmessage = null;
      silent.close();
      retry();
    }, SILENCE_MS);
  }

  function retry() {
    // Random, so a restarted server does not meet every viewer at once.
    const delay = env.random() * Math.min(RETRY_CAP_MS, RETRY_FIRST_MS * 2 ** attempt++);
    on.state("reconnecting", delay / 1000);
    env.clearTimeout(timer);
    timer = env.setTimeout(start, delay);
  }

  function end(state, code) {
    stopped = true;
    env.clearTimeout(timer);
    socket?.close();
    on.state(state, undefined, code);
  }

  return {
    start,
    stop: () => end("stopped"),
    send: (message) => {
      if (socket?.readyState !== 1) return false;
      socket.send(JSON.stringify(message));
      return true;
    },
  };
}

const browser = {
  setTimeout: (...args) => setTimeout(...args),
  clearTimeout: (id) => clearTimeout(id),
  random: () => Math.random(),
};
