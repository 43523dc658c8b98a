// view.js - one log on the screen: as long as the log is, with elements only for what is
// looked at. Keeps what is read where it is, whatever is loaded, arrives or changes height.

import { bindCopy } from "./copy.js";
import { timeTexts } from "./draw.js";
import { counted } from "./format.js";
import { parts } from "./frame.js";
import { makeGeometry } from "./geometry.js";
import { makeHeights } from "./heights.js";
import { makeHits } from "./hits.js";
import { makeLoading } from "./loading.js";
import { unfold } from "./longline.js";
import { makeReader } from "./reader.js";
import { makeSheet } from "./sheet.js";

const NEAR_END = 24;
// Drawn above and below what is seen, in pixels.
const OVERSCAN = 400;
const MOST_ELEMENTS = 300;
const MOST_SELECTED = 2000;
const MOST_PENDING = 1000;
// In milliseconds: what one draw may keep the next waiting, and how much of it is not waited for.
const MOST_PAUSE = 200;
const AHEAD = 100;

/**
 * @param {HTMLElement} frame  is filled with one log, or holds one that the server drew
 * @param {object} source  see recorded.js
 * @param {{draws: {drawText: Function, drawBlock: Function}, newScreen: (raw: boolean) => object,
 *   startedAt: string|null, filter?: object|null, line?: Function, failed?: Function}} on
 *   line({from, to}): a line number was clicked; failed(error): output could not be loaded
 */
