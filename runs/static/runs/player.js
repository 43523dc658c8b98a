// player.js - replay recorded chunks at their pace. Pure: clock, pages and screen are passed in.
//
//   live ──pause/seek──> paused ──play──> playing ──end of the recording──> live (or ended)
//
// "live" draws whatever arrives; in every other state arriving chunks are only
// stored on the server, and are loaded from there when their time comes.

const PAGE = 1000;
const CONTEXT = 500;
const LOAD_AHEAD = 200;
// Longest time between two moves of the position, in ms.
const TICK = 100;
// Times are recorded in whole microseconds.
const MOMENT = 1e-6;

/**
 * @param {{at: Function, after: Function, before: Function}} source  see recorded.js
 * @param {{show: Function, append: Function, state: Function, position: Function, live: Function, failed: Function}} on
 *   show(chunks): only these are on the screen now; append(chunks): these come next;
 *   live(): show the end, and what arrives; failed(error): a page could not be loaded
 * @param {{now: () => number, setTimeout: Function, clearTimeout: Function}} clock  in ms
 */
export function makePlayer(source, on, clock) {
  let state = "live";
  let speed = 1, idle = 2, position = 0, next = 0, silence = null;
  let queue = [], more = true, loading = null, timer = null, from = 0, generation = 0;

  function become(newState) {
    state = newState;
    clock.clearTimeout(timer);
    on.state(state);
  }

  // --- moving through time -------------------------------------------------

  async function seek(seconds, thenPlay = state === "playing") {
    const mine = ++generation;
    become("paused");
    silence = null;
    move(Math.max(0, seconds));
    try {
      const page = await source.at(position, PAGE);
      const start = page.items[0]?.seq ?? page.last_seq + 1;
      const context = await source.before(start, CONTEXT);
      if (mine !== generation) return;
      queue = page.items;
      more = page.next !== null;
      next = start - 1;
      on.show(context.items);
      if (thenPlay) play();
    } catch (error) {
      if (mine === generation) on.failed(error);
    }
  }

  function move(seconds) {
    position = seconds;
    on.position(position);
  }

  function play() {
    if (state === "playing") return;
    if (state === "live") return void seek(0, true);
    become("playing");
    from = clock.now();
    step();
  }

  function pause() {
    generation++;
    become("paused");
  }

  function live() {
    generation++;
    queue = [];
    become("live");
    on.live();
  }

  /** Draw what is due, then wait for the next chunk or the next move of the position. */
  function step() {
    if (state !== "playing") return;
    advance();
    const due = takeDue();
    if (due.length) on.append(due);
    if (queue.length < LOAD_AHEAD && more) load();
    if (!queue.length && !more) return live();
    timer = clock.setTimeout(step, untilNext());
  }

  function advance() {
    const now = clock.now();
    const seconds = ((now - from) / 1000) * speed;
    from = now;
    if (!queue.length) return; // waits for a page: time stands still
    const pace = paceToNext();
    const furthest = pace > 1 ? queue[0].t : queue.at(-1).t;
    move(Math.min(position + seconds * pace, Math.max(position, furthest)));
  }

  /** How much faster the silence before the next chunk passes; decided when it begins. */
  function paceToNext() {
    const { seq, t } = queue[0];
    if (silence?.seq !== seq) {
      const gap = t - position;
      silence = { seq, pace: idle && gap > idle ? gap / idle : 1 };
    }
    return silence.pace;
  }

  function takeDue() {
    let due = 0;
    while (due < queue.length && queue[due].t <= position + MOMENT) due++;
    const taken = queue.splice(0, due);
    if (taken.length) next = taken.at(-1).seq;
    return taken;
  }

  function untilNext() {
    if (!queue.length) return TICK;
    const gap = queue[0].t - position;
    return Math.min(TICK, Math.max(0, (gap * 1000) / speed / paceToNext()));
  }

  async function load() {
    if (loading === generation) return;
    const mine = (loading = generation);
    try {
      const page = await source.after(queue.at(-1)?.seq ?? next, PAGE);
      if (mine !== generation) return;
      queue.push(...page.items);
      more = page.next !== null;
    } catch (error) {
      if (mine === generation) {
        become("paused");
        on.failed(error);
      }
    } finally {
      if (loading === mine) loading = null;
    }
  }

  /** One chunk on. */
  async function stepOn() {
    if (state === "live") return;
    pause();
    if (!queue.length && more) await load();
    const chunk = queue.shift();
    if (!chunk) return;
    next = chunk.seq;
    move(Math.max(position, chunk.t));
    on.append([chunk]);
  }

  /** One chunk back. */
  async function stepBack() {
    const mine = ++generation;
    const was = state === "live" ? null : next;
    become("paused");
    try {
      const before = was ?? (await source.after(0, 1)).last_seq;
      const context = await source.before(Math.max(before, 1), CONTEXT);
      const page = await source.after(Math.max(before - 1, 0), PAGE);
      if (mine !== generation) return;
      queue = page.items;
      more = page.next !== null;
      next = Math.max(before - 1, 0);
      move(context.items.at(-1)?.t ?? 0);
      on.show(context.items);
    } catch (error) {
      if (mine === generation) on.failed(error);
    }
  }

  return {
    play, pause, seek, live, stepOn, stepBack,
    toggle: () => (state === "playing" ? pause() : play()),
    skip: (seconds) => seek(position + seconds),
    setSpeed(value) {
      if (state === "playing") advance();
      speed = value;
    },
    setIdle(value) {
      idle = value;
      silence = null;
    },
    /** Where live output has got to; only the position follows. */
    arrived(seconds) {
      if (state === "live") move(seconds);
    },
    get state() { return state; },
    get position() { return position; },
  };
}
