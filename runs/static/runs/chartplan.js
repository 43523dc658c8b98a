// chartplan.js - where everything of a chart lies, in pixels. Pure; chartview.js draws it.
//
// A plan is {width, height, axes: [{side, ticks, label}], shapes, marks, legend}: shapes are
// {kind: "path"|"bar"|"slice"|"dot"|"box", series, ...}, marks the places with a value that
// can be pointed at: {x, y, text}.

import { percentText, titleOf } from "./charts.js";
import { bandScale, makeScale, shortened } from "./scales.js";

const POINTS = 2000;
const BOTTOM = 44;
const TOP = 12;
const CHARACTER = 7;

/** @param {object} drawn  see chartOf; not {kind: "several"} */
export function planOf(drawn, width) {
  const plan = PLANS[drawn.kind](drawn, width);
  return { width, axes: [], legend: [], ...plan };
}

const PLANS = { points: pointsPlan, bars: barsPlan, boxes: boxesPlan, pie: piePlan };

// --- points ------------------------------------------------------------------------

function pointsPlan({ x, y, series, connected }, width) {
  const all = series.map(({ points }) => points);
  const frame = frameOf(width, y, extent(all, 1));
  const across = x.scale === "categorical"
    ? bandScale(x.names, frame.left, frame.right)
    : makeScale(x.scale, ...extent(all, 0), frame.left, frame.right);
  const shapes = [], marks = [];
  for (const [index, { label, points }] of series.entries()) {
    const placed = thinned(points, connected).map((point) => point && { x: across.place(point[0]), y: frame.scale.place(point[1]), point });
    if (connected) shapes.push({ kind: "path", series: index, d: pathOf(placed) });
    const dots = placed.filter(Boolean);
    if (!connected || dots.length <= 60) {
      shapes.push(...dots.map(({ x, y }) => ({ kind: "dot", series: index, x, y, small: connected })));
    }
    marks.push(...dots.map(({ x: left, y: top, point }) => ({
      x: left, y: top, series: index, text: said(label, x, across.read(point[0]), y, frame.scale.read(point[1])),
    })));
  }
  return { height: frame.height, axes: axesOf(frame, across, x, y), shapes, marks, legend: legendOf(series) };
}

/** At most about POINTS of them: of each stretch of a line the lowest and the highest. */
export function thinned(points, connected) {
  if (points.length <= POINTS) return points;
  if (!connected) {
    const every = Math.ceil(points.length / POINTS);
    return points.filter((_, index) => index % every === 0);
  }
  const size = Math.ceil((2 * points.length) / POINTS);
  const kept = [];
  for (let from = 0; from < points.length; from += size) kept.push(...extremes(points, from, Math.min(from + size, points.length)));
  return kept;
}

function extremes(points, from, to) {
  let low = -1, high = -1;
  for (let index = from; index < to; index++) {
    if (!points[index]) continue;
    if (low < 0 || points[index][1] < points[low][1]) low = index;
    if (high < 0 || points[index][1] > points[high][1]) high = index;
  }
  if (low < 0) return [null];
  return low === high ? [points[low]] : [points[Math.min(low, high)], points[Math.max(low, high)]];
}

function pathOf(placed) {
  let path = "", pen = "M";
  for (const place of placed) {
    if (place) path += `${pen}${rounded(place.x)} ${rounded(place.y)}`;
    pen = place ? "L" : "M";
  }
  return path;
}

// --- bars and boxes --------------------------------------------------------------------

function barsPlan({ x, y, names, series }, width) {
  const values = series.flatMap(({ values }) => values.filter((value) => value !== null));
  const frame = frameOf(width, y, [Math.min(0, least(values)), Math.max(0, most(values))]);
  const across = bandScale(names, frame.left, frame.right);
  const thick = Math.max(1, (across.band * 0.76) / series.length);
  const zero = frame.scale.place(0);
  const shapes = [], marks = [];
  for (const [index, { label, values }] of series.entries()) {
    for (const [place, value] of values.entries()) {
      if (value === null) continue;
      const end = frame.scale.place(value);
      const left = across.place(place) + (index - series.length / 2) * thick;
      shapes.push({ kind: "bar", series: index, x: left, y: Math.min(zero, end), width: Math.max(1, thick - 1), height: Math.max(1, Math.abs(end - zero)) });
      const name = series.length > 1 ? `${names[place]}, ${label}` : names[place];
      marks.push({ x: left + thick / 2, y: end, series: index, text: `${name}: ${withUnit(frame.scale.read(value), y)}` });
    }
  }
  marks.sort((a, b) => a.x - b.x);
  return { height: frame.height, axes: axesOf(frame, across, x, y), shapes, marks, legend: series.length > 1 ? legendOf(series) : [] };
}

