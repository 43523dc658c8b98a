async ({ load, equal, ok }) => {
  const { POINTS, chartData, makeSeries, makeStretches, sparkline } = await load("series");
  const { chartOf } = await load("charts");
  let seq = 0;
  const tell = (data, t = seq) => ({ seq: ++seq, t, line: seq, stream: "event", task: 0, text: "", data });
  const metrics = (data) => tell({ type: "metrics", data });
  function seriesOf(chunks) {
    const series = makeSeries();
    series.take(chunks);
    return series;
  }

  return {
    "numbers told again and again, over their step": () => {
      const [loss] = seriesOf([3, 2, 5].map((loss, step) => metrics({ loss, step }))).shown;
      equal([loss.type, loss.name, loss.over, loss.last, loss.min, loss.max, loss.count], ["metrics", "loss", "step", 5, 2, 5, 3]);
      equal(loss.points.map(({ x, y }) => [x, y]), [[0, 3], [1, 2], [2, 5]]);
    },
    "without a step over time, one level down by its name": () => {
      const [memory] = seriesOf([1, 2, 3].map((n) => tell({ type: "gpu", use: { memory: n } }, n * 10))).shown;
      equal([memory.name, memory.over, memory.points[1].x], ["use.memory", "seconds", 20]);
    },
    "no series: progress, stages, what is told twice, what is no number": () => {
      const series = seriesOf([1, 2, 3].flatMap((n) => [
        tell({ type: "progress", data: { percent: n, current: n, total: 3 } }),
        tell({ stage: "a", status: "running", rows: n }),
        metrics({ same: 5, name: "x", yes: true, none: null, list: [n] }),
      ]).concat([metrics({ rare: 1 }), metrics({ rare: 2 })]));
      equal(series.shown, []);
    },
    "each type and each task by itself": () => {
      const chunks = [1, 2, 3].flatMap((n) => [metrics({ a: n }), tell({ type: "other", data: { a: n } }), { ...metrics({ a: n }), task: 2 }]);
      equal(seriesOf(chunks).shown.map(({ type, task }) => [type, task]), [["metrics", 0], ["other", 0], ["metrics", 2]]);
    },
    "a million values in bounded memory, their peaks kept": () => {
      const stretches = makeStretches();
      for (let n = 0; n < 1_000_000; n++) stretches.add({ seq: n, x: n, y: n === 123_456 ? 99 : n === 800_001 ? -99 : Math.sin(n / 1e5) });
      const { points } = stretches;
      ok(points.length <= POINTS + 1 && points.length > POINTS / 4, "the number");
      ok(points.some(({ y }) => y === 99) && points.some(({ y }) => y === -99), "the peaks");
      equal(points.at(-1).x, 999_999);
      ok(points.every(({ seq }, index) => index === 0 || seq > points[index - 1].seq), "the order");
      const gaps = points.slice(1).map(({ x }, index) => x - points[index].x);
      ok(Math.max(...gaps) < 20_000, "no part of it is left out");
    },
    "very many names": () => {
      const fields = Object.fromEntries(Array.from({ length: 5000 }, (_, n) => [`f${n}`, n]));
      const series = seriesOf([1, 2, 3].map((n) => metrics(Object.fromEntries(Object.keys(fields).map((name) => [name, n])))));
      equal([series.shown.length, series.more], [24, 176]);
    },
    "a small picture and a chart of it": () => {
      equal(sparkline([{ x: 0, y: 0 }, { x: 1, y: 1 }], 10, 20), "M0.0 20.0L10.0 0.0");
      equal(sparkline([{ x: 5, y: 5 }], 10, 20), "M5.0 10.0");
      const [loss] = seriesOf([1, 2, 3].map((loss) => metrics({ loss }))).shown;
      equal(chartOf(chartData(loss)).series[0].points.length, 3);
    },
  };
}
