// panels.js - what is drawn from the run's events: stages, series of numbers, an agent's
// conversation.

import { mountConversation } from "./conversationview.js";
import { makeFeed } from "./feed.js";
import { mountSeries } from "./seriesview.js";
import { makeStages } from "./stages.js";
import { drawStages } from "./stageview.js";

/**
 * @param {HTMLElement} page
 * @param {object} source  see recorded.js
 * @param {{line: (number: number) => void, time: () => {until: number, now: number}}} on
 *   line(number): show it in the log; time(): up to when it is shown, and what time it is
 */
export function makePanels(page, source, on) {
  const find = (name) => page.querySelector(`[data-${name}]`);
  const stages = makeStages();
  const talk = find("talk") && mountConversation(find("talk"), on);
  const feed = makeFeed(source, [{ take: takeStages }, mountSeries(find("series")), talk].filter(Boolean));

  function takeStages(chunks) {
    stages.take(chunks);
    show();
  }

  /** As it was, or is, at the time that is shown. */
  function show() {
    const { until, now } = on.time();
    if (stages.length) drawStages(find("stages"), stages.board(until, now));
    talk?.show(until);
  }

  return { show, load: feed.load, take: feed.take };
}
