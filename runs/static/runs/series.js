// series.js - numbers that events of one type tell again and again, as series. Pure and bounded.

import { bodyOf, isObject, typeOf } from "./events.js";
import { stageOf } from "./stages.js";
import { visible } from "./text.js";

export const POINTS = 512;
const MOST_SERIES = 200;
const SHOWN = 24;
const LEAST = 3;
const NAME_LENGTH = 80;

// What counts the events, in this order, is what the others are drawn over.
const STEPS = ["step", "global_step", "iteration", "iter", "epoch", "batch", "round", "i", "n", "index"];
// What is no measurement: these are drawn as bars, or are times.
const OTHERS = ["percent", "percentage", "progress", "current", "total", "timestamp", "time", "ts", "id", "pid", "block", "attempt"];

export function makeSeries() {
  const series = new Map();
  let seq = 0;

  function take(chunks) {
    for (const chunk of chunks) {
      if (chunk.seq <= seq || chunk.stream !== "event") continue;
      seq = chunk.seq;
      if (isObject(chunk.data) && !stageOf(chunk)) takeEvent(chunk);
    }
  }

  function takeEvent({ t, task, data }) {
    const numbers = numbersOf(bodyOf(data));
    const step = STEPS.find((name) => numbers.has(name));
    const x = step === undefined ? t : numbers.get(step);
    for (const [name, y] of numbers) {
      if (name === step || OTHERS.includes(name)) continue;
      const key = JSON.stringify([typeOf(data), name, task]);
      if (!series.has(key)) {
        if (series.size >= MOST_SERIES) continue;
        const label = visible(name).slice(0, NAME_LENGTH);
        series.set(key, { key, type: visible(typeOf(data)).slice(0, NAME_LENGTH), name: label, task, over: step ?? "seconds", count: 0, min: y, max: y, stretches: makeStretches(), get points() { return this.stretches.points; } });
      }
      add(series.get(key), { seq, x, y });
    }
  }

  // What never changes tells nothing.
  const telling = () => [...series.values()].filter(({ count, min, max }) => count >= LEAST && min < max);

  return {
    take,
    /** Those that were told often enough to be looked at: {type, name, over, count, last, min, max, points}. */
    get shown() {
      return telling().slice(0, SHOWN);
    },
    get more() {
      return Math.max(0, telling().length - SHOWN);
    },
  };
}

/** The numbers in an event, those one level down by "outer.inner". */
function numbersOf(body) {
  const numbers = new Map();
  if (!isObject(body)) return numbers;
  for (const [name, value] of Object.entries(body)) {
    if (isObject(value)) {
      for (const [inner, part] of Object.entries(value)) if (isMeasured(part)) numbers.set(`${name}.${inner}`, part);
    } else if (isMeasured(value)) {
      numbers.set(name, value);
    }
  }
  return numbers;
}

const isMeasured = (value) => typeof value === "number" && Number.isFinite(value);

function add(series, point) {
  series.count++;
  series.last = point.y;
  series.min = Math.min(series.min, point.y);
  series.max = Math.max(series.max, point.y);
  series.stretches.add(point);
}

/**
 * Points in stretches of the same length, of each the lowest and the highest; where there
 * are too many, two become one.
 */
export function makeStretches(most = POINTS / 2) {
  let stretches = [], length = 1, filled = 0;
  return {
    add(point) {
      if (filled === 0 || filled === length) {
        stretches.push({ low: point, high: point });
        filled = 0;
      }
      const last = stretches.at(-1);
      if (point.y < last.low.y) last.low = point;
      if (point.y > last.high.y) last.high = point;
      filled++;
      last.end = point;
      if (stretches.length > most) halve();
    },
    /** In the order they came; the newest is always there. */
    get points() {
      const found = [];
      for (const { low, high } of stretches) {
        if (low === high) found.push(low);
        else found.push(...(low.seq < high.seq ? [low, high] : [high, low]));
      }
      const newest = stretches.at(-1)?.end;
      if (newest && !found.slice(-2).includes(newest)) found.push(newest);
      return found;
    },
  };

  function halve() {
    const pairs = [];
    for (let index = 0; index < stretches.length; index += 2) {
      const [a, b = a] = [stretches[index], stretches[index + 1]];
      pairs.push({ low: b.low.y < a.low.y ? b.low : a.low, high: b.high.y > a.high.y ? b.high : a.high, end: b.end });
    }
    // The last one may have no other to go with.
    filled = stretches.length % 2 ? filled : length + filled;
    stretches = pairs;
    length *= 2;
  }
}

/** The line of a small picture, as a path. */
export function sparkline(points, width, height) {
  const spread = (values) => [Math.min(...values), Math.max(...values)];
  const [left, right] = spread(points.map(({ x }) => x)), [low, high] = spread(points.map(({ y }) => y));
  const place = (value, from, to, size) => (to > from ? ((value - from) / (to - from)) * size : size / 2);
  return points
    .map(({ x, y }) => `${place(x, left, right, width).toFixed(1)} ${(height - place(y, low, high, height)).toFixed(1)}`)
    .map((at, index) => (index ? "L" : "M") + at)
    .join("");
}

/** A series as chart data, as charts.js takes it. */
export const chartData = ({ type, name, over, points }) => ({
  type: "line",
  title: `${type}: ${name}`,
  x_label: over === "seconds" ? "seconds since the start" : over,
  y_label: name,
  elements: [{ label: name, points: points.map(({ x, y }) => [x, y]) }],
});
