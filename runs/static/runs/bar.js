// bar.js - the bar below the log: plays, pauses and seeks, shows where in the recording the
// log is, and how the page is connected.

import { remember, remembered } from "./choices.js";
import { clock, shortClock } from "./format.js";
import { describe } from "./markers.js";
import { makeTimeline } from "./timeline.js";

// Below this, tenths of seconds are told apart.
const SHORT = 60;
// Markers that were passed just now are stepped over while playing, in seconds.
const JUST_PASSED = 1;
const NEAR_END = 0.995;
const SETTLED = ["ended", "stopped", "refused", "failed"];

/**
 * @param {HTMLElement} footer  templates/runs/_player.html
 * @param {{player: object, source: object, failed?: Function}} given  see player.js and
 *   recorded.js; failed(error): the picture or the markers could not be loaded
 */
export function makeBar(footer, { player, source, failed = () => {} }) {
  const find = (name) => footer.querySelector(`[data-${name}]`);
  const play = find("play"), speed = find("speed"), idle = find("idle"), seek = find("seek");
  const connection = find("connection");
  const timeline = makeTimeline(find("timeline"), source, {
    choose: toMark, position: () => player.position, reads, failed, outline: setOutput,
  });
  let length = 0, output = 0, going = false, scrubbing = false, wasPlaying = false;
  let wanted = null, sought = null, follows = false, countdown = null;

  // --- what it shows -----------------------------------------------------------------

  function reads(seconds) {
    return length < SHORT ? clock(Math.floor(seconds * 10 + 1e-6) / 10).slice(0, -2) : shortClock(seconds);
  }

  function say(element, text) {
    if (element.textContent !== text) element.textContent = text;
  }

  const announce = (text) => say(find("announce"), text);

  function showState(state) {
    const moves = state === "playing" || (state === "live" && going);
    play.dataset.moves = String(moves);
    play.setAttribute("aria-label", moves ? "Pause" : state === "live" ? "Play from the start" : "Play");
    footer.dataset.state = state;
    const button = find("live");
    button.setAttribute("aria-pressed", String(state === "live" && going));
    say(button, going ? "Live" : "End");
  }

  function showPosition(seconds) {
    if (!scrubbing) seek.value = seconds;
    const at = scrubbing ? Number(seek.value) : seconds;
    say(find("position"), reads(at));
    const said = `${shortClock(at)} of ${shortClock(length)}`;
    if (seek.getAttribute("aria-valuetext") !== said) seek.setAttribute("aria-valuetext", said);
    timeline.setPlayed(length > 0 ? Math.min(1, at / length) : 1);
  }

  /** How long the recording is by now, and whether it goes on; told again as it grows. */
  function setLength(seconds, isGoing = false) {
    const grown = Math.max(seconds, output, isGoing ? length : 0);
    const changed = grown !== length || isGoing !== going;
    length = grown;
    going = isGoing;
    seek.max = Math.max(length, 0.001);
    player.setLength(length, going);
    say(find("length"), reads(length));
    if (!changed) return;
    showState(player.state);
    showPosition(player.position);
    timeline.setLength(length);
  }

  /** Clocks differ, and what was in the pipe is read after the end: no output lies behind it. */
  function setOutput(seconds) {
    output = Math.max(output, seconds);
    if (output > length) setLength(length, going);
  }

  /** Chunks that arrive live, whatever is on the screen. */
  function arrived(chunks) {
    timeline.add(chunks);
    setOutput(chunks.at(-1).t);
  }

  /** How live output comes: a state of live.js, the seconds until it is tried again, a close code. */
  function setConnection(state, seconds = 0, code = null) {
    clearTimeout(countdown);
    const word = wordFor(state, code) ?? (state === "live" || navigator.onLine ? state : "offline");
    const wait = word === state ? Math.ceil(seconds) : 0;
    // Read out when it changes, not each second.
    if (connection.dataset.state !== state && word) announce(word);
    connection.dataset.state = state;
    connection.title = "";
    say(connection, wait ? `${word} in ${wait} s` : word);
    if (wait > 1) countdown = setTimeout(() => setConnection(state, wait - 1), 1000);
  }

  /** What went wrong, in the sentence it came with. */
  function showFailure(error) {
    clearTimeout(countdown);
    connection.dataset.state = "failed";
    connection.textContent = connection.title = error.message;
    announce(error.message);
  }

  // --- what it does ------------------------------------------------------------------

  function toMark(mark) {
    if (!mark) return;
    player.seek(mark.t);
    announce(`${describe([mark])}, ${shortClock(mark.t)}`);
  }

  function previousMark() {
    const passed = player.state === "playing" ? JUST_PASSED * player.speed : 0;
    const mark = timeline.before(player.position - passed);
    if (mark) toMark(mark);
    else player.seek(0);
  }

  function speedBy(steps) {
    const chosen = speed.selectedIndex + steps;
    if (chosen < 0 || chosen >= speed.length) return;
    speed.selectedIndex = chosen;
    player.setSpeed(Number(speed.value));
    announce(`Speed ${speed.value}`);
  }

  /** Follow the hand: the newest place it was at, one at a time. */
  async function scrub(seconds) {
    wanted = seconds;
    if (follows) return;
    follows = true;
    while (wanted !== null) {
      const next = wanted;
      wanted = null;
      sought = next;
      await player.seek(next, false);
    }
    follows = false;
  }

  function release() {
    const seconds = Number(seek.value);
    const playsOn = scrubbing ? wasPlaying : player.state === "playing";
    const isThere = scrubbing && sought === seconds && !playsOn;
    scrubbing = false;
    wanted = sought = null;
    if (seconds >= Number(seek.max) * (going ? NEAR_END : 1)) player.live();
    else if (!isThere) player.seek(seconds, playsOn);
  }

  play.addEventListener("click", player.toggle);
  find("live").addEventListener("click", player.live);
  seek.addEventListener("input", () => {
    if (!scrubbing) wasPlaying = player.state === "playing";
    scrubbing = true;
    showPosition(player.position);
    scrub(Number(seek.value));
  });
  seek.addEventListener("change", release);
  speed.addEventListener("change", () => player.setSpeed(Number(speed.value)));
  idle.addEventListener("change", () => {
    player.setIdle(Number(idle.value));
    remember("idle", idle.value);
  });
  for (const select of [speed, idle]) leaveAfterPointer(select);
  for (const change of ["online", "offline"]) {
    window.addEventListener(change, () => {
      const { state } = connection.dataset;
      if (state && !SETTLED.includes(state)) setConnection(state);
    });
  }

  if ([...idle.options].some(({ value }) => value === remembered("idle"))) idle.value = remembered("idle");
  player.setIdle(Number(idle.value));
  showState(player.state);

  return {
    showState, showPosition, setLength, arrived, setConnection, showFailure, speedBy, previousMark,
    nextMark: () => toMark(timeline.after(player.position)),
    toTenth: (tenth) => player.seek((length * tenth) / 10),
    /** The picture and the markers of what is stored. */
    load: timeline.load,
    /** Go where the address says; whether it says a time. */
    begin(search) {
      const start = startOf(search);
      if (start) player.seek(start.t, start.play);
      return start !== null;
    },
  };
}

// What is on the screen stays there, whatever became of the run or the login.
function wordFor(state, code) {
  if (state === "refused" && code === 4401) return "logged out: log in again to go on";
  if (state === "refused") return "deleted, or no longer yours to see";
  return state === "stopped" || state === "ended" ? "" : null;
}

/** {t, play} of `?t=12.5`, `?t=1:02:03` or `?t=2:58&play=1`; null if it says no time. */
export function startOf(search) {
  const parameters = new URLSearchParams(search);
  const given = parameters.get("t") ?? "";
  if (!/^\d{1,9}(:\d{1,2}){0,2}(\.\d+)?$/.test(given)) return null;
  const t = given.split(":").reduce((seconds, part) => seconds * 60 + Number(part), 0);
  return { t, play: ["1", "true", ""].includes(parameters.get("play")) };
}

/** A choice made by hand gives the keys back to the page. */
function leaveAfterPointer(select) {
  let byHand = false;
  select.addEventListener("pointerdown", () => (byHand = true));
  select.addEventListener("keydown", () => (byHand = false));
  select.addEventListener("change", () => byHand && select.blur());
}
