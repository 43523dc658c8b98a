// logs.js - the views of one run: the whole log, and one of each task where tasks are shown
// side by side. What one is told, all are.

import { endOf } from "./model.js";

/**
 * @param {(frame: HTMLElement, filter: object|null) => object} make  makes a view, see view.js
 * @param {HTMLElement} frame  of the whole log
 */
export function makeLogs(make, frame) {
  const main = make(frame, null);
  const lanes = new Map();
  const chosen = { wrap: [true], time: ["start"], raw: [false], start: [] };
  let end = { seq: 0, lines: 0 }, streams = null, opens;

  const all = () => [main, ...lanes.keys()];
  const tell = (name, ...given) => all().map((view) => view[name](...given));

  function choose(name, method) {
    return (...given) => {
      chosen[name] = given;
      tell(method, ...given);
    };
  }

  return {
    /** A view of one task, with what the others have been told. */
    open(place, task) {
      const view = make(place, { streams, task });
      lanes.set(view, task);
      view.setWrap(...chosen.wrap);
      view.setTime(...chosen.time);
      view.setRaw(...chosen.raw);
      if (chosen.start.length) view.setStart(...chosen.start);
      view.reset(end, null, opens);
      return view;
    },
    reset(newEnd, chunks, options) {
      end = newEnd;
      opens = options;
      tell("reset", end, chunks, options);
    },
    append(chunks) {
      tell("append", chunks);
      const last = chunks.at(-1);
      if (last.seq > end.seq) end = endOf(chunks);
    },
    setEnd(newEnd) {
      end = newEnd;
      tell("setEnd", end);
    },
    toEnd: () => tell("toEnd"),
    toStart: () => tell("toStart"),
    toLine: main.toLine,
    setHits: main.setHits,
    anchor: main.anchor,
    setFilter(filter) {
      streams = filter?.streams ?? null;
      main.setFilter(filter);
      for (const [view, task] of lanes) view.setFilter({ streams, task });
    },
    setTime: choose("time", "setTime"),
    setWrap: choose("wrap", "setWrap"),
    setRaw: choose("raw", "setRaw"),
    setStart: choose("start", "setStart"),
    get end() { return end; },
    main,
  };
}
