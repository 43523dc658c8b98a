// page.js - the run's page: connects source, player, log and controls.

import { isFinal, shortClock } from "./format.js";
import { makeHead } from "./head.js";
import { bindKeys } from "./keys.js";
import { liveSource } from "./live.js";
import { makeLog } from "./log.js";
import { makePlayer } from "./player.js";
import { recordedSource, sentenceOf } from "./recorded.js";
import { boardOf, drawStages, stageOf } from "./stages.js";
import { bindStdin } from "./stdin.js";

const STATE_WORDS = { refused: "no longer yours to see", stopped: "", ended: "" };
const STAGES_KEPT = 20_000;

const page = document.querySelector("[data-run]");
const find = (name) => page.querySelector(`[data-${name}]`);
const initial = JSON.parse(document.querySelector("#run-json").textContent);
const { urls } = initial;
const seek = find("seek"), play = find("play"), liveButton = find("live"), connection = find("connection");
const told = [];
let seeking = false;

const source = recordedSource((query) => fetch(`${urls.chunks}?${query}`));
const head = makeHead(page);
const log = makeLog(
  page,
  { first: Number(page.dataset.first), last: Number(page.dataset.cursor), seen: initial.last_seq },
  source,
  {
    frameUrl: (seq) => `${urls.page}results/${seq}/`,
    startedAt: initial.started_at,
    isLive: () => !isFinal(head.run.status),
    failed,
  },
);

const player = makePlayer(source, {
  show: (chunks) => log.show(chunks),
  append: (chunks) => log.append(chunks),
  live() {
    log.setPaging(true);
    log.toEnd();
  },
  state: showPlayerState,
  position: showPosition,
  failed,
}, {
  now: () => performance.now(),
  setTimeout: (...args) => setTimeout(...args),
  clearTimeout: (id) => clearTimeout(id),
});

// --- what arrives ----------------------------------------------------------------

// A window further up than the end: live output begins behind what is stored now.
const liveAfter = log.attached ? log.last : initial.last_seq;
const scheme = location.protocol === "https:" ? "wss:" : "ws:";
const live = liveSource({
  socket: (after) => new WebSocket(`${scheme}//${location.host}${urls.websocket}?after=${after}`),
  events: (after) => new EventSource(`${urls.events}?after=${after}`),
}, liveAfter, {
  chunks(chunks) {
    head.heard(chunks.at(-1));
    rememberStages(chunks);
    if (player.state === "live") log.arrive(chunks);
    else log.note(chunks);
  },
  run: setRun,
  end: async () => {
    const response = await fetch(`/api/runs/${initial.id}`);
    if (response.ok) setRun(await response.json());
  },
  error: (sentence) => failed(new Error(sentence)),
  state(state, seconds) {
    connection.dataset.state = state;
    const wait = seconds >= 1 ? ` in ${Math.round(seconds)} s` : "";
    connection.textContent = STATE_WORDS[state] ?? (navigator.onLine ? state + wait : "offline");
  },
});

function setRun(run) {
  head.setRun(run);
  log.setStart(run.started_at);
  showPressed();
  tick();
}

function tick() {
  head.tick();
  const length = head.seconds();
  seek.max = Math.max(length, 0.001);
  if (player.state === "live") showPosition(length);
}

// --- stages ------------------------------------------------------------------------

function rememberStages(chunks) {
  const stages = chunks.map(stageOf).filter((stage) => stage && stage.seq > (told.at(-1)?.seq ?? 0));
  if (!stages.length || told.length > STAGES_KEPT) return;
  told.push(...stages);
  showStages();
}

function showStages() {
  if (told.length) drawStages(find("stages"), boardOf(told, player.state === "live" ? Infinity : player.position));
}

/** Stages told of before the live source begins. */
async function loadStages(until) {
  const earlier = [];
  for (let after = 0, pages = 0; after !== null && after < until && pages < 20; pages++) {
    const answer = await source.events(after);
    earlier.push(...answer.items.filter(({ seq }) => seq <= until).map(stageOf).filter(Boolean));
    after = answer.next;
  }
  told.unshift(...earlier);
  showStages();
}

