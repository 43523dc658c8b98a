// charts.js - E2B's chart data, cleaned: what can be drawn of it, and the same as a table. Pure.
//
// Shapes as e2b_code_interpreter.charts has them. They come from a program, so anything
// may be missing, of a wrong type or far too much; what cannot be drawn is counted.

import { isObject } from "./events.js";
import { holds } from "./scales.js";
import { visible } from "./text.js";

const MOST_SERIES = 40;
const MOST_BARS = 200;
const MOST_CHARTS = 12;
const TABLE_ROWS = 500;

/**
 * @returns {object|null} one of
 *   {kind: "points", connected, x: axis, y: axis, series: [{label, points: [[x, y]]}]}
 *   {kind: "bars", x: axis, y: axis, names, series: [{label, values}]}
 *   {kind: "pie", slices: [{label, share}]}
 *   {kind: "boxes", x: axis, y: axis, boxes: [{label, min, low, median, high, max, outliers}]}
 *   {kind: "several", charts}
 *   with `title` and `dropped`, how many values cannot be drawn; an axis is {label, unit, scale, names?};
 *   null: nothing of it can be drawn
 */
export function chartOf(chart, depth = 0) {
  if (!isObject(chart)) return null;
  const read = READERS.get(chart.type);
  if (!read || (chart.type === "superchart" && depth > 1)) return null;
  const drawn = read(chart, depth);
  return drawn && { title: word(chart.title), dropped: 0, ...drawn };
}

const READERS = new Map([
  ["line", (chart) => points(chart, true)],
  ["scatter", (chart) => points(chart, false)],
  ["bar", bars],
  ["pie", pie],
  ["box_and_whisker", boxes],
  ["superchart", several],
]);

function several(chart, depth) {
  const charts = elements(chart).slice(0, MOST_CHARTS).map((part) => chartOf(part, depth + 1)).filter(Boolean);
  return charts.length ? { kind: "several", charts } : null;
}

// --- points ------------------------------------------------------------------------

function points(chart, connected) {
  const given = elements(chart).slice(0, MOST_SERIES).map((series, index) => ({
    label: nameOf(series, index, connected ? "Line" : "Points"),
    points: list(series.points).filter((point) => Array.isArray(point) && point.length >= 2),
  }));
  const read = { x: reader(chart, "x", given, 0), y: reader(chart, "y", given, 1) };
  let dropped = 0, drawn = 0;
  const series = given.map(({ label, points }) => ({
    label,
    points: points.map(([x, y]) => {
      const at = [read.x.value(x), read.y.value(y)];
      const fits = at.every(Number.isFinite) && holds(read.x.axis.scale, at[0]) && holds(read.y.axis.scale, at[1]);
      if (fits) drawn++;
      else dropped++;
      return fits ? at : null; // a gap in the line
    }),
  }));
  return drawn ? { kind: "points", connected, x: read.x.axis, y: read.y.axis, series, dropped } : null;
}

/** How the values of an axis become numbers: as they are, as seconds, or as places of names. */
function reader(chart, name, series, index) {
  const axis = axisOf(chart, name);
  if (axis.scale === "datetime") return { axis, value: secondsOf };
  const values = function* () {
    for (const { points } of series) for (const point of points) yield point[index];
  };
  const strange = first(values(), (value) => typeof value === "string" && Number.isNaN(number(value)) && !NO_NUMBER.test(value));
  if (axis.scale !== "categorical" && strange === undefined) return { axis, value: number };
  if (axis.scale !== "categorical" && Number.isFinite(secondsOf(strange))) {
    axis.scale = "datetime";
    return { axis, value: secondsOf };
  }
  return { axis: { ...axis, scale: "categorical", ...namesOf(chart, name, values()) }, value: placeOf(chart, name, values()) };
}

function namesOf(chart, name, values) {
  const labels = list(chart[`${name}_tick_labels`]).map(word);
  return { names: [...named(labels, values).keys()] };
}

// How programs write a number that is none.
const NO_NUMBER = /^\s*([+-]?(nan|inf(inity)?)|none|null|)\s*$/i;

function placeOf(chart, name, values) {
  const places = named(list(chart[`${name}_tick_labels`]).map(word), values);
  return (value) => (typeof value === "number" ? (value >= 0 && value < places.size ? value : Number.NaN) : places.get(word(value)) ?? Number.NaN);
}

function named(labels, values) {
  const places = new Map();
  const add = (text) => places.size < 1000 && !places.has(text) && places.set(text, places.size);
  for (const label of labels) add(label);
  for (const value of values) if (typeof value === "string") add(word(value));
  return places;
}

function first(values, test) {
  for (const value of values) if (test(value)) return value;
  return undefined;
}

// --- bars, pie, boxes ----------------------------------------------------------------