export function makeView(frame, source, on) {
  const { screen, above, place, below, empty, noneChosen, pill } = parts(frame);
  let raw = false;
  const reader = makeReader(source, () => on.newScreen(raw));
  const { model } = reader;
  reader.setFilter(on.filter ?? null);
  const sheet = makeSheet(place, on.draws);
  const hits = makeHits();
  const heights = makeHeights(screen, place);
  const geometry = makeGeometry(heights.of);
  let times = timeTexts(on.startedAt), timeMode = "start";
  let following = false, anchor = null, lastTop = 0, from = 0, to = 0;
  let pending = [], fresh = 0, marked = null, scheduled = false, ready = false;
  let space = [0, 0], spentUntil = 0;

  // --- where the reader is -------------------------------------------------------------

  function lay() {
    const { rows } = model, { lines } = reader.end;
    // With a filter nobody knows how many lines there would be.
    const linesAbove = reader.filter || reader.first ? 0 : rows.length ? rows[0].number - 1 : lines;
    const linesBelow = reader.filter || reader.attached || !rows.length ? 0 : Math.max(1, lines - rows.at(-1).number);
    geometry.lay(rows, linesAbove, linesBelow);
  }

  /** A row and how far below its top the view begins; or a place where nothing is loaded. */
  function anchorAt(y) {
    const { rows } = model, bottom = y + screen.clientHeight;
    if (!rows.length || bottom <= geometry.above || y >= geometry.loadedEnd) return { y };
    const index = y < geometry.above ? 0 : geometry.indexAt(y);
    return { row: rows[index], offset: y - geometry.top(index) };
  }

  /** Rows may have been made anew: the one in the anchor's place. */
  function anchorIndex() {
    const { rows } = model, { row } = anchor;
    const same = rows.indexOf(row);
    if (same >= 0) return same;
    let index = rows.findIndex(({ key }) => key === row.key);
    if (index < 0) index = rows.findIndex(({ seq, number }) => seq >= row.seq && number >= row.number);
    if (index < 0) index = rows.length - 1;
    anchor = { row: rows[index], offset: anchor.offset };
    return index;
  }

  function top() {
    if (following) return Math.max(0, geometry.loadedEnd - screen.clientHeight);
    if (!anchor) return 0;
    if (!anchor.row) return anchor.y;
    if (!model.rows.length) return 0;
    return geometry.top(anchorIndex()) + anchor.offset;
  }

  function scrolled() {
    const y = screen.scrollTop;
    if (Math.abs(y - lastTop) < 1) return;
    const upwards = y < lastTop;
    lastTop = y;
    const below = screen.scrollHeight - screen.clientHeight - y;
    // Nobody scrolled: the log has become taller, and its end stays at the bottom.
    if (following && below < 1) return schedule();
    const atEnd = below <= NEAR_END;
    follow(!upwards && atEnd && reader.attached);
    anchor = anchorAt(y);
    if (anchor.row && reader.busy) reader.cancel();
    schedule();
  }

  function follow(value) {
    if (following && !value) anchor = anchorAt(lastTop);
    following = value;
    if (following) fresh = 0;
  }

  // --- drawing -------------------------------------------------------------------------

  function schedule() {
    if (scheduled || !ready) return;
    scheduled = true;
    requestAnimationFrame(nextFrame);
  }

  /**
   * In a flood the page draws a fifth of the time: nobody reads faster, and frames and input
   * go on. What comes now and then is drawn at once.
   */
  function nextFrame() {
    const began = performance.now();
    if (following && spentUntil - began > AHEAD) return void requestAnimationFrame(nextFrame);
    render();
    const spent = Math.min(MOST_PAUSE, 5 * (performance.now() - began));
    spentUntil = Math.max(spentUntil, began) + spent;
  }

  function render() {
    scheduled = false;
    redraw(reader.takeRewritten());
    takePending();
    heights.refresh();
    lay();
    // What was guessed is measured; then perhaps other rows are in view.
    for (let turn = 0; turn < 3; turn++) {
      choose();
      sheet.show(model.rows, from, to, timeOf);
      setSpace();
      if (turn === 0 && to > from) heights.learn();
      const other = heights.measure(sheet.drawn());
      if (other) lay();
      if (!other) break;
    }
    settle();
    finish();
  }

  function choose() {
    const { rows } = model, y = top(), height = screen.clientHeight;
    // Nobody sees what is above the end of a log that runs on.
    from = geometry.indexAt(y - (following ? 0 : OVERSCAN));
    to = Math.min(rows.length, geometry.indexAt(y + height + OVERSCAN) + 1, from + MOST_ELEMENTS);
    if (!following && anchor && !anchor.row) to = from;
    // A selection lives in elements: they stay for as long as it does.
    const [first, last] = copy.selected(rows);
    if (first >= 0 && Math.max(to, last + 1) - Math.min(from, first) <= MOST_SELECTED) {
      from = Math.min(from, first);
      to = Math.max(to, last + 1);
    }
  }

  /** Each write costs a layout: only what is another than before is written. */
  function setSpace() {
    const heights = [geometry.top(from), geometry.height - geometry.top(to)];
    if (heights[0] !== space[0]) above.style.height = `${heights[0]}px`;
    if (heights[1] !== space[1]) below.style.height = `${heights[1]}px`;
    space = heights;
  }

  function settle() {
    setSpace();
    const y = top();
    if (Math.abs(screen.scrollTop - y) > 0.5) screen.scrollTop = y;
    lastTop = screen.scrollTop;
    if (!following && anchor?.row && Math.abs(lastTop - y) > 1) anchor = anchorAt(lastTop);
  }

  function finish() {
    const { rows } = model;
    frame.classList.toggle("wide-numbers", reader.end.lines >= 1e6);
    const nothing = !rows.length && reader.attached && reader.first;
    empty.hidden = !nothing || Boolean(reader.filter);
    noneChosen.hidden = !nothing || !reader.filter;
    pill.hidden = following || fresh === 0;
    if (!pill.hidden) pill.textContent = `↓ ${counted(fresh, "new line")}`;
    for (const { row, element } of sheet.drawn()) {
      element.classList.toggle("marked", Boolean(marked) && row.number >= marked.from && row.number <= marked.to);
    }
    hits.paint(sheet.drawn());
    loading.load();
  }

  function timeOf(row, index) {
    return times[timeMode](row, model.rows[index - 1]);
  }

  const firstSeen = () => (following ? model.rows[geometry.indexAt(lastTop)] : anchor?.row);

  // --- what comes ------------------------------------------------------------------------

  function takePending() {
    if (!pending.length) return;
    const chunks = pending;
    pending = [];
    const { lines, changed } = reader.append(chunks, following);
    if (!following) fresh += lines;
    else reader.trim(model.rows.length - MOST_ELEMENTS);
    redraw(changed);
  }

  function redraw(changed) {
    for (const row of changed) heights.forget(row);
    sheet.redraw(changed);
  }

  const loading = makeLoading(reader, geometry, {
    seen: () => ({
      top: lastTop,
      bottom: lastTop + screen.clientHeight,
      nowhere: Boolean(anchor && !anchor.row && !following),
      following,
    }),
    land(row, rest) {
      anchor = { row, offset: rest };
    },
    toBottom: () => follow(true),
    schedule,
    failed: (error) => on.failed?.(error),
  });
  const { failed } = loading;

  // --- going somewhere -------------------------------------------------------------------

  const guarded = (work) => async (...given) => {
    try {
      await work(...given);
      schedule();
    } catch (error) {
      failed(error);
    }
  };

  /** Show a row, a third of the screen below its top unless it begins the log. */
  function toRow(row) {
    if (!row) return;
    follow(false);
    anchor = { row, offset: -Math.round(screen.clientHeight / 3) };
  }

  const holds = (number) => number >= model.rows[0]?.number && number <= model.rows.at(-1)?.number;

  function rowOfLine(number, chunk) {
    const { rows } = model;
    const of = (row) => row.number === number && (chunk === null || (row.seq <= chunk && row.last >= chunk));
    return rows.find(of) ?? rows.find((row) => row.number >= number) ?? rows.at(-1);
  }

  const view = {
    /** The log ends at `end` {seq, lines}; these chunks follow each other, or null: none are known. */
    reset(end, chunks, { where = "end" } = {}) {
      pending = [];
      ready = true;
      screen.classList.remove("from-end");
      reader.reset(end, chunks);
      sheet.clear();
      fresh = 0;
      follow(where === "end" && reader.attached);
      anchor = null;
      if (!chunks) return where === "end" ? view.toEnd() : view.toStart();
      render();
    },
    append(chunks) {
      for (const chunk of chunks) pending.push(chunk);
      // A page in the background is not drawn, but may not grow.
      if (pending.length > MOST_PENDING) takePending();
      schedule();
    },
    setEnd(end) {
      takePending();
      reader.setEnd(end);
      schedule();
    },
    toEnd: guarded(async () => {
      if (!reader.attached) await reader.toTail();
      anchor = null;
      follow(true);
    }),
    toStart: guarded(async () => {
      if (!reader.first) await reader.toStart();
      follow(false);
      anchor = model.rows.length ? { row: model.rows[0], offset: 0 } : null;
    }),
    /** Show a line, and mark it or those up to `to`; with `seq`, the line's row of that chunk, unmarked. */
    toLine: guarded(async (number, { to: last = number, seq = null } = {}) => {
      marked = seq === null ? { from: number, to: last } : null;
      if (!holds(number)) await reader.toLine(Math.max(1, Math.min(number, reader.end.lines)));
      toRow(rowOfLine(number, seq));
    }),
    /** @param {{streams: Set<string>|null, task: number|null}|null} filter  null: everything */
    setFilter: guarded(async (filter) => {
      const seen = firstSeen();
      reader.setFilter(filter);
      if (following || !seen) {
        await reader.toTail();
        if (!seen) anchor = null;
      } else {
        await reader.toSeq(seen.seq);
        const row = model.rows.find(({ seq, number }) => seq >= seen.seq && number >= seen.number);
        anchor = row ? { row, offset: 0 } : null;
        if (!row) follow(true);
      }
    }),
    setTime(mode) {
      timeMode = mode;
      screen.classList.toggle("no-time", mode === "off");
      schedule();
    },
    setStart(startedAt) {
      times = timeTexts(startedAt);
      schedule();
    },
    setWrap(wraps) {
      screen.classList.toggle("wraps", wraps);
      heights.reset();
      schedule();
    },
    setRaw(value) {
      raw = value;
      model.rebuild();
      sheet.clear();
      schedule();
    },
    /** @param {{line: number, text: string, start: number, end: number}[]} found  @param current one of them */
    setHits(found, current) {
      hits.set(found, current);
      schedule();
    },
    anchor() {
      const row = firstSeen();
      return row ? { seq: row.seq, line: row.number, t: row.t } : null;
    },
    get screen() { return screen; },
  };

  const copy = bindCopy(screen, sheet, () => model.rows);
  screen.addEventListener("scroll", scrolled, { passive: true });
  screen.addEventListener("wheel", ({ deltaY }) => deltaY < 0 && screen.scrollTop > 0 && follow(false), { passive: true });
  pill.addEventListener("click", view.toEnd);
  place.addEventListener("click", clicked);
  // An image that has loaded, a fold that was opened, a window of another size.
  const watcher = new ResizeObserver(schedule);
  watcher.observe(screen);
  watcher.observe(place);
  return view;

  function clicked(event) {
    const { target } = event;
    if (target.closest(".n")) clickedNumber(event);
    else if (target.closest(".more")) unfoldLine(target.closest(".more")).catch(failed);
  }

  async function unfoldLine(button) {
    const known = sheet.rowAt(button), isFocused = button === document.activeElement;
    if (!known) return;
    button.disabled = true;
    try {
      const current = (key) => model.rows.find((row) => row.key === key);
      const row = await unfold(known.row, current, { model, source });
      if (row) redraw([row]);
    } finally {
      button.disabled = false;
    }
    if (isFocused) known.element.querySelector(".more")?.focus({ preventScroll: true });
    schedule();
  }

  function clickedNumber(event) {
    event.preventDefault();
    const number = Number(event.target.closest(".row").dataset.number);
    const other = event.shiftKey && marked ? marked.from : number;
    marked = { from: Math.min(number, other), to: Math.max(number, other) };
    schedule();
    on.line?.(marked);
  }
}
