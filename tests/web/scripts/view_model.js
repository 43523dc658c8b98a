async ({ load, equal, ok }) => {
  const { makeGeometry, ROW, TALLEST } = await load("geometry");
  const { makeModel, endOf, lastLines } = await load("model");
  const { makeScreen } = await load("terminal");
  const { hashOf, linesOf } = await load("links");
  const { gathered } = await load("gathered");

  /** Chunks of so many lines each; "n" is line n. */
  function log(count, lines = 10) {
    return Array.from({ length: count }, (_, at) => ({
      seq: at + 1, t: at, line: at * lines, stream: "stdout", task: 0, data: null,
      text: Array.from({ length: lines }, (_, n) => `${at * lines + n + 1}\n`).join(""),
    }));
  }

  const texts = (model) => model.rows.map(({ text }) => Number(text));
  const run = (first, last) => Array.from({ length: last - first + 1 }, (_, n) => first + n);
  const rowsOf = (numbers) => numbers.map((number) => ({ number, height: ROW }));

  return {
    "geometry: rows lie where their lines do": () => {
      const geometry = makeGeometry(({ height }) => height);
      geometry.lay(rowsOf(run(101, 110)), 100, 890);
      equal([geometry.top(0), geometry.loadedEnd, geometry.height], [2000, 2200, 20_000]);
      equal([2000, 2039, 2199, 0, 9999].map(geometry.indexAt), [0, 1, 9, 0, 9]);
      equal([0, 50, 1999, 2200, 19_999].map((y) => geometry.lineAt(y).number), [1, 3, 100, 111, 1000]);
      equal(geometry.lineAt(50).rest, 10);
    },

    "geometry: a height that was measured moves what is below": () => {
      const geometry = makeGeometry(({ height }) => height);
      const rows = rowsOf(run(1, 3));
      rows[0].height = 100;
      geometry.lay(rows, 0, 0);
      equal([geometry.top(1), geometry.height, geometry.indexAt(99), geometry.indexAt(100)], [100, 140, 0, 1]);
    },

    "geometry: more lines than can be drawn are drawn smaller": () => {
      const geometry = makeGeometry(({ height }) => height);
      geometry.lay(rowsOf(run(5_000_001, 5_000_010)), 5_000_000, 5_000_000);
      ok(Math.abs(geometry.height - TALLEST) < 1);
      for (const number of [1, 123_456, 4_999_999, 5_000_011, 9_999_999]) {
        const y = number <= 5_000_000
          ? ((number - 1) / 5_000_000) * geometry.above
          : geometry.loadedEnd + ((number - 5_000_011) / 5_000_000) * geometry.below;
        ok(Math.abs(geometry.lineAt(y).number - number) <= 1, `${number} is ${geometry.lineAt(y).number}`);
      }
    },

    "model: chunks in front make the rows anew, with lines that began in them": () => {
      const model = makeModel(() => makeScreen());
      const chunks = log(4);
      chunks[1].text = chunks[1].text.slice(0, -1);
      chunks[2].text = `\n${chunks[2].text}`;
      model.reset(chunks.slice(2));
      equal(texts(model), [0, ...run(21, 40)]);
      model.prepend(chunks.slice(0, 2), 20);
      equal(texts(model), run(1, 40));
    },

    "model: what is far away goes, what is looked at stays": () => {
      const model = makeModel(() => makeScreen(), { mostRows: 100 });
      const chunks = log(30);
      model.reset(chunks.slice(0, 5));
      model.append(chunks.slice(5));
      ok(model.trim(295));
      equal(texts(model), run(201, 300));
      ok(!model.trim(99), "trimmed within bounds");
      model.prepend(chunks.slice(0, 20), 5);
      equal([texts(model).at(0), texts(model).at(-1), model.rows.length], [1, 210, 210]);
      model.prepend([], 5);
      equal(texts(model), run(1, 100));
    },

    "model: a line without end outlives the chunks it began in": () => {
      const model = makeModel(() => makeScreen(), { mostText: 10_000 });
      for (let seq = 1; seq <= 50; seq++) {
        model.append([{ seq, t: 0, line: 0, stream: "stdout", task: 0, data: null, text: "x".repeat(1000) }]);
        model.trim(model.rows.length);
      }
      equal(model.rows.length, 1);
      equal(model.rows[0].text.length + model.rows[0].more, 50_000);
      ok(model.chunks.length < 15, model.chunks.length);
    },

    "model: where a log ends": () => {
      equal([endOf(log(3)), endOf([])], [{ seq: 3, lines: 30 }, { seq: 0, lines: 0 }]);
      equal(lastLines(log(9), 25).map(({ seq }) => seq), [7, 8, 9]);
    },

    "links: lines and ranges": () => {
      equal(["#L120", "#L120-L130", "#L130-120", "#L0", "#L", "#x"].map(linesOf), [
        { from: 120, to: 120 }, { from: 120, to: 130 }, { from: 120, to: 130 }, null, null, null,
      ]);
      equal([{ from: 1, to: 1 }, { from: 1, to: 3 }].map(hashOf), ["#L1", "#L1-L3"]);
    },

    "gathered: at once, then together": () => {
      const calls = [], timers = [];
      const tell = gathered(100, (items) => calls.push(items), { setTimeout: (call) => timers.push(call) });
      tell([1]);
      tell([2]);
      tell([3]);
      equal(calls, [[1]]);
      timers.shift()();
      equal(calls, [[1], [2, 3]]);
      timers.shift()();
      equal([calls.length, timers.length], [2, 0]);
      tell([4]);
      equal(calls.at(-1), [4]);
    },
  };
}
