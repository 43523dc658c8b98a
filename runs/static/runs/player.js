// player.js - replay recorded chunks at their pace. Pure: clock, pages and screen are passed in.
//
//   live ──pause/seek──> paused ──play──> playing ──end of the recording──> live (or ended)
//
// "live" draws whatever arrives; in every other state arriving chunks are only
// stored on the server, and are loaded from there when their time comes.
//
// Shown is every chunk up to `next`; `behind` holds the last of them, `queue` those
// that follow, as far as they are loaded.

import { isFinal } from "./format.js";
import { endOf } from "./model.js";

const PAGE = 1000, CONTEXT = 300;
// Stepping back loads more context before the screen runs short of it.
const CONTEXT_LEAST = 100;
// What is due at once beyond this is not drawn one by one: its last lines are shown.
const MOST_AT_ONCE = 1000;
// Between two moves of the position, in ms: never less than a frame.
const TICK = 50, TICK_LEAST = 16;
// A page is waited for so long before time stands still, in ms.
const PATIENCE = 1000;
// Further behind than this when a page has come, it goes on where it should be, in ms.
const BEHIND_MOST = 150;
// A tab in the background is called once a minute. Longer than this the machine slept.
const SLEEP = 90_000;
// At the end of what is stored of a run that goes on: asked again after so long, in ms.
const RECHECK = 1000;
// Times are recorded in whole microseconds.
const MOMENT = 1e-6, END = 9e8;

/**
 * @param {{at: Function, after: Function, before: Function}} source  see recorded.js
 * @param {{show: Function, append: Function, state: Function, position: Function, live: Function, failed: Function}} on
 *   show(chunks, end, {skipped}): the log ends with these now, at end = {seq, lines}; `skipped`
 *   when playing went on further down because more was due than can be drawn;
 *   append(chunks): these come next; live(): show the end, and what arrives; failed(error)
 * @param {{now: () => number, setTimeout: Function, clearTimeout: Function}} clock  in ms
 */
