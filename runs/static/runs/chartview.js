// chartview.js - draws a chart with its legend, what is pointed at, and its data as a table.

import { chartOf, tableOf } from "./charts.js";
import { nearest, planOf } from "./chartplan.js";
import { drawing, fold, make } from "./elements.js";
import { makeScale, readable } from "./scales.js";

const WIDEST = 720;
const LEGEND = 24;
const SWATCH = { width: 14, height: 10, "aria-hidden": "true" };
// So many looks that can be told apart without colour: of lines by their dashes too.
const LOOKS = 6;

/** @returns {HTMLElement|null} null if nothing of it can be drawn */
export function drawChart(data, width = fitting()) {
  const chart = chartOf(data);
  if (!chart) return null;
  return chart.kind === "several" ? drawSeveral(chart, width) : drawOne(chart, width);
}

const fitting = () => Math.min(WIDEST, Math.max(260, document.documentElement.clientWidth - 64));

function drawSeveral({ title, charts }, width) {
  const group = make("div", "charts");
  if (title) group.append(make("p", "chart-title", title));
  const each = width > 600 && charts.length > 1 ? Math.floor(width / 2) - 8 : width;
  const place = make("div", "charts-of");
  place.append(...charts.map((chart) => (chart.kind === "several" ? drawSeveral(chart, each) : drawOne(chart, each))));
  group.append(place);
  return group;
}

function drawOne(chart, width) {
  const plan = planOf(chart, width);
  const figure = make("figure", `chart chart-${chart.kind}`);
  if (chart.title) figure.append(make("figcaption", "chart-title", chart.title));
  const { svg, point } = drawPlan(plan, chart);
  const foot = make("div", "chart-foot"), reading = make("p", "chart-reading");
  reading.setAttribute("role", "status");
  foot.append(...(plan.legend.length ? [drawLegend(plan.legend, chart)] : []), reading);
  figure.append(svg, foot, fold("chart-data", "Data", () => drawTable(chart)));
  if (chart.dropped) figure.append(make("p", "hint", `${chart.dropped.toLocaleString("en")} values are not shown: they are no numbers that this axis can hold, or too many.`));
  follow(svg, plan.marks, (index) => {
    point(plan.marks[index]);
    reading.textContent = plan.marks[index]?.text ?? "";
  });
  return figure;
}

// --- the picture -------------------------------------------------------------------

function drawPlan({ width, height, axes, shapes, marks }, chart) {
  const svg = drawing("svg", { class: "chart-picture", width, height, viewBox: `0 0 ${width} ${height}`, tabindex: 0, role: "img" });
  svg.setAttribute("aria-label", `${chart.title || "Chart"}. Arrow keys read its ${marks.length.toLocaleString("en")} values.`);
  for (const axis of axes) svg.append(drawAxis(axis));
  for (const shape of shapes) svg.append(SHAPES[shape.kind](shape));
  for (const { x, y, label } of marks) {
    if (label) svg.append(drawing("text", { class: "slice-label", x, y: y + 4 }, label));
  }
  const ring = drawing("circle", { class: "chart-ring", r: 6, visibility: "hidden" });
  svg.append(ring);
  return {
    svg,
    point(mark) {
      ring.setAttribute("visibility", mark ? "visible" : "hidden");
      if (mark) for (const [name, value] of [["cx", mark.x], ["cy", mark.y]]) ring.setAttribute(name, value);
    },
  };
}

function drawAxis({ side, ticks, label, left, right, top, bottom }) {
  const axis = drawing("g", { class: `axis axis-${side}` });
  for (const { at, label: text } of ticks) {
    if (side === "left") {
      axis.append(drawing("line", { x1: left, x2: right, y1: at, y2: at }), drawing("text", { x: left - 6, y: at + 4 }, text));
    } else {
      axis.append(drawing("line", { x1: at, x2: at, y1: bottom, y2: bottom + 4 }), drawing("text", { x: at, y: bottom + 17 }, text));
    }
  }
  axis.append(side === "left"
    ? drawing("line", { class: "axis-line", x1: left, x2: left, y1: top, y2: bottom })
    : drawing("line", { class: "axis-line", x1: left, x2: right, y1: bottom, y2: bottom }));
  if (label) axis.append(axisTitle(side, label, { left, right, top, bottom }));
  return axis;
}

function axisTitle(side, label, { left, right, top, bottom }) {
  const middle = (top + bottom) / 2;
  const place = side === "left"
    ? { x: 11, y: middle, transform: `rotate(-90 11 ${middle})` }
    : { x: (left + right) / 2, y: bottom + 37 };
  return drawing("text", { class: "axis-title", ...place }, label.slice(0, 80));
}

