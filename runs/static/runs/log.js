// log.js - the screen: draws chunks as rows, keeps their number bounded, follows the end
// while the reader is there, and pages to earlier and later output.

import { drawRow, redrawText, timeTexts } from "./draw.js";
import { counted } from "./format.js";
import { addChunk, openRow } from "./rows.js";

export const MAX_ROWS = 5000;
// Rows above the maximum before the oldest go: removing a few each frame is dear.
const SLACK = 500;
const PAGE = 1000;
const NEAR_END = 24;
const FRAME_MS = 16;

/**
 * @param {HTMLElement} frame  holds [data-log] and [data-pill], as templates/runs/run.html has them
 * @param {{first: number, last: number, seen: number}} at  what is drawn, and what there is
 * @param {object} source  see recorded.js
 * @param {{frameUrl: Function, failed: Function, startedAt: string|null}} on
 */
export function makeLog(frame, at, source, on, nextFrame = requestAnimationFrame) {
  const find = (name) => frame.querySelector(`[data-${name}]`);
  const screen = find("log"), rowsElement = find("rows-of-log"), pill = find("pill");
  const earlierLink = find("earlier"), laterLink = find("later"), empty = find("log-empty");
  const unfinished = adopt(rowsElement);
  const hiddenStreams = new Set();
  let { first, last, seen } = at;
  let attached = last >= seen, firstIsWhole = true, following = false, paging = true;
  let pending = [], scheduled = false, pause = 0, fresh = 0, task = "", timeMode = "start", times = timeTexts(on.startedAt);

  // --- drawing ---------------------------------------------------------------

  // A replay draws everything that is due, whoever reads where.
  const keepsEnd = () => following || !paging;

  /** Draw what comes next; many calls in one frame are drawn at once. */
  function append(chunks) {
    for (const chunk of chunks) if (chunk.seq > last) pending.push(chunk);
    if (!pending.length) return;
    last = pending.at(-1).seq;
    if (keepsEnd()) skipWhatWouldGo();
    schedule();
  }

  function schedule() {
    if (scheduled) return;
    scheduled = true;
    if (pause > FRAME_MS) setTimeout(() => nextFrame(flush), pause);
    else nextFrame(flush);
  }

  function flush() {
    const began = performance.now();
    scheduled = false;
    if (!pending.length) return;
    if (keepsEnd()) skipWhatWouldGo();
    else leaveWhatDoesNotFit();
    const added = draw(pending, keepsEnd() ? MAX_ROWS : Infinity);
    pending = [];
    if (keepsEnd()) trimTop();
    if (following) toBottom();
    else fresh += added;
    showLinks();
    // In a flood the page draws half the time and answers the reader the other half.
    pause = performance.now() - began;
  }

  /** A flood brings more than the screen keeps: leave out what would be gone at once. */
  function skipWhatWouldGo() {
    const end = pending.at(-1).line;
    let skip = 0;
    while (skip + 1 < pending.length && end - pending[skip + 1].line > MAX_ROWS) skip++;
    if (!skip) return;
    pending.splice(0, skip);
    clear();
    first = pending[0].seq;
    firstIsWhole = false;
  }

  /** Someone reads further up: what they read stays, what comes is a click away. */
  function leaveWhatDoesNotFit() {
    let room = MAX_ROWS + SLACK - rowsElement.childElementCount;
    const fits = pending.findIndex((chunk) => (room -= chunk.text.split("\n").length) < 0);
    if (fits < 0) return;
    last = fits > 0 ? pending[fits - 1].seq : pending[0].seq - 1;
    pending.splice(fits);
    attached = false;
  }

  /** Draw chunks behind what is there, at most so many of their last rows. */
  function draw(chunks, most) {
    const rows = [...new Set(chunks.flatMap((chunk) => addChunk(unfinished, chunk, most)))];
    const kept = rows.length < most ? rows : rows.slice(-most);
    if (kept !== rows) {
      rowsElement.replaceChildren();
      first = kept[0].seq;
      firstIsWhole = false;
    }
    const part = document.createDocumentFragment();
    let added = 0;
    for (const row of kept) {
      if (row.element?.parentNode) {
        redrawText(row.element, row);
      } else {
        row.element = drawRow(row, times[timeMode], on.frameUrl);
        filterRow(row.element);
        part.append(row.element);
        added++;
      }
    }
    rowsElement.append(part);
    return added;
  }

  function clear() {
    rowsElement.replaceChildren();
    unfinished.clear();
  }

  function trimTop() {
    const surplus = rowsElement.childElementCount - MAX_ROWS;
    if (surplus <= SLACK) return;
    const range = document.createRange();
    range.setStart(rowsElement, 0);
    range.setEndBefore(rowsElement.children[surplus]);
    range.deleteContents();
    first = Number(rowsElement.firstElementChild.dataset.seq);
    firstIsWhole = false;
  }

  /** Only these are on the screen now: about MAX_ROWS lines of them, from their start or end. */
  function show(chunks, { fromEnd = true } = {}) {
    const kept = within(chunks, fromEnd, MAX_ROWS);
    pending = [];
    clear();
    fresh = 0;
    following = fromEnd;
    first = kept[0]?.seq ?? 1;
    last = kept.at(-1)?.seq ?? 0;
    firstIsWhole = true;
    draw(kept, fromEnd ? MAX_ROWS : Infinity);
    showLinks();
    if (fromEnd) toBottom();
  }

  // --- scrolling -------------------------------------------------------------

  const toBottom = () => (screen.scrollTop = screen.scrollHeight);

  screen.addEventListener("scroll", () => {
    following = screen.scrollTop + screen.clientHeight >= screen.scrollHeight - NEAR_END;
    if (following && attached) fresh = 0;
    showPill();
  }, { passive: true });

  function showLinks() {
    earlierLink.hidden = !paging || (first <= 1 && startsAtFirst());
    laterLink.hidden = !paging || attached || last >= seen;
    empty.hidden = rowsElement.childElementCount > 0;
    showPill();
  }

  const startsAtFirst = () => !(Number(rowsElement.firstElementChild?.querySelector(".n").textContent) > 1);

  function showPill() {
    const behind = paging && (attached ? !following && fresh > 0 : last < seen && on.isLive());
    pill.hidden = !behind;
    if (behind) pill.textContent = attached ? `↓ ${counted(fresh, "new line")}` : "↓ Newest output";
  }

  // --- paging ----------------------------------------------------------------

  const guarded = (work) => async (event) => {
    event?.preventDefault();
    try {
      await work();
    } catch (error) {
      on.failed(error);
    }
  };

  const earlier = guarded(async () => {
    const anchor = rowsElement.firstElementChild;
    const seq = anchor?.dataset.seq, number = anchor?.querySelector(".n").textContent;
    const offset = anchor ? anchor.offsetTop - screen.scrollTop : 0;
    // Of a chunk of many lines perhaps only the last are drawn: then it comes again.
    const page = await source.before(firstIsWhole ? first : first + 1, PAGE);
    const rest = await source.after(page.items.at(-1)?.seq ?? 0, PAGE);
    show([...within(page.items, true, MAX_ROWS / 2), ...rest.items], { fromEnd: false });
    const same = [...rowsElement.children].find(
      (row) => row.dataset.seq === seq && row.querySelector(".n").textContent === number);
    if (same) screen.scrollTop = same.offsetTop - offset;
    attached = last >= seen;
    showLinks();
  });

  const later = guarded(async () => {
    const page = await source.after(last, PAGE);
    show(page.items, { fromEnd: false });
    screen.scrollTop = 0;
    seen = Math.max(seen, page.last_seq);
    attached = last >= seen;
    showLinks();
  });

  /** Show the newest output and stay with it. */
  const toEnd = guarded(async () => {
    if (!attached) {
      show((await source.before(seen + 1, PAGE)).items);
      // What came meanwhile; when even more comes than a page, later() still finds it.
      for (let tries = 0; last < seen && tries < 20; tries++) {
        append((await source.after(last, PAGE)).items);
      }
      attached = last >= seen;
    }
    following = true;
    fresh = 0;
    showLinks();
    toBottom();
  });

  const toStart = guarded(async () => {
    if (first > 1 || !startsAtFirst()) {
      show((await source.after(0, PAGE)).items, { fromEnd: false });
      attached = last >= seen;
      showLinks();
    }
    following = false;
    screen.scrollTop = 0;
  });

  earlierLink.addEventListener("click", earlier);
  laterLink.addEventListener("click", later);
  pill.addEventListener("click", toEnd);

  // --- what is shown of a row --------------------------------------------------

  function filterRow(element) {
    const stream = element.classList[1];
    const otherTask = task !== "" && element.dataset.task !== "0" && element.dataset.task !== task;
    element.hidden = hiddenStreams.has(stream === "error" ? "result" : stream) || otherTask;
  }

  function refilter() {
    for (const element of rowsElement.children) filterRow(element);
    if (following) toBottom();
  }

  return {
    append, show, toEnd, toStart,
    /** Live output: drawn while the end is on the screen, else only counted. */
    arrive(chunks) {
      seen = Math.max(seen, chunks.at(-1).seq);
      if (attached) append(chunks);
      else showLinks();
    },
    /** Output that arrives while a replay is on the screen. */
    note(chunks) {
      seen = Math.max(seen, chunks.at(-1).seq);
    },
    /** During a replay there is no paging: the player says what is shown. */
    setPaging(value) {
      paging = value;
      if (!value) attached = false;
      showLinks();
    },
    setStream(stream, shown) {
      if (shown) hiddenStreams.delete(stream);
      else hiddenStreams.add(stream);
      refilter();
    },
    setTask(value) {
      task = value;
      refilter();
    },
    setTime(mode) {
      timeMode = mode;
      screen.classList.toggle("no-time", mode === "off");
      for (const { dataset, children } of rowsElement.children) {
        children[1].textContent = times[mode](Number(dataset.t));
      }
    },
    setStart(startedAt) {
      times = timeTexts(startedAt);
    },
    setWrap: (wraps) => screen.classList.toggle("wraps", wraps),
    get last() { return last; },
    get attached() { return attached; },
  };
}

/** The lines that the server left open go on in the rows it drew. */
function adopt(rowsElement) {
  const unfinished = new Map();
  for (const element of rowsElement.querySelectorAll("[data-raw]")) {
    const { seq, task, raw } = element.dataset;
    const stream = element.classList[1];
    unfinished.set(`${stream} ${task}`, { ...openRow({ seq, stream, task: Number(task), raw }), element });
  }
  return unfinished;
}

/** Whole chunks of about `most` lines, from the start or the end; at least one. */
function within(chunks, fromEnd, most) {
  if (!chunks.length) return chunks;
  if (fromEnd) {
    const end = chunks.at(-1).line;
    const start = chunks.findIndex((chunk) => end - chunk.line <= most);
    return chunks.slice(start);
  }
  const limit = chunks[0].line + most;
  const end = chunks.findIndex((chunk, index) => index > 0 && chunk.line > limit);
  return end < 0 ? chunks : chunks.slice(0, end);
}
