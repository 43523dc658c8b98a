// runs.js - lists of runs, live: what changes is changed in place, new runs come on top.

import { isFinal, lasting } from "./format.js";
import { setStatus } from "./head.js";
import { showTime } from "./shell.js";
import { keepOpen } from "./socket.js";
import { visible } from "./text.js";

const list = document.querySelector("[data-runs]");
const template = document.querySelector("#run-row");
const empty = document.querySelector("[data-empty]");
const { onlyOwner, takesNew, limit } = list.dataset;
const going = new Map();

const scheme = location.protocol === "https:" ? "wss:" : "ws:";
keepOpen(() => new WebSocket(`${scheme}//${location.host}/ws/runs/`), {
  message({ type, run, runs }) {
    if (type === "runs") runs.toReversed().forEach(take);
    if (type === "run") take(run);
  },
  state(state) {
    list.dataset.connection = state;
  },
}).start();

function take(run) {
  const row = list.querySelector(`[data-run="${CSS.escape(run.id)}"]`);
  if (row) return fill(row, run);
  if (takesNew === undefined || (onlyOwner && run.owner !== onlyOwner) || isOlder(run)) return;
  const fresh = template.content.firstElementChild.cloneNode(true);
  fill(fresh, run);
  list.prepend(fresh);
  while (list.children.length > Number(limit)) list.lastElementChild.remove();
  empty.hidden = true;
}

/** A run that the page had no room for must not come back on top. */
function isOlder(run) {
  const newest = list.firstElementChild?.querySelector("time")?.dateTime;
  return Boolean(newest) && Date.parse(run.created_at) < Date.parse(newest);
}

function fill(row, run) {
  row.dataset.run = run.id;
  setStatus(row.querySelector(".status"), run.status);
  const field = (name) => row.querySelector(`[data-field=${name}]`);
  field("title").textContent = run.title;
  field("title").href = run.urls.page;
  field("last").textContent = run.error ?? visible(run.last_line);
  field("kind").textContent = run.kind;
  field("owner").textContent = run.owner;
  field("lasting").textContent = lasting(run.duration);
  let time = field("when").querySelector("time");
  if (!time) field("when").append((time = document.createElement("time")));
  showTime(time, run.created_at);
  if (isFinal(run.status) || run.duration === null) going.delete(run.id);
  else going.set(run.id, { field: field("lasting"), began: performance.now() - run.duration * 1000 });
}

setInterval(() => {
  for (const { field, began } of going.values()) field.textContent = lasting((performance.now() - began) / 1000);
}, 1000);