function bars(chart) {
  const names = new Map(), groups = new Map();
  let dropped = 0;
  for (const bar of elements(chart)) {
    const value = number(bar.value), label = word(bar.label), group = word(bar.group);
    if (!names.has(label) && names.size < MOST_BARS) names.set(label, names.size);
    if (!groups.has(group) && groups.size < MOST_SERIES) groups.set(group, new Map());
    if (Number.isFinite(value) && names.has(label) && groups.has(group)) groups.get(group).set(names.get(label), value);
    else dropped++;
  }
  const series = [...groups].filter(([, values]) => values.size).map(([group, values], index) => ({
    label: group || `Group ${index + 1}`,
    values: Array.from({ length: names.size }, (_, place) => values.get(place) ?? null),
  }));
  if (!series.length) return null;
  return { kind: "bars", x: axisOf(chart, "x"), y: axisOf(chart, "y"), names: [...names.keys()], series, dropped };
}

function pie(chart) {
  const given = elements(chart).slice(0, MOST_BARS);
  const slices = given
    .map((slice, index) => ({ label: nameOf(slice, index, "Part"), angle: number(slice.angle) }))
    .filter(({ angle }) => angle > 0 && angle < 1e300);
  const whole = slices.reduce((sum, { angle }) => sum + angle, 0);
  if (!Number.isFinite(whole) || !whole) return null;
  // A pie may be drawn in part; angles that go beyond the circle are shares of each other.
  const round = Math.max(whole, 360);
  return { kind: "pie", slices: slices.map(({ label, angle }) => ({ label, share: angle / round })), dropped: given.length - slices.length };
}

function boxes(chart) {
  const given = elements(chart).slice(0, MOST_BARS);
  let dropped = elements(chart).length - given.length;
  const found = [];
  for (const [index, box] of given.entries()) {
    const values = ["min", "first_quartile", "median", "third_quartile", "max"].map((name) => number(box[name]));
    const outliers = list(box.outliers).map(number).filter(Number.isFinite).slice(0, 500);
    if (!Number.isFinite(values[2])) {
      dropped++;
      continue;
    }
    const [min, low, median, high, max] = values.map((value) => (Number.isFinite(value) ? value : values[2]));
    found.push({ label: nameOf(box, index, "Box"), min, low, median, high, max, outliers });
  }
  return found.length ? { kind: "boxes", x: axisOf(chart, "x"), y: axisOf(chart, "y"), boxes: found, dropped } : null;
}

// --- what was given, as it should be ---------------------------------------------------

const list = (value) => (Array.isArray(value) ? value : []);
const elements = (chart) => list(chart.elements).filter(isObject);
const word = (value) => (value === null || value === undefined || typeof value === "object" ? "" : visible(String(value)).slice(0, 200));
const nameOf = ({ label }, index, kind) => {
  const name = word(label);
  // What matplotlib calls a line without a name.
  return name && !/^_(child|line|collection|container)?\d*$/.test(name) ? name : `${kind} ${index + 1}`;
};

function axisOf(chart, name) {
  return { label: word(chart[`${name}_label`]), unit: word(chart[`${name}_unit`]), scale: word(chart[`${name}_scale`]) || "linear" };
}

function number(value) {
  if (typeof value === "number") return value;
  return typeof value === "string" && value.trim() !== "" ? Number(value) : Number.NaN;
}

/** A date as seconds; a number is one already. */
function secondsOf(value) {
  if (typeof value === "number") return value;
  if (typeof value !== "string" || !/^[+-]?\d{4,6}-\d\d/.test(value)) return Number.NaN;
  // Without a zone it is taken as UTC, as dates alone are; then both lie on one axis.
  const zoned = /T.*(Z|[+-]\d\d:?\d\d)$|^[^T ]*$/.test(value);
  return Date.parse(zoned ? value : `${value.replace(" ", "T")}Z`) / 1000;
}

// --- the same as a table -----------------------------------------------------------------

/** @returns {{columns: string[], rows: string[][], more: number}} */
export function tableOf(drawn, read) {
  const { columns, rows } = TABLES[drawn.kind](drawn, read);
  const kept = [];
  let all = 0;
  for (const row of rows) if (all++ < TABLE_ROWS) kept.push(row);
  return { columns, rows: kept, more: all - kept.length };
}

export const titleOf = ({ label, unit }, otherwise) => {
  const name = label || otherwise;
  return unit && !name.includes(unit) ? `${name} (${unit})` : name;
};

const TABLES = {
  points: ({ x, y, series }, read) => ({
    columns: ["", titleOf(x, "x"), titleOf(y, "y")],
    rows: function* () {
      for (const { label, points } of series) for (const point of points) if (point) yield [label, read.x(point[0]), read.y(point[1])];
    }(),
  }),
  bars: ({ x, names, series }, read) => ({
    columns: [titleOf(x, ""), ...series.map(({ label }) => label)],
    rows: names.map((name, place) => [name, ...series.map(({ values }) => (values[place] === null ? "" : read.y(values[place])))]),
  }),
  pie: ({ slices }) => ({ columns: ["", "Share"], rows: slices.map(({ label, share }) => [label, percentText(share)]) }),
  boxes: ({ x, boxes }, read) => ({
    columns: [titleOf(x, ""), "Min", "25 %", "Median", "75 %", "Max", "Outliers"],
    rows: boxes.map(({ label, min, low, median, high, max, outliers }) =>
      [label, ...[min, low, median, high, max].map(read.y), outliers.slice(0, 20).map(read.y).join(", ")]),
  }),
};

export const percentText = (share) => `${(share * 100).toLocaleString("en", { maximumFractionDigits: 1 })} %`;