// --- controls ------------------------------------------------------------------------

function failed(error) {
  connection.dataset.state = "offline";
  connection.textContent = error.message;
}

function showPlayerState(state) {
  const playing = state === "playing";
  play.textContent = playing ? "❚❚" : "▶";
  play.setAttribute("aria-label", playing ? "Pause" : "Play");
  showPressed();
  if (state !== "live") log.setPaging(false);
  showStages();
}

function showPressed() {
  liveButton.setAttribute("aria-pressed", String(player.state === "live" && !isFinal(head.run.status)));
}

function showPosition(seconds) {
  find("position").textContent = shortClock(seconds);
  if (!seeking) seek.value = seconds;
  seek.setAttribute("aria-valuetext", shortClock(seconds));
  if (player.state !== "live") showStages();
}

play.addEventListener("click", player.toggle);
liveButton.addEventListener("click", player.live);
seek.addEventListener("input", () => {
  seeking = true;
  find("position").textContent = shortClock(Number(seek.value));
});
seek.addEventListener("change", () => {
  seeking = false;
  player.seek(Number(seek.value));
});
find("speed").addEventListener("change", ({ target }) => player.setSpeed(Number(target.value)));
find("idle").addEventListener("change", ({ target }) => player.setIdle(Number(target.value)));

for (const toggle of page.querySelectorAll("[data-stream-toggle]")) {
  toggle.addEventListener("click", () => log.setStream(toggle.dataset.streamToggle, flip(toggle)));
}

for (const tab of page.querySelectorAll("[data-task-tab]")) {
  tab.addEventListener("click", () => {
    for (const other of page.querySelectorAll("[data-task-tab]")) {
      other.setAttribute("aria-pressed", String(other === tab));
    }
    log.setTask(tab.dataset.taskTab);
  });
}

function flip(toggle) {
  const pressed = toggle.getAttribute("aria-pressed") !== "true";
  toggle.setAttribute("aria-pressed", String(pressed));
  return pressed;
}

const wrap = find("wrap"), time = find("time");
wrap.setAttribute("aria-pressed", localStorage.getItem("wrap") ?? "true");
time.value = localStorage.getItem("time") ?? "start";
wrap.addEventListener("click", () => {
  log.setWrap(flip(wrap));
  localStorage.setItem("wrap", wrap.getAttribute("aria-pressed"));
});
time.addEventListener("change", () => {
  log.setTime(time.value);
  localStorage.setItem("time", time.value);
});

find("cancel")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target, button = form.querySelector("button");
  button.disabled = true;
  button.textContent = "Cancelling";
  const token = form.elements.csrfmiddlewaretoken.value;
  const response = await fetch(urls.cancel, { method: "POST", headers: { "X-CSRFToken": token } });
  if (response.ok || response.status === 409) return;
  button.disabled = false;
  button.textContent = "Cancel";
  failed(new Error(await sentenceOf(response)));
});

find("delete")?.addEventListener("submit", (event) => {
  if (!confirm("Delete this run and its log? This cannot be undone.")) event.preventDefault();
});

bindStdin(find("stdin"), live.send);
bindKeys(document.querySelector("[data-keys]"), player, log);

// --- begin -----------------------------------------------------------------------------

head.setRun(initial);
log.setWrap(wrap.getAttribute("aria-pressed") === "true");
if (time.value !== "start") log.setTime(time.value);
if (page.querySelector("[data-tasks]")) page.classList.add("several-tasks");
showPlayerState("live");
tick();
if (initial.status !== "succeeded" && log.attached) log.toEnd();
loadStages(liveAfter).catch(failed);
if (!isFinal(initial.status)) {
  head.silentSince(Number(find("rows-of-log").lastElementChild?.dataset.t ?? 0));
  live.start();
  setInterval(tick, 1000);
}
page.dataset.ready = "";
