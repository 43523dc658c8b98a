// stages.js - the stage board: what the `stage` events say so far. Pure; stageview.js draws it.

import { isObject, percent } from "./events.js";
import { visible } from "./text.js";

const WORDS = {
  succeeded: ["complete", "completed", "done", "success", "succeeded", "finished", "ok"],
  failed: ["failed", "failure", "error", "cancelled", "canceled", "timeout"],
  queued: ["pending", "queued", "waiting", "scheduled"],
};
const NAME_LENGTH = 60;
const MOST_STAGES = 60;
const MOST_TOLD = 20_000;

/** {seq, t, line, name, status, percent} of a chunk that tells of a stage, else null. */
export function stageOf({ seq, t, line, stream, data }) {
  if (stream !== "event" || !isObject(data)) return null;
  const body = typeof data.stage === "string" ? data : data.data;
  if (typeof body?.stage !== "string") return null;
  return { seq, t, line, name: visible(body.stage).slice(0, NAME_LENGTH), status: statusOf(body.status), percent: percent(body) };
}

function statusOf(word) {
  const said = String(word ?? "").toLowerCase();
  return Object.keys(WORDS).find((status) => WORDS[status].includes(said)) ?? "running";
}

/** Remembers what chunks tell of stages; of very many only what a board needs. */
export function makeStages() {
  let told = [], seq = 0;
  return {
    take(chunks) {
      for (const chunk of chunks) {
        if (chunk.seq <= seq) continue;
        const stage = stageOf(chunk);
        if (stage) told.push(stage);
        seq = chunk.seq;
      }
      if (told.length > MOST_TOLD) told = thinned(told);
    },
    board: (until, now) => boardOf(told, until, now),
    get length() { return told.length; },
  };
}

/** Every other report of the same status goes; each change of a status stays. */
function thinned(told) {
  const last = new Map();
  let odd = false;
  return told.filter((stage) => {
    const changed = last.get(stage.name) !== stage.status;
    last.set(stage.name, stage.status);
    return changed || (odd = !odd);
  });
}

/**
 * Stages in the order they were first told of, as they were at a time.
 * @param {number} now  until when a stage that goes on has lasted
 * @returns {{name, status, percent, seconds: number|null, line}[]} seconds: null before it began
 */
export function boardOf(told, until = Infinity, now = until) {
  const stages = new Map();
  for (const { t, line, name, status, percent } of told) {
    if (t > until) break;
    const stage = stages.get(name) ?? { name, began: null, ended: null, line };
    // What was told to have ended may begin again.
    if (status === "running" && stage.ended !== null) Object.assign(stage, { began: t, ended: null });
    if (status !== "queued") stage.began ??= t;
    if (status === "succeeded" || status === "failed") stage.ended ??= t;
    stages.set(name, Object.assign(stage, { status, percent, last: t }));
  }
  return [...stages.values()].slice(0, MOST_STAGES).map(({ began, ended, last, ...stage }) => ({
    ...stage,
    seconds: began === null ? null : Math.max(0, (ended ?? (Number.isFinite(now) ? now : last)) - began),
  }));
}

export { drawStages } from "./stageview.js";
