async ({ load, equal, ok }) => {
  const { chartOf, tableOf } = await load("charts");
  const { planOf, nearest, thinned } = await load("chartplan");

  // What E2B's extractor makes of matplotlib's figures, cut short.
  const REAL = {
    line: {"type": "line", "title": "Waves", "elements": [{"label": "sin(x)", "points": [[0.0, 0.0], [0.1, 0.1], [0.2, 0.199]]}, {"label": "cos(x)", "points": [[0.0, 1.0], [0.1, 0.995], [0.2, 0.98]]}], "x_label": "Time (s)", "y_label": "Amplitude (Hz)", "x_unit": "s", "y_unit": "Hz", "x_ticks": [-2.0, 0.0, 2.0], "x_tick_labels": ["\u22122", "0", "2"], "x_scale": "linear", "y_ticks": [-1.25, -1.0, -0.75], "y_tick_labels": ["\u22121.25", "\u22121.00", "\u22120.75"], "y_scale": "linear"},
    line_dates: {"type": "line", "title": "Visits", "elements": [{"label": "visits", "points": [["2023-09-01", 10.0], ["2023-09-02", 11.125], ["2023-09-03", 12.25]]}], "x_label": "Day", "y_label": "Visits", "x_unit": null, "y_unit": null, "x_ticks": ["2023-09-01T00:00:00+00:00", "2023-09-08T00:00:00+00:00", "2023-09-15T00:00:00+00:00"], "x_tick_labels": ["2023-09-01", "2023-09-08", "2023-09-15"], "x_scale": "datetime", "y_ticks": [8.0, 10.0, 12.0], "y_tick_labels": ["8", "10", "12"], "y_scale": "linear"},
    line_log: {"type": "line", "title": "Loss", "elements": [{"label": "loss", "points": [[1.0, 0.9], [10.0, 0.31], [100.0, 0.08]]}], "x_label": "step", "y_label": "loss", "x_unit": null, "y_unit": null, "x_ticks": [0.1, 1.0, 10.0], "x_tick_labels": ["$\\mathdefault{10^{-1}}$", "$\\mathdefault{10^{0}}$", "$\\mathdefault{10^{1}}$"], "x_scale": "log", "y_ticks": [0.001, 0.01, 0.1], "y_tick_labels": ["$\\mathdefault{10^{-3}}$", "$\\mathdefault{10^{-2}}$", "$\\mathdefault{10^{-1}}$"], "y_scale": "log"},
    scatter: {"type": "scatter", "title": "Clusters", "elements": [{"label": "Dataset a", "points": [[0.346, 0.054], [0.822, 0.273], [0.33, -0.982]]}, {"label": "Dataset b", "points": [[1.524, 0.493], [-1.525, 0.161], [-2.466, -0.932]]}], "x_label": "A", "y_label": "B", "x_unit": null, "y_unit": null, "x_ticks": [-3.0, -2.0, -1.0], "x_tick_labels": ["\u22123", "\u22122", "\u22121"], "x_scale": "linear", "y_ticks": [-3.0, -2.0, -1.0], "y_tick_labels": ["\u22123", "\u22122", "\u22121"], "y_scale": "linear"},
    bar: {"type": "bar", "title": "Book sales", "elements": [{"label": "Ann", "group": "Books", "value": 100.0}, {"label": "Ben", "group": "Books", "value": 200.0}, {"label": "Cy", "group": "Books", "value": 300.0}, {"label": "Di", "group": "Books", "value": 150.0}], "x_label": "Authors", "y_label": "Number of books", "x_unit": null, "y_unit": null},
    bar_grouped: {"type": "bar", "title": "Grouped", "elements": [{"label": "north", "group": "2023", "value": 1.0}, {"label": "south", "group": "2023", "value": 2.0}, {"label": "west", "group": "2023", "value": 3.0}, {"label": "north", "group": "2024", "value": 2.0}, {"label": "south", "group": "2024", "value": 1.0}, {"label": "west", "group": "2024", "value": 4.0}], "x_label": null, "y_label": "t", "x_unit": null, "y_unit": null},
    pie: {"type": "pie", "title": "Will I wake up early", "elements": [{"label": "Step 1", "angle": 36.0, "radius": 1.0}, {"label": "Step 2", "angle": 72.0, "radius": 1.0}, {"label": "Step 3", "angle": 108.0, "radius": 1.0}, {"label": "Step 4", "angle": 144.0, "radius": 1.0}]},
    box_and_whisker: {"type": "box_and_whisker", "title": "Exam scores", "elements": [{"label": "A", "min": -1.46, "first_quartile": 0.27, "median": 0.95, "third_quartile": 1.45, "max": 2.81, "outliers": []}, {"label": "B", "min": 0.72, "first_quartile": 2.37, "median": 2.89, "third_quartile": 3.57, "max": 4.6, "outliers": [9.0]}, {"label": "C", "min": 2.72, "first_quartile": 4.28, "median": 5.12, "third_quartile": 5.77, "max": 7.12, "outliers": [11.0]}], "x_label": "Class", "y_label": "Score", "x_unit": null, "y_unit": null},
    superchart: {"type": "superchart", "title": "Two", "elements": [{"type": "line", "title": "Squares", "elements": [{"label": "sq", "points": [[1.0, 1.0], [2.0, 4.0], [3.0, 9.0]]}], "x_label": null, "y_label": null, "x_unit": null, "y_unit": null, "x_ticks": [0.5, 1.0, 1.5], "x_tick_labels": ["0.5", "1.0", "1.5"], "x_scale": "linear", "y_ticks": [0.0, 1.0, 2.0], "y_tick_labels": ["0", "1", "2"], "y_scale": "linear"}, {"type": "bar", "title": "Bars", "elements": [{"label": "x", "group": "Group 0", "value": 3.0}, {"label": "y", "group": "Group 0", "value": 4.0}], "x_label": null, "y_label": null, "x_unit": null, "y_unit": null}]},
  };

  const text = { x: String, y: String };
  const line = (points, more = {}) => ({ type: "line", title: "t", elements: [{ label: "a", points }], ...more });
  const numbers = (value) => JSON.stringify(value, (_, part) => (typeof part === "number" && !Number.isFinite(part) ? "BAD" : part));

  /** Whatever is given, nothing throws and no place is NaN. */
  function drawable(given, width = 600) {
    const chart = chartOf(given);
    if (chart === null) return null;
    const parts = chart.kind === "several" ? chart.charts : [chart];
    for (const part of parts) {
      const plan = planOf(part, width);
      ok(!numbers(plan).includes("BAD") && !numbers(plan).includes("NaN"), "every place is a number");
      tableOf(part, text);
    }
    return chart;
  }

  const kinds = Object.fromEntries(Object.entries(REAL).map(([name, given]) => [name, given]));

  return {
    "every real chart can be drawn, wide and narrow": () => {
      for (const given of Object.values(kinds)) {
        ok(drawable(given, 720), "it");
        ok(drawable(given, 260), "it");
      }
    },
    "lines: points, axes with units, a legend": () => {
      const plan = planOf(chartOf(REAL.line), 600);
      equal(plan.axes.map(({ label }) => label), ["Amplitude (Hz)", "Time (s)"]);
      equal(plan.legend.map(({ label }) => label), ["sin(x)", "cos(x)"]);
      equal(plan.marks[0].text, "sin(x) · Time (s) 0 s · Amplitude (Hz) 0 Hz");
      equal(plan.shapes.filter(({ kind }) => kind === "path").length, 2);
    },
    "dates lie on an axis of days": () => {
      const chart = chartOf(REAL.line_dates);
      equal(chart.x.scale, "datetime");
      ok(planOf(chart, 600).marks[1].text.includes("2023-09-02"), "the day");
    },
    "logarithms: equal steps for equal factors": () => {
      const [a, b, c] = planOf(chartOf(REAL.line_log), 600).marks;
      ok(Math.abs((b.x - a.x) - (c.x - b.x)) < 0.01, "the distance");
      equal(planOf(chartOf(line([[1, 0], [1, -1], [1, 5]], { y_scale: "log" })), 600).marks.length, 1);
    },
    "bars stand on zero, in groups": () => {
      const plan = planOf(chartOf(REAL.bar_grouped), 600);
      equal(plan.shapes.length, 6);
      equal(new Set(plan.shapes.map(({ y, height }) => Math.round(y + height))).size, 1);
      equal(plan.marks[1].text, "north, 2024: 2");
      const below = planOf(chartOf({ type: "bar", elements: [{ label: "a", value: -1 }, { label: "b", value: 1 }] }), 600);
      equal(Math.round(below.shapes[0].y), Math.round(below.shapes[1].y + below.shapes[1].height));
    },
    "a pie's shares": () => {
      equal(planOf(chartOf(REAL.pie), 600).marks.map(({ text }) => text), ["Step 1: 10 %", "Step 2: 20 %", "Step 3: 30 %", "Step 4: 40 %"]);
      equal(chartOf({ type: "pie", elements: [{ label: "a", angle: 90 }] }).slices[0].share, 0.25);
      ok(drawable({ type: "pie", elements: [{ label: "all", angle: 360 }] }), "a whole circle");
    },
    "boxes tell their five numbers": () => {
      ok(planOf(chartOf(REAL.box_and_whisker), 600).marks[1].text.startsWith("B: median 2.89, half lies from 2.37 to 3.57"), "it");
    },
    "several charts, and no deeper than that": () => {
      equal(chartOf(REAL.superchart).charts.map(({ kind }) => kind), ["points", "bars"]);
      let nested = REAL.pie;
      for (let depth = 0; depth < 50; depth++) nested = { type: "superchart", elements: [nested] };
      equal(chartOf(nested), null);
    },
    "the same data as a table": () => {
      equal(tableOf(chartOf(REAL.bar), text).rows[1], ["Ben", "200"]);
      const { columns, rows, more } = tableOf(chartOf(line(Array.from({ length: 700 }, (_, n) => [n, n]))), text);
      equal([columns, rows.length, more], [["", "x", "y"], 500, 200]);
    },

    "names on an axis": () => {
      const chart = drawable(line([["a", 1], ["b", 2], ["a", 3]], { x_scale: "categorical", x_tick_labels: ["a", "b"] }));
      equal([chart.x.names, chart.series[0].points], [["a", "b"], [[0, 1], [1, 2], [0, 3]]]);
      ok(drawable(line([[1, "low"], [2, "high"]], { y_scale: "linear" })), "names upwards");
    },
    "numbers in strings are numbers, what is none is counted": () => {
      const chart = drawable(line([["1", "2"], [null, 3], [2, "NaN"], [3, { a: 1 }], "x", [4], [5, 6]]));
      equal([chart.series[0].points, chart.dropped], [[[1, 2], null, null, null, [5, 6]], 3]);
    },
    "a gap in the data is a gap in the line": () => {
      const [path] = planOf(chartOf(line([[0, 0], [1, null], [2, 2], [3, 3]])), 600).shapes;
      equal(path.d.match(/M/g).length, 2);
    },
    "a hundred thousand points become few, and keep their peaks": () => {
      const points = Array.from({ length: 100_000 }, (_, n) => [n, n === 50_123 ? 999 : Math.sin(n)]);
      const kept = thinned(points, true);
      ok(kept.length <= 2_100 && kept.some(([, y]) => y === 999), "it");
      ok(thinned(points, false).length <= 2_000, "it");
      ok(drawable(line(points)), "it");
      ok(drawable({ type: "scatter", elements: [{ points }] }), "it");
    },
    "a hundred thousand bars and slices": () => {
      const elements = Array.from({ length: 100_000 }, (_, n) => ({ label: `${n}`, group: `${n % 90}`, value: n, angle: 1, median: n }));
      for (const type of ["bar", "pie", "box_and_whisker"]) {
        ok(planOf(drawable({ type, elements }), 600).shapes.length <= 8_000, type);
      }
    },
    "bad data never throws": () => {
      const values = [null, undefined, 1, "x", [], {}, { type: "line" }, { type: "__proto__", elements: [] }, { type: 7, elements: {} },
        { type: "line", elements: [{ points: null }, null, 3] }, { type: "bar", elements: [{}] }, { type: "bar", elements: "x" },
        { type: "pie", elements: [{ angle: "x" }, { angle: -1 }, { angle: 0 }] }, { type: "box_and_whisker", elements: [{ median: {} }] },
        { type: "superchart", elements: [null, {}, { type: "superchart" }] }, { type: "unknown", elements: [] }];
      equal(values.map((value) => drawable(value)), values.map(() => null));
    },
    "extreme values": () => {
      for (const points of [[[0, 0]], [[5, 5], [5, 5]], [[1e308, -1e308], [-1e308, 1e308]], [[1e149, 1], [-1e149, 2]], [[1e-300, 1e-300], [2e-300, 0]],
        [[1e15, 1e15 + 1], [1e15, 1e15]], [[-0, 0], [Number.MIN_VALUE, 1]]]) {
        for (const scale of ["linear", "log", "symlog", "asinh", "logit", "functionlog", "datetime", "categorical", "unknown", 7]) {
          drawable(line(points, { x_scale: scale, y_scale: scale }));
        }
      }
    },
    "hidden characters are shown by number": () => {
      ok(chartOf({ ...REAL.pie, title: "a\u202eb" }).title === "a‹U+202E›b", "it");
    },
    "the nearest mark": () => {
      equal(nearest([{ x: 0, y: 0 }, { x: 10, y: 0 }, { x: 10, y: 90 }], 9, 80), 2);
      equal(nearest([], 1, 1), -1);
    },
  };
}
