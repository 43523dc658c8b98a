// seriesview.js - draws the numbers that events tell: a row each, its chart a click away.

import { drawChart } from "./chartview.js";
import { drawing, make } from "./elements.js";
import { readable } from "./scales.js";
import { chartData, makeSeries, sparkline } from "./series.js";

const WIDTH = 132, HEIGHT = 22;
const PAUSE_MS = 250;

/**
 * @param {HTMLDetailsElement} fold  hidden while there is nothing to show
 * @returns {{take: (chunks: object[]) => void}}
 */
export function mountSeries(fold, env = browser) {
  const series = makeSeries();
  const summary = make("summary"), place = make("div", "series-rows");
  const rows = new Map();
  let due = false;
  fold.classList.add("series-fold");
  fold.hidden = true;
  fold.append(summary, place);
  fold.addEventListener("toggle", draw);

  function schedule() {
    if (due) return;
    due = true;
    env.setTimeout(() => {
      due = false;
      draw();
    }, PAUSE_MS);
  }

  function draw() {
    const { shown, more } = series;
    fold.hidden = shown.length === 0;
    if (!shown.length) return;
    summary.textContent = `Numbers: ${shown.slice(0, 4).map(({ name, last }) => `${name} ${readable(last)}`).join(" · ")}${shown.length > 4 ? ` and ${shown.length - 4 + more} more` : ""}`;
    if (fold.open) for (const each of shown) drawRow(each);
  }

  function drawRow(each) {
    if (!rows.has(each.key)) {
      rows.set(each.key, seriesRow(each));
      place.append(rows.get(each.key).element);
    }
    rows.get(each.key).show(each);
  }

  return {
    take(chunks) {
      series.take(chunks);
      if (series.shown.length) schedule();
    },
  };
}

function seriesRow({ type, name, task }) {
  const element = make("details", "series-row"), line = make("summary");
  const title = make("span", "series-name", task ? `${type} · ${name} · task ${task}` : `${type} · ${name}`);
  const path = drawing("path", { class: "line series look-0" });
  const picture = drawing("svg", { width: WIDTH, height: HEIGHT, viewBox: `-1 -2 ${WIDTH + 2} ${HEIGHT + 4}`, "aria-hidden": "true" }, path);
  const told = Object.fromEntries(["last", "min", "max", "count"].map((field) => [field, make("span", "series-value")]));
  let drawn = 0, latest;
  line.append(title, picture, ...Object.values(told));
  element.append(line);
  element.addEventListener("toggle", chart);

  function chart() {
    if (!element.open || drawn === latest.count) return;
    drawn = latest.count;
    element.querySelector(".chart")?.remove();
    const figure = drawChart(chartData(latest));
    if (figure) element.append(figure);
  }

  return {
    element,
    show(each) {
      latest = each;
      path.setAttribute("d", sparkline(each.points, WIDTH, HEIGHT));
      for (const field of ["last", "min", "max"]) told[field].textContent = `${field} ${readable(each[field])}`;
      told.count.textContent = `${each.count.toLocaleString("en")} values`;
      // A chart that is being read stays as it is.
      if (!element.contains(document.activeElement)) chart();
    },
  };
}

const browser = { setTimeout: (...args) => setTimeout(...args) };