const look = (series) => `series look-${series % LOOKS}`;
const dashes = (series) => (series < LOOKS ? null : ["6 3", "2 3", "8 3 2 3"][Math.floor(series / LOOKS - 1) % 3]);

const SHAPES = {
  path: ({ series, d }) => drawing("path", { class: `${look(series)} line`, d, "stroke-dasharray": dashes(series) }),
  bar: ({ series, x, y, width, height }) => drawing("rect", { class: look(series), x, y, width, height }),
  slice: ({ series, d }) => drawing("path", { class: `${look(series)} slice`, d }),
  dot: (shape) => drawDot(shape),
  box: drawBox,
};

/** Series are told apart by the form of their dots too. */
function drawDot({ series, x, y, small }) {
  const r = small ? 2.4 : 3.6, kind = `${look(series)} dot`;
  const form = series % 4;
  if (form === 1) return drawing("rect", { class: kind, x: x - r, y: y - r, width: 2 * r, height: 2 * r });
  if (form === 2) return drawing("path", { class: kind, d: `M${x} ${y - r * 1.3}l${r * 1.2} ${r * 2.2}h${-2.4 * r}Z` });
  if (form === 3) return drawing("path", { class: kind, d: `M${x} ${y - r * 1.4}l${r * 1.4} ${r * 1.4}l${-1.4 * r} ${r * 1.4}l${-1.4 * r} ${-1.4 * r}Z` });
  return drawing("circle", { class: kind, cx: x, cy: y, r });
}

function drawBox({ series, x, width, min, low, median, high, max }) {
  const cap = width / 4;
  const line = (x1, y1, x2, y2, className = "whisker") => drawing("line", { class: `${look(series)} ${className}`, x1, y1, x2, y2 });
  return drawing("g", {},
    line(x, min, x, low), line(x, high, x, max), line(x - cap, min, x + cap, min), line(x - cap, max, x + cap, max),
    drawing("rect", { class: `${look(series)} box`, x: x - width / 2, y: Math.min(low, high), width, height: Math.max(1, Math.abs(low - high)) }),
    line(x - width / 2, median, x + width / 2, median, "median"));
}

function drawLegend(entries, { kind, connected }) {
  const legend = make("ul", "legend");
  for (const { series, label } of entries.slice(0, LEGEND)) {
    const entry = make("li");
    const swatch = drawing("svg", SWATCH);
    if (kind === "points" && connected) swatch.append(SHAPES.path({ series, d: "M0 5H14" }));
    else if (kind === "points") swatch.append(drawDot({ series, x: 7, y: 5 }));
    else swatch.append(SHAPES.bar({ series, x: 0, y: 0, width: 12, height: 10 }));
    entry.append(swatch, label);
    legend.append(entry);
  }
  if (entries.length > LEGEND) legend.append(make("li", "hint", `${entries.length - LEGEND} more`));
  return legend;
}

// --- reading ---------------------------------------------------------------------------

/** Tell which mark is pointed at, or gone to by keys. */
function follow(svg, marks, tell) {
  let at = -1;
  const go = (index) => tell((at = index));
  svg.addEventListener("pointermove", ({ clientX, clientY }) => {
    const { left, top, width } = svg.getBoundingClientRect();
    const scale = svg.viewBox.baseVal.width / (width || 1);
    go(nearest(marks, (clientX - left) * scale, (clientY - top) * scale));
  });
  svg.addEventListener("pointerleave", () => document.activeElement !== svg && go(-1));
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity }[event.key];
    if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation(); // the page's own keys
    go(Math.max(0, Math.min(marks.length - 1, at + step)));
  });
  svg.addEventListener("blur", () => go(-1));
}

function drawTable(chart) {
  const { columns, rows, more } = tableOf(chart, readersOf(chart));
  const place = make("div", "data-table");
  const table = make("table"), head = make("tr");
  head.append(...columns.map((name) => make("th", "", name)));
  const body = make("tbody");
  for (const cells of rows) {
    const row = make("tr");
    row.append(...cells.map((cell, index) => make(index ? "td" : "th", "", cell)));
    body.append(row);
  }
  const top = make("thead");
  top.append(head);
  table.append(top, body);
  place.append(table);
  if (more > 0) place.append(make("p", "hint", `${more.toLocaleString("en")} more rows; the download has all of them.`));
  return place;
}

function readersOf({ x, y }) {
  const read = (axis) => {
    if (axis?.scale === "categorical") return (place) => axis.names[place] ?? "";
    return axis?.scale === "datetime" ? makeScale("datetime", 0, 1, 0, 1).read : readable;
  };
  return { x: read(x), y: read(y) };
}
