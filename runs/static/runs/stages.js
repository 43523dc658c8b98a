// stages.js - the stage board: what the `stage` events say so far. Pure but for drawStages.

import { make, progressBar } from "./draw.js";
import { percent } from "./events.js";
import { lasting, statusWord } from "./format.js";

const WORDS = {
  succeeded: ["complete", "completed", "done", "success", "succeeded", "finished", "ok"],
  failed: ["failed", "failure", "error"],
  queued: ["pending", "queued", "waiting"],
};

/** {seq, t, name, status, percent} of a chunk that tells of a stage, else null. */
export function stageOf(chunk) {
  if (chunk.stream !== "event" || !chunk.data) return null;
  const body = typeof chunk.data.stage === "string" ? chunk.data : chunk.data.data;
  if (typeof body?.stage !== "string") return null;
  return { seq: chunk.seq, t: chunk.t, name: body.stage.slice(0, 60), status: statusOf(body.status), percent: percent(body) };
}

function statusOf(word) {
  const said = String(word ?? "").toLowerCase();
  return Object.keys(WORDS).find((status) => WORDS[status].includes(said)) ?? "running";
}

/** Stages in the order they began, up to a time. */
export function boardOf(told, until = Infinity) {
  const stages = new Map();
  for (const { t, name, status, percent } of told) {
    if (t > until) break;
    const began = stages.get(name)?.began ?? t;
    stages.set(name, { name, status, percent, began, ended: t });
  }
  return [...stages.values()].slice(0, 30);
}

export function drawStages(list, stages) {
  list.hidden = stages.length === 0;
  list.replaceChildren(...stages.map(drawStage));
}

function drawStage({ name, status, percent, began, ended }) {
  const item = make("li", "stage");
  const word = make("span", "status");
  word.dataset.status = status;
  word.title = statusWord(status);
  word.append(make("span", "mark"), make("span", "", name), make("span", "sr", statusWord(status)));
  item.append(word);
  if (status === "running" && percent !== null) {
    item.append(progressBar(percent), make("span", "hint", `${Math.round(percent)} %`));
  } else if (status !== "queued") {
    item.append(make("span", "hint", lasting(ended - began)));
  }
  return item;
}
