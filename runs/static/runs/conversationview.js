// conversationview.js - draws an agent's run as a conversation; live, and as it was at a time.

import { makeConversation, sizeText, tokensOf } from "./conversation.js";
import { button, fold, make } from "./elements.js";
import { counted, lasting } from "./format.js";
import { drawFields, drawTree } from "./jsontree.js";
import { paragraphs, pieces } from "./prose.js";
import { visible } from "./text.js";

// So many items are drawn; earlier ones on demand.
const DRAWN = 300;
const NEAR_END = 48;
const MOST_CHILDREN = 100;
const MOST_EVENTS = 100_000;
const SHOWN_TEXT = 20_000;

/**
 * @param {HTMLElement} place  gets the conversation; scrolls
 * @param {{line: (number: number) => void}} on  line(number): show this line of the log
 */
export function mountConversation(place, on, nextFrame = requestAnimationFrame) {
  const events = [], elements = new Map();
  let talk = makeConversation(), fed = 0, until = Infinity, drawn = DRAWN, due = false;
  // Where the page opens, the reader is until they scroll.
  let following = place.closest("[data-opens]")?.dataset.opens === "end";
  const earlier = button("text-button", "", () => {
    drawn += DRAWN;
    redraw();
  });
  const list = make("ol", "talk"), empty = make("p", "empty", "Nothing has been said yet.");
  const rest = make("p", "hint", "There is more than a conversation can hold. The log has all of it.");
  rest.hidden = true;
  place.classList.add("conversation");
  place.tabIndex = 0;
  place.setAttribute("role", "region");
  place.setAttribute("aria-label", "Conversation");
  place.append(earlier, list, rest, empty);
  place.addEventListener("scroll", () => {
    following = place.scrollTop + place.clientHeight >= place.scrollHeight - NEAR_END;
  }, { passive: true });

  // --- what there is --------------------------------------------------------------

  function take(chunks) {
    for (const { seq, t, line, stream, data } of chunks) {
      if (events.length < MOST_EVENTS) events.push({ seq, t, line, stream, data });
      else rest.hidden = false;
    }
    schedule();
  }

  /** As it was at a time; Infinity: as it is. */
  function show(time) {
    const backwards = time < until;
    until = time;
    if (backwards && fed > 0 && events[fed - 1].t > until) restart();
    schedule();
  }

  function restart() {
    talk = makeConversation();
    fed = 0;
    elements.clear();
    list.replaceChildren();
  }

  function feed() {
    let next = fed;
    while (next < events.length && events[next].t <= until) next++;
    if (next > fed) talk.take(events.slice(fed, next));
    fed = next;
  }

  // --- drawing ----------------------------------------------------------------------

  function schedule() {
    if (due) return;
    due = true;
    nextFrame(() => {
      due = false;
      redraw();
    });
  }

  function redraw() {
    feed();
    const changed = talk.changes();
    const shown = talk.items.slice(-drawn);
    const before = talk.items.length - shown.length;
    const first = shown[0]?.kind !== "prompt" && talk.items[0]?.kind === "prompt" ? [talk.items[0]] : [];
    arrange([...first, ...shown], changed);
    earlier.hidden = before <= first.length;
    earlier.textContent = `${(before - first.length).toLocaleString("en")} earlier`;
    empty.hidden = talk.items.length > 0;
    if (following) place.scrollTop = place.scrollHeight;
  }

  /** Put the elements of these items in order; only what changed is drawn. */
  function arrange(items, changed) {
    const wanted = new Set(items);
    for (const [item, element] of elements) {
      if (wanted.has(item)) continue;
      element.remove();
      elements.delete(item);
    }
    let at = list.firstElementChild;
    for (const item of items) {
      let element = elements.get(item);
      if (!element) {
        element = make("li", `said ${item.kind}`);
        elements.set(item, element);
        fill(element, item);
        list.insertBefore(element, at);
      } else if (changed.has(item)) {
        fill(element, item);
      }
      if (element === at) at = at.nextElementSibling;
    }
  }

  /** Draw an item anew; what the reader unfolded stays so. */
  function fill(element, item) {
    const open = [...element.querySelectorAll("details")].map((each) => each.open);
    element.replaceChildren(...DRAW[item.kind](item), toLine(item));
    element.dataset.status = item.status ?? "";
    for (const [index, each] of element.querySelectorAll("details").entries()) if (open[index]) each.unfold?.();
  }

  const DRAW = {
    prompt: (item) => [speaker("Prompt"), prose(item.text)],
    text: (item) => [...(item.role === "user" ? [speaker("Said to the agent")] : []), prose(item.text)],
    thinking: (item) => [fold("folded", [make("span", "hint", `Thinking · ${sizeText(item.size)}`)], () => prose(item.text))],
    error: ({ title, text, retrying }) => [make("strong", retrying ? "retrying" : "error-title", visible(title)), make("p", "", visible(text))],
    note: ({ type, data }) => [fold("folded", [make("span", "hint", visible(type))], () => drawTree(data, 2))],
    tool: drawTool,
    end: drawEnd,
  };

  function drawTool(item) {
    const word = make("span", "status tool-status");
    const status = { running: "running", ok: "succeeded", failed: "failed", unanswered: "lost" }[item.status];
    word.dataset.status = status;
    const mark = make("span", "mark");
    mark.setAttribute("aria-hidden", "true");
    word.append(mark, make("span", "sr", item.status));
    const told = [item.seconds !== null && lasting(item.seconds), item.result !== null && sizeText(item.size)].filter(Boolean).join(" · ");
    const summary = [word, make("strong", "tool-name", visible(item.name)), make("span", "tool-input", visible(item.short)), make("span", "hint", told)];
    const parts = [fold("folded tool-call", summary, () => toolBody(item))];
    if (item.children.length) parts.push(drawChildren(item));
    return parts;
  }

  function toolBody({ input, result, status }) {
    const parts = [make("span", "part-label", "Input"), drawFields(input, 1)];
    if (result !== null) parts.push(make("span", "part-label", status === "failed" ? "Result, failed" : "Result"), plain(result));
    return parts;
  }

  function drawChildren({ children }) {
    const sub = make("ol", "talk subagent");
    const shown = children.slice(-MOST_CHILDREN);
    if (shown.length < children.length) sub.append(make("li", "hint", `${(children.length - shown.length).toLocaleString("en")} earlier, in the log`));
    for (const child of shown) {
      const element = make("li", `said ${child.kind}`);
      fill(element, child);
      sub.append(element);
    }
    return sub;
  }

  function drawEnd({ status, text, seconds, cost, turns, usage }) {
    const tokens = tokensOf(usage);
    const facts = [
      cost !== null && `$${cost.toFixed(cost < 0.1 ? 4 : 2)}`,
      turns !== null && counted(turns, "turn"),
      seconds !== null && lasting(seconds),
      tokens && `${(tokens.input + tokens.cached).toLocaleString("en")} tokens in (${tokens.cached.toLocaleString("en")} cached), ${tokens.output.toLocaleString("en")} out`,
    ].filter(Boolean);
    const line = make("p", "end-line"), word = make("span", "status"), mark = make("span", "mark");
    word.dataset.status = status;
    mark.setAttribute("aria-hidden", "true");
    word.append(mark, make("span", "", status === "succeeded" ? "Finished" : "Failed"));
    line.append(word, ...facts.map((fact) => make("span", "", fact)));
    return text ? [prose(text), line] : [line];
  }

  function toLine({ line }) {
    const link = make("a", "to-line", "↧");
    link.href = `#L${line + 1}`;
    link.title = `Show line ${(line + 1).toLocaleString("en")} of the log`;
    link.setAttribute("aria-label", link.title);
    link.addEventListener("click", (event) => {
      event.preventDefault();
      on.line(line + 1);
    });
    return link;
  }

  return {
    take,
    show,
    /** The end, and staying there. */
    toEnd() {
      following = true;
      redraw();
    },
    toStart() {
      following = false;
      place.scrollTop = 0;
    },
  };
}

const speaker = (name) => make("span", "speaker", name);

function prose(text) {
  const part = make("div", "prose");
  const tags = { heading: "h3", code: "pre", item: "p", text: "p" };
  for (const { kind, text: paragraph } of paragraphs(text.slice(0, SHOWN_TEXT))) {
    const element = make(tags[kind], `prose-${kind}`);
    if (kind === "code") element.textContent = visible(paragraph);
    else for (const piece of pieces(paragraph)) element.append(drawPiece(piece));
    part.append(element);
  }
  if (text.length > SHOWN_TEXT) part.append(make("p", "hint", `${(text.length - SHOWN_TEXT).toLocaleString("en")} more characters, in the log`));
  return part;
}

function drawPiece({ kind, text }) {
  if (kind === "plain") return document.createTextNode(visible(text));
  return make(kind, "", visible(text));
}

function plain(text) {
  const shown = make("pre", "tool-result", visible(text.slice(0, SHOWN_TEXT)));
  if (text.length > SHOWN_TEXT) shown.append(make("span", "hint", `\n${(text.length - SHOWN_TEXT).toLocaleString("en")} more characters, in the log`));
  return shown;
}
