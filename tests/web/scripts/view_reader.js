async ({ load, equal, ok, settled }) => {
  const { makeReader } = await load("reader");
  const { makeScreen } = await load("terminal");

  const line = (seq, more = {}) => ({ seq, t: seq, line: seq - 1, stream: "stdout", task: 0, data: null, text: `${seq}\n`, ...more });
  const run = (first, last) => Array.from({ length: last - first + 1 }, (_, n) => line(first + n));

  /** A recording that grows; pages are given when they are let go. */
  function makeSource(stored) {
    const waiting = [];
    let holding = false;
    const kept = (filter) => (chunk) => !filter?.streams || filter.streams.includes(chunk.stream);
    function page(items, next) {
      const answer = { items, next, last_seq: stored.at(-1)?.seq ?? 0 };
      return holding ? new Promise((resolve) => waiting.push(() => resolve(answer))) : Promise.resolve(answer);
    }
    const source = {
      stored,
      asked: 0,
      hold() { holding = true; },
      async release() {
        holding = false;
        for (const go of waiting.splice(0)) go();
        await settled();
      },
      after(seq, limit, filter) {
        source.asked++;
        const items = stored.filter((chunk) => chunk.seq > seq).filter(kept(filter)).slice(0, limit);
        return page(items, items.length < limit ? null : items.at(-1).seq);
      },
      before(seq, limit, filter) {
        source.asked++;
        const items = stored.filter((chunk) => chunk.seq < seq).filter(kept(filter)).slice(-limit);
        return page(items, items.length < limit || items[0].seq === 1 ? null : items[0].seq);
      },
      line: (number, limit) => source.after(number - 1, limit),
    };
    return source;
  }

  function makeLog(count, bounds) {
    const source = makeSource(run(1, count));
    const reader = makeReader(source, () => makeScreen(), bounds);
    return { source, reader };
  }

  const seqs = (reader) => reader.model.rows.map(({ number }) => number);
  const first = (reader) => seqs(reader)[0];
  const last = (reader) => seqs(reader).at(-1);
  const whole = (reader) => seqs(reader).every((number, at) => number === first(reader) + at);
  const at = (count) => ({ seq: count, lines: count });

  return {
    "reader: it grows at both edges until all is there": async () => {
      const { source, reader } = makeLog(9000);
      reader.reset(at(9000), run(4000, 4100));
      ok(!reader.first && !reader.attached);
      while (await reader.earlier(() => 100)) ok(whole(reader));
      while (await reader.later()) ok(whole(reader));
      equal([first(reader), last(reader), reader.first, reader.attached], [1, 9000, true, true]);
      ok(source.asked < 30, source.asked);
    },

    "reader: live output goes on behind what is held": async () => {
      const { reader } = makeLog(10);
      reader.reset(at(10), run(1, 10));
      const { lines } = reader.append(run(8, 12), true);
      equal([lines, last(reader), reader.end], [2, 12, at(12)]);
    },

    "reader: what is elsewhere is not drawn, but counted": async () => {
      const { source, reader } = makeLog(5000);
      reader.reset(at(5000), run(1, 100));
      source.stored.push(...run(5001, 5010));
      equal([reader.append(run(5001, 5010), false).lines, last(reader), reader.attached], [10, 100, false]);
      await reader.toTail();
      equal([last(reader), reader.attached], [5010, true]);
    },

    "reader: a line that goes on in the next page is to be drawn again": async () => {
      const { source, reader } = makeLog(0);
      source.stored.push(line(1, { text: "a\nb" }), line(2, { line: 1, text: "egins\n" }));
      reader.reset({ seq: 2, lines: 2 }, source.stored.slice(0, 1));
      equal(reader.takeRewritten().size, 0);
      await reader.later();
      equal([...reader.takeRewritten()].map(({ text }) => text), ["begins"]);
      equal(reader.takeRewritten().size, 0);
    },

    "reader: what arrives while a page is loaded is not lost": async () => {
      const { source, reader } = makeLog(5000);
      reader.reset(at(5000), run(1, 100));
      source.hold();
      const tail = reader.toTail();
      source.stored.push(...run(5001, 5020));
      reader.append(run(5001, 5010), false);
      reader.append(run(5011, 5020), false);
      await source.release();
      await tail;
      equal([last(reader), reader.attached, whole(reader)], [5020, true, true]);
    },

    "reader: the newest jump wins": async () => {
      const { source, reader } = makeLog(50_000);
      reader.reset(at(50_000), run(1, 100));
      source.hold();
      const slow = reader.toLine(20_000);
      const quick = reader.toLine(40_000);
      await source.release();
      equal([await slow, await quick, first(reader)], [false, true, 40_000]);
    },

    "reader: in a replay nothing behind the position is loaded": async () => {
      const { reader } = makeLog(5000);
      reader.reset(at(50), run(40, 50));
      ok(!(await reader.later()));
      await reader.toLine(45);
      equal([first(reader), last(reader), reader.attached], [45, 50, true]);
      reader.append(run(51, 52), true);
      equal(last(reader), 52);
    },

    "reader: of a flood only the end is held": async () => {
      const { reader } = makeLog(0);
      reader.reset(at(0), []);
      reader.append(run(1, 60_000), true);
      ok(reader.model.rows.length < 3000, reader.model.rows.length);
      equal([last(reader), reader.attached, reader.first], [60_000, true, false]);
    },

    "reader: it stays within its bounds": async () => {
      const { reader } = makeLog(30_000, { mostRows: 5000, mostText: 10_000_000 });
      reader.reset(at(30_000), run(1, 100));
      while (await reader.later()) {
        reader.trim(reader.model.rows.length - 100);
        ok(reader.model.rows.length <= 5000 * 1.25 + 1500 && whole(reader));
      }
      while (await reader.earlier(() => 100)) ok(reader.model.rows.length <= 7000 && whole(reader), reader.model.rows.length);
      equal([first(reader), reader.first, reader.attached], [1, true, false]);
    },

    "reader: a filter holds for what is loaded and what arrives": async () => {
      const { source, reader } = makeLog(0);
      source.stored.push(...Array.from({ length: 3000 }, (_, n) => line(n + 1, { stream: n % 3 ? "stdout" : "stderr" })));
      reader.reset(at(3000), source.stored.slice(1500, 1600));
      reader.setFilter({ streams: new Set(["stderr"]), task: null });
      await reader.toSeq(1501);
      while (await reader.earlier(() => 10));
      while (await reader.later());
      equal([seqs(reader).length, reader.first, reader.attached], [1000, true, true]);
      const { lines } = reader.append([line(3001), line(3002, { stream: "stderr" })], true);
      equal([lines, last(reader)], [1, 3002]);
    },

    "reader: a page that fails leaves all as it was": async () => {
      const { source, reader } = makeLog(100);
      reader.reset(at(100), run(50, 60));
      source.before = async () => { throw new Error("Log in again."); };
      let told = null;
      await reader.earlier(() => 10).catch((error) => { told = error.message; });
      equal([told, first(reader), reader.first], ["Log in again.", 50, false]);
    },
  };
}
