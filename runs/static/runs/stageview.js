// stageview.js - draws the stage board.

import { make, progressBar } from "./elements.js";
import { lasting, statusWord } from "./format.js";

/**
 * @param {HTMLElement} list  an <ol class="stages">
 * @param {object[]} stages  see boardOf
 * @param {(line: number) => string} href  where the stage was first told of
 */
export function drawStages(list, stages, href = (line) => `#L${line + 1}`) {
  list.hidden = stages.length === 0;
  while (list.children.length > stages.length) list.lastElementChild.remove();
  for (const [index, stage] of stages.entries()) {
    // Only what changed is drawn: a board is drawn anew with every tick of a replay.
    const look = JSON.stringify([stage.name, stage.status, Math.round(stage.percent ?? -1), lasting(stage.seconds), stage.line]);
    const old = list.children[index];
    if (old?.dataset.look === look) continue;
    const item = drawStage(stage, href);
    item.dataset.look = look;
    if (old) old.replaceWith(item);
    else list.append(item);
  }
}

function drawStage({ name, status, percent, seconds, line }, href) {
  const item = make("li", "stage");
  const word = make("a", "status stage-name");
  word.dataset.status = status;
  word.href = href(line);
  word.title = statusWord(status);
  word.append(mark(), make("span", "", name), make("span", "sr", statusWord(status)));
  item.append(word);
  if (status === "running" && percent !== null) {
    item.append(progressBar(percent), make("span", "hint", `${Math.round(percent)} %`));
  }
  if (status !== "queued") item.append(make("span", "hint", lasting(seconds)));
  return item;
}

function mark() {
  const shape = make("span", "mark");
  shape.setAttribute("aria-hidden", "true");
  return shape;
}
