// frame.js - the elements of a log.

import { make } from "./elements.js";

/** Those that are not there yet are made. */
export function parts(frame) {
  const find = (name) => frame.querySelector(`[data-${name}]`);
  const screen = find("log") ?? make("div", "log");
  const place = find("rows-of-log") ?? make("div", "rows");
  const empty = find("log-empty") ?? make("p", "empty", "No output yet.");
  const pill = find("pill") ?? make("button", "pill");
  const [above, below] = [make("div", "unloaded"), make("div", "unloaded")];
  screen.tabIndex = 0;
  screen.setAttribute("role", "log");
  screen.setAttribute("aria-live", "off");
  const noneChosen = make("p", "empty", "Nothing of the streams and tasks that are chosen.");
  empty.hidden = noneChosen.hidden = true;
  screen.replaceChildren(above, place, below, empty, noneChosen);
  pill.type = "button";
  pill.hidden = true;
  if (screen.parentNode !== frame) frame.append(screen);
  if (pill.parentNode !== frame) frame.append(pill);
  return { screen, above, place, below, empty, noneChosen, pill };
}