export function makePlayer(source, on, clock) {
  let state = "live", speed = 1, idle = 2, position = 0, length = 0, going = false;
  let behind = [], queue = [], next = 0, more = true, active = false, asked = 0;
  let silence = null, owed = 0, from = 0, waited = 0, timer = null;
  let generation = 0, ready = false, arriving = null, loading = null, steps = Promise.resolve();

  function become(newState) {
    clock.clearTimeout(timer);
    if (state === newState) return;
    state = newState;
    on.state(state);
  }

  const move = (seconds) => on.position((position = seconds));

  // --- moving through time -------------------------------------------------

  /** Show what was there at a time; playing goes on there. */
  function seek(seconds, thenPlay = state === "playing") {
    const wanted = Math.max(0, Number.isFinite(seconds) ? seconds : 0);
    become(thenPlay ? "playing" : "paused");
    move(length ? Math.min(wanted, length) : wanted);
    return jump(position);
  }

  function jump(seconds, skipped = false) {
    const mine = ++generation;
    ready = false;
    queue = [];
    more = true;
    owed = waited = 0;
    return (arriving = land(mine, seconds, skipped));
  }

  async function land(mine, seconds, skipped) {
    try {
      // Between two moments, so that everything of this one is before it.
      const page = await source.at((Math.round(seconds / MOMENT) + 0.5) * MOMENT, PAGE);
      const context = await source.before(page.items[0]?.seq ?? page.last_seq + 1, CONTEXT);
      if (mine !== generation) return;
      accept(page);
      behind = context.items;
      next = behind.at(-1)?.seq ?? 0;
      silence = arriving = null;
      ready = true;
      show(skipped);
      if (skipped) move(seconds);
      else from = clock.now();
      if (seconds === END) move(behind.at(-1)?.t ?? 0);
      step(skipped);
    } catch (error) {
      if (mine === generation) arriving = null;
      fail(mine, error);
    }
  }

  function accept(page) {
    queue.push(...page.items);
    more = page.next !== null;
    active = Boolean(page.status) && !isFinal(page.status);
    asked = clock.now();
  }

  function fail(mine, error) {
    if (mine !== generation) return;
    become("paused");
    on.failed(error);
  }

  const show = (skipped = false) => on.show(behind.slice(), endOf(behind), { skipped });

  function play() {
    if (state === "playing") return;
    if (state === "live") return void seek(0, true);
    become("playing");
    from = clock.now();
    if (ready) step();
    else if (!arriving) jump(position);
  }

  function pause() {
    if (state === "live") {
      become("paused");
      jump(length || END);
    } else if (state === "playing") {
      step();
      if (state === "playing") become("paused");
    }
  }

  /** A run that goes on is paused where it is, one that has ended is played from its start. */
  function toggle() {
    if (state === "playing" || (state === "live" && going)) pause();
    else play();
  }

  function skip(seconds) {
    const target = (state === "live" ? Math.max(length, position) : position) + seconds;
    if (seconds > 0 && (state === "live" || (length && target >= length))) live();
    else seek(target);
  }

  function live() {
    generation++;
    ready = false;
    behind = [];
    queue = [];
    become("live");
    if (length) move(length);
    on.live();
  }

  // --- playing ---------------------------------------------------------------

  /** Draw what is due, then wait for the next chunk or the next move of the position. */
  function step(pageCame = false) {
    if (state !== "playing" || !ready) return;
    clock.clearTimeout(timer);
    draw(takeDue(elapsed()));
    if (queue.length < PAGE && more) load();
    if (isStarving()) {
      if (pageCame && owed > (BEHIND_MOST / 1000) * speed) return skipAhead();
    } else if (!upcoming()) {
      if (active && clock.now() - asked > RECHECK) load();
      else return live();
    }
    timer = clock.setTimeout(() => step(), untilNext());
  }

  /** More is due than can be loaded: it goes on where it should be by now. */
  function skipAhead() {
    const target = position + owed;
    jump(length ? Math.min(target, Math.max(length, position)) : target, true);
  }

  const isStarving = () => !queue.length && more;

  /** What comes next: a chunk, or the end of a run that has ended. */
  function upcoming(index = 0) {
    if (index < queue.length) return queue[index];
    return !more && !active && length > position ? { seq: Infinity, t: length } : null;
  }

  /** Recorded seconds that have passed since the last call, if no silence were cut short. */
  function elapsed() {
    const now = clock.now();
    let passed = now - from;
    from = now;
    if (passed > SLEEP) passed = 0;
    if (isStarving()) {
      const counts = Math.max(0, Math.min(passed, PATIENCE - waited));
      waited += passed;
      passed = counts;
    } else {
      waited = 0;
    }
    return (passed / 1000) * speed;
  }

  /** Let time pass; the chunks whose time has come. */
  function takeDue(seconds) {
    const was = position;
    let due = 0, ahead;
    owed += seconds;
    while ((ahead = upcoming(due))) {
      const pace = paceTo(ahead);
      const needed = (ahead.t - position) / pace;
      if (needed > owed + MOMENT) {
        position += owed * pace;
        break;
      }
      owed -= Math.max(0, needed);
      position = Math.max(position, ahead.t);
      if (ahead.seq !== Infinity) due++;
    }
    // What is left of it is owed only while a page is waited for.
    if (ahead || !more) owed = 0;
    if (position !== was) move(position);
    return queue.splice(0, due);
  }

  /** How much faster the silence before the next chunk passes; decided when it begins. */
  function paceTo({ seq, t }) {
    if (silence?.seq !== seq) {
      const gap = t - position;
      silence = { seq, pace: idle && gap > idle ? gap / idle : 1 };
    }
    return silence.pace;
  }

  function draw(due) {
    if (!due.length) return;
    advance(due);
    if (due.length > MOST_AT_ONCE) show(true);
    else on.append(due);
  }

  function advance(chunks) {
    next = chunks.at(-1).seq;
    behind.push(...chunks);
    if (behind.length > 2 * CONTEXT) behind = behind.slice(-CONTEXT);
  }

  function untilNext() {
    const ahead = upcoming();
    if (!ahead) return TICK;
    const wait = ((ahead.t - position) * 1000) / speed / paceTo(ahead);
    return Math.min(TICK, Math.max(TICK_LEAST, wait));
  }

  /** The page that follows; one at a time. */
  function load() {
    if (loading?.generation !== generation) {
      loading = { generation };
      loading.done = loadNext(loading);
    }
    return loading.done;
  }

  async function loadNext(mine) {
    try {
      const page = await source.after(queue.at(-1)?.seq ?? next, PAGE);
      if (mine.generation === generation) accept(page);
    } catch (error) {
      fail(mine.generation, error);
      return;
    } finally {
      if (loading === mine) loading = null;
    }
    if (mine.generation === generation) step(true);
  }

  // --- chunk by chunk ----------------------------------------------------------

  /** One chunk on. */
  function stepOn() {
    if (state === "live") return;
    pause();
    return inTurn(async (holds) => {
      if (!queue.length && (more || active)) await load();
      if (!holds() || !queue.length) return;
      const chunk = queue.shift();
      advance([chunk]);
      move(Math.max(position, chunk.t));
      on.append([chunk]);
    });
  }

  /** One chunk back. */
  function stepBack() {
    pause();
    return inTurn(async (holds) => {
      if (behind.length < CONTEXT_LEAST && behind[0]?.seq > 1) await loadBehind(holds);
      if (!holds() || !behind.length) return;
      queue.unshift(behind.pop());
      if (queue.length > 3 * PAGE) {
        queue.length = PAGE;
        more = true;
      }
      move(behind.at(-1)?.t ?? 0);
      show();
    });
  }

  function loadBehind(holds) {
    const mine = generation;
    return source.before(behind[0].seq, CONTEXT).then(
      ({ items }) => holds() && behind.unshift(...items),
      (error) => fail(mine, error),
    );
  }

  /** Keys repeat faster than pages come: steps wait for each other, and none is lost. */
  function inTurn(work) {
    steps = steps.then(async () => {
      if (state !== "paused") return;
      if (!ready) await (arriving ?? jump(position));
      const mine = generation;
      const holds = () => mine === generation && state === "paused" && ready;
      silence = null;
      if (holds()) await work(holds);
    });
    return steps;
  }

  return {
    play, pause, toggle, seek, skip, live, stepOn, stepBack,
    setSpeed(value) {
      step();
      speed = value;
    },
    /** Silences last at most so many seconds; 0 leaves them as they were. */
    setIdle(value) {
      step();
      idle = value;
      silence = null;
    },
    /** How long the recording is by now, and whether it still goes on. */
    setLength(seconds, isGoing = false) {
      length = seconds;
      going = isGoing;
      if (state === "live") move(seconds);
    },
    get state() { return state; },
    get position() { return position; },
    get speed() { return speed; },
    get length() { return length; },
  };
}
