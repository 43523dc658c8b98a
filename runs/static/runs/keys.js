// keys.js - the keys of the run's page; "?" lists them.

import { isTyping } from "./shell.js";

/** @param {HTMLDialogElement} list  the list of keys */
export function bindKeys(list, player, log) {
  const actions = {
    " ": player.toggle,
    ArrowLeft: () => player.skip(-5),
    ArrowRight: () => player.skip(5),
    ",": player.stepBack,
    ".": player.stepOn,
    g: log.toStart,
    G: log.toEnd,
    l: player.live,
    "?": () => list.showModal(),
  };
  document.addEventListener("keydown", (event) => {
    const action = actions[event.key];
    if (!action || isTyping(event) || pressesButton(event)) return;
    event.preventDefault();
    action();
  });
}

// Space on a button presses the button.
const pressesButton = ({ key, target }) => key === " " && target.closest?.("button, summary, a");