function boxesPlan({ x, y, boxes }, width) {
  const values = boxes.flatMap(({ min, max, low, high, outliers }) => [min, max, low, high, ...outliers]);
  const frame = frameOf(width, y, [least(values), most(values)]);
  const across = bandScale(boxes.map(({ label }) => label), frame.left, frame.right);
  const thick = Math.min(70, across.band * 0.6);
  const place = (value) => frame.scale.place(value), read = frame.scale.read;
  const shapes = [], marks = [];
  for (const [index, box] of boxes.entries()) {
    const middle = across.place(index);
    shapes.push({
      kind: "box", series: 0, x: middle, width: thick, min: place(box.min), low: place(box.low),
      median: place(box.median), high: place(box.high), max: place(box.max),
    });
    shapes.push(...box.outliers.map((value) => ({ kind: "dot", series: 0, x: middle, y: place(value), small: true })));
    const text = `${box.label}: median ${withUnit(read(box.median), y)}, half lies from ${read(box.low)} to ${read(box.high)}, ` +
      `whiskers from ${read(box.min)} to ${read(box.max)}${box.outliers.length ? `, outliers ${box.outliers.slice(0, 8).map(read).join(", ")}` : ""}`;
    marks.push({ x: middle, y: place(box.median), series: 0, text });
  }
  return { height: frame.height, axes: axesOf(frame, across, x, y), shapes, marks };
}

// --- pie ---------------------------------------------------------------------------------

function piePlan({ slices }, width) {
  const radius = Math.min(120, width / 2 - 12), middle = { x: Math.min(width / 2, radius + 12), y: radius + 12 };
  const shapes = [], marks = [];
  let turn = 0;
  for (const [index, { label, share }] of slices.entries()) {
    const end = turn + share;
    shapes.push({ kind: "slice", series: index, d: sliceOf(middle, radius, turn, end) });
    const inside = onCircle(middle, radius * 0.62, (turn + end) / 2);
    marks.push({ ...inside, series: index, text: `${label}: ${percentText(share)}`, label: share > 0.06 ? percentText(share) : "" });
    turn = end;
  }
  const legend = slices.map(({ label, share }, series) => ({ series, label: `${label} ${percentText(share)}` }));
  return { width: Math.min(width, 2 * radius + 24), height: 2 * radius + 24, shapes, marks, legend };
}

function sliceOf(middle, radius, from, to) {
  if (to - from > 0.9999) {
    const { x, y } = middle;
    return `M${x - radius} ${y}a${radius} ${radius} 0 1 1 ${2 * radius} 0a${radius} ${radius} 0 1 1 ${-2 * radius} 0Z`;
  }
  const a = onCircle(middle, radius, from), b = onCircle(middle, radius, to);
  const large = to - from > 0.5 ? 1 : 0;
  return `M${middle.x} ${middle.y}L${rounded(a.x)} ${rounded(a.y)}A${radius} ${radius} 0 ${large} 1 ${rounded(b.x)} ${rounded(b.y)}Z`;
}

/** A share of the turn, from the top and clockwise. */
function onCircle({ x, y }, radius, turn) {
  const angle = (turn - 0.25) * 2 * Math.PI;
  return { x: x + radius * Math.cos(angle), y: y + radius * Math.sin(angle) };
}

// --- the frame around ----------------------------------------------------------------------

function frameOf(width, y, [min, max]) {
  const height = Math.round(Math.min(320, Math.max(220, width * 0.5)));
  const names = y.scale === "categorical" ? y.names : null;
  const make = (bottom, top) => (names ? bandScale(names, bottom, top) : makeScale(y.scale, min, max, bottom, top));
  const scale = make(height - BOTTOM, TOP);
  if (names) scale.ticks = scale.ticks.map((tick, index) => ({ ...tick, label: shortened(names[index * Math.ceil(names.length / scale.ticks.length)] ?? "", 14) }));
  const widest = Math.max(0, ...scale.ticks.map(({ label }) => label.length));
  const left = Math.min(width / 3, 12 + widest * CHARACTER + (titleOf(y, "") ? 20 : 0));
  return { height, scale, left, right: width - 14, bottom: height - BOTTOM, top: TOP };
}

function axesOf(frame, across, x, y) {
  const { left, right, top, bottom } = frame;
  return [
    { side: "left", ticks: frame.scale.ticks, label: titleOf(y, ""), left, right, top, bottom },
    { side: "bottom", ticks: across.ticks, label: titleOf(x, ""), left, right, top, bottom },
  ];
}

const legendOf = (series) => (series.length > 1 || series[0].label !== "Line 1" ? series.map(({ label }, index) => ({ series: index, label })) : []);

const withUnit = (text, { unit }) => (unit ? `${text} ${unit}` : text);

function said(label, x, left, y, top) {
  return `${label} · ${x.label || "x"} ${withUnit(left, x)} · ${y.label || "y"} ${withUnit(top, y)}`;
}

/** Smallest and largest of one coordinate. */
function extent(all, coordinate) {
  let low = Infinity, high = -Infinity;
  for (const points of all) {
    for (const point of points) {
      if (!point) continue;
      if (point[coordinate] < low) low = point[coordinate];
      if (point[coordinate] > high) high = point[coordinate];
    }
  }
  return [low, high];
}

const least = (values) => values.reduce((a, b) => Math.min(a, b), Infinity);
const most = (values) => values.reduce((a, b) => Math.max(a, b), -Infinity);
const rounded = (number) => Math.round(number * 100) / 100;

/** The mark nearest to a place; by its height only where several lie above each other. */
export function nearest(marks, x, y) {
  let best = -1, distance = Infinity;
  for (const [index, mark] of marks.entries()) {
    const far = Math.abs(mark.x - x) + Math.abs(mark.y - y) / 3;
    if (far < distance) [best, distance] = [index, far];
  }
  return best;
}
