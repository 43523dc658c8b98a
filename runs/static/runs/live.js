// live.js - follow one run over a WebSocket, resuming after the last chunk it gave;
// where no WebSocket can be opened, over Server-Sent Events.

import { keepOpen } from "./socket.js";

/**
 * @param {{socket: (after: number) => WebSocket, events: (after: number) => EventSource}} connect
 *   open a source that starts after a cursor
 * @param {number} cursor  seq of the last chunk already on the page, 0 for none
 * @param {{chunks: Function, run: Function, end: Function, error: Function, state: Function}} on
 *   state: "catching up", "live", "reconnecting" (in seconds), "refused" (with the code), "offline", "ended", "stopped"
 */
export function liveSource(connect, cursor, on, env) {
  let events = null, ended = false, goal = 0;

  const socket = keepOpen(() => connect.socket(cursor), {
    message: take,
    state(state, seconds, code) {
      if (ended) return;
      if (state === "open") on.state("catching up");
      else if (state === "never") followEvents();
      else if (state !== "connecting") on.state(state, seconds, code);
    },
  }, env);

  function take(message) {
    if (message.run) {
      on.run(message.run);
      if (message.type === "hello") arrive(message.run.last_seq);
    } else if (message.type === "chunks") {
      give(message.chunks);
    } else if (message.type === "error") {
      on.error(message.message);
    } else if (message.type === "end") {
      finish(message);
    }
  }

  function arrive(lastSeq) {
    goal = lastSeq;
    if (cursor >= goal) on.state("live");
  }

  function give(chunks) {
    const fresh = chunks.filter(({ seq }) => seq > cursor); // the rest was sent again
    if (!fresh.length) return;
    const was = cursor;
    cursor = fresh.at(-1).seq;
    on.chunks(fresh);
    if (was < goal && cursor >= goal) on.state("live");
  }

  function finish(message) {
    ended = true;
    socket.stop();
    events?.close();
    on.state("ended");
    on.end(message);
  }

  function followEvents() {
    events = connect.events(cursor);
    events.onopen = () => on.state("live");
    events.onerror = () => on.state(events.readyState === 2 ? "offline" : "reconnecting");
    events.addEventListener("chunk", ({ data }) => give([JSON.parse(data)]));
    events.addEventListener("status", ({ data }) => on.run(JSON.parse(data)));
    events.addEventListener("end", ({ data }) => finish(JSON.parse(data)));
  }

  return {
    start: socket.start,
    stop() {
      ended = true;
      socket.stop();
      events?.close();
    },
    /** False if it cannot be sent now. */
    send: (message) => !events && socket.send(message),
  };
}
