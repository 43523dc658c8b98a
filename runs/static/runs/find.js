// find.js - the find bar of the run's page: the words, how many lines have them, which is
// the current one. What is found is finding.js; where it stands shows the view.

import { countText, makeFinding, queryOf, withQuery } from "./finding.js";
import { linesOf } from "./links.js";
import { isTyping } from "./shell.js";

// After the last key, in ms.
const PAUSE = 200;

/**
 * @param {HTMLFormElement} bar  [data-find] of templates/runs/_find.html
 * @param {{source: object, view: object, marks?: object}} parts
 *   source: see recorded.js; view: {anchor, toLine, setHits} as view.js has them, and `screen`,
 *   which has the focus after the bar; marks: see marks.js
 * @param {{filter?: () => object|null}} on
 *   filter(): what of the log is shown: {streams: Iterable|null, task: number|null}
 */
export function makeFind(bar, { source, view, marks = null }, { filter = () => null } = {}) {
  const part = (name) => bar.querySelector(`[data-find-${name}]`);
  const field = part("field"), count = part("count"), problem = part("problem");
  const options = { matchCase: part("case"), regex: part("regex") };
  const steps = [part("previous"), part("next")];
  let timer = null, from = {}, opener = null;

  const finding = makeFinding(source.search, { changed, went, failed }, {
    setTimeout: (...given) => setTimeout(...given),
    clearTimeout: (id) => clearTimeout(id),
  });

  function changed() {
    const { hits, current } = finding;
    count.textContent = countText(finding);
    for (const button of steps) button.disabled = !hits.length;
    view.setHits(hits, current);
    marks?.setHits(hits, current);
  }

  function went(hit) {
    view.toLine(hit.line, { seq: hit.seq });
  }

  function failed(error) {
    problem.textContent = error.message;
    problem.hidden = false;
    field.setAttribute("aria-invalid", "true");
  }

  // --- asking ------------------------------------------------------------------------

  function query() {
    const pressed = (button) => button.getAttribute("aria-pressed") === "true";
    const shown = filter();
    return {
      q: field.value,
      matchCase: pressed(options.matchCase),
      regex: pressed(options.regex),
      streams: shown?.streams ? [...shown.streams] : undefined,
      task: shown?.task ?? undefined,
    };
  }

  function ask() {
    clearTimeout(timer);
    timer = null;
    problem.hidden = true;
    field.removeAttribute("aria-invalid");
    const wish = query();
    history.replaceState(history.state, "", withQuery(location.href, wish));
    finding.start(wish, from);
  }

  function askSoon() {
    clearTimeout(timer);
    timer = setTimeout(ask, PAUSE);
  }

  /** From where the reader is; while words are typed that stays where it was. */
  function remember() {
    from = finding.current ?? view.anchor() ?? {};
  }

  // --- open and closed -----------------------------------------------------------------

  function open() {
    if (bar.hidden) {
      opener = document.activeElement;
      bar.hidden = false;
      remember();
      if (field.value) ask();
    }
    field.focus();
    field.select();
  }

  function close() {
    if (bar.hidden) return;
    clearTimeout(timer);
    timer = null;
    bar.hidden = true;
    finding.stop();
    history.replaceState(history.state, "", withQuery(location.href, null));
    (opener?.isConnected && opener !== document.body ? opener : view.screen)?.focus();
  }

  function step(by) {
    // What was typed a moment ago is asked first, and its first hit is the step.
    if (timer) return ask();
    if (by > 0) finding.next();
    else finding.previous();
  }

  // --- hands and keys ------------------------------------------------------------------

  field.addEventListener("input", askSoon);
  bar.addEventListener("submit", (event) => event.preventDefault());
  steps[0].addEventListener("click", () => step(-1));
  steps[1].addEventListener("click", () => step(1));
  part("close").addEventListener("click", close);
  for (const button of Object.values(options)) {
    button.addEventListener("click", () => {
      button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
      ask();
    });
  }
  for (const button of document.querySelectorAll("[data-find-open]")) button.addEventListener("click", open);

  bar.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target === field) {
      event.preventDefault();
      step(event.shiftKey ? -1 : 1);
    }
  });

  // Before the page's own keys: "/" is the search over runs elsewhere.
  document.addEventListener("keydown", (event) => {
    const action = actionOf(event);
    if (!action) return;
    event.preventDefault();
    event.stopPropagation();
    action();
  }, { capture: true });

  const closes = (target, event) =>
    !bar.hidden && (bar.contains(target) || !(isTyping(event) || target.closest?.("dialog, details.menu[open]")));

  function actionOf(event) {
    const { key, target } = event;
    if (key === "Escape") return closes(target, event) ? close : null;
    if (isTyping(event)) return null;
    if (key === "/") return open;
    if (bar.hidden || !finding.query) return null;
    return { j: () => step(1), k: () => step(-1) }[key] ?? null;
  }

  changed();

  return {
    open,
    close,
    /** Search for what the address says, once the log is there. */
    begin() {
      const linked = queryOf(new URLSearchParams(location.search));
      if (!linked.q) return;
      field.value = linked.q;
      for (const [name, button] of Object.entries(options)) button.setAttribute("aria-pressed", String(linked[name]));
      bar.hidden = false;
      from = { line: linesOf(location.hash)?.from ?? 0 };
      ask();
    },
    /** There is output up to a seq. */
    arrived: finding.arrived,
    /** Another part of the log is shown: search in that. */
    refilter() {
      if (bar.hidden || !finding.query) return;
      remember();
      ask();
    },
    get isOpen() { return !bar.hidden; },
  };
}
