// keys.js - the keys of the run's page; "?" lists them.

import { isTyping } from "./shell.js";

const SHORT = 5, LONG = 30;
const PAGE_SHARE = 0.1;

/**
 * @param {HTMLDialogElement} list  the list of keys
 * @param {{toStart: Function, toEnd: Function}} log
 * @param {{bar?: object}} more  see bar.js
 */
export function bindKeys(list, player, log, { bar = null } = {}) {
  const showList = () => list.open || list.showModal();
  const page = () => player.length * PAGE_SHARE;

  const actions = {
    " ": player.toggle,
    ArrowLeft: ({ shiftKey }) => player.skip(shiftKey ? -LONG : -SHORT),
    ArrowRight: ({ shiftKey }) => player.skip(shiftKey ? LONG : SHORT),
    ",": player.stepBack,
    ".": player.stepOn,
    "[": () => bar?.previousMark(),
    "]": () => bar?.nextMark(),
    k: () => bar?.previousMark(),
    j: () => bar?.nextMark(),
    "-": () => bar?.speedBy(-1),
    "<": () => bar?.speedBy(-1),
    "+": () => bar?.speedBy(1),
    "=": () => bar?.speedBy(1),
    ">": () => bar?.speedBy(1),
    g: log.toStart,
    G: log.toEnd,
    l: player.live,
    "?": showList,
  };
  for (let tenth = 0; tenth <= 9; tenth++) actions[tenth] = () => bar?.toTenth(tenth);

  // Elsewhere these scroll the output.
  const onRange = {
    Home: () => player.seek(0),
    End: player.live,
    PageDown: () => player.skip(-page()),
    PageUp: () => player.skip(page()),
    ArrowDown: actions.ArrowLeft,
    ArrowUp: actions.ArrowRight,
  };

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented) return;
    const action = actions[event.key] ?? (isRange(event) ? onRange[event.key] : undefined);
    if (!action || belongsElsewhere(event)) return;
    event.preventDefault();
    if (event.key === " " && event.repeat) return;
    action(event);
  });

  document.querySelector("[data-show-keys]")?.addEventListener("click", showList);
}

const isRange = ({ target }) => target.type === "range";

function belongsElsewhere(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return true;
  return pressesButton(event) || (isTyping(event) && !isRange(event));
}

// Space on a button presses the button.
const pressesButton = ({ key, target }) => key === " " && target.closest?.("button, summary, a");
