async ({ load, equal, ok }) => {
  const { recordedSource } = await load("recorded");
  const answer = (body, status = 200) => ({ ok: status < 300, status, json: async () => body });
  const page = (items, next = null) => answer({ items, last_seq: 9, next, status: "running" });

  /** A source whose calls are written down and answered in turn. */
  function asked(...answers) {
    const calls = [];
    const source = recordedSource(async (query, call) => {
      calls.push(`${call}?${query}`);
      return answers.length > 1 ? answers.shift() : answers[0];
    });
    return { source, calls };
  }

  return {
    "pages by place": async () => {
      const { source, calls } = asked(page([1]));
      await source.after(41, 100);
      await source.before(7, 5, {});
      await source.at(12.5, 1000, { streams: new Set(["stderr", "event"]), task: 0 });
      await source.line(120, 10, { task: null });
      equal(calls, [
        "chunks?after=41&limit=100",
        "chunks?before=7&limit=5",
        "chunks?at=12.5&limit=1000&stream=stderr%2Cevent&task=0",
        "chunks?line=120&limit=10",
      ]);
    },
    "a filtered page goes on until something fits": async () => {
      const forward = asked(page([], 50), page([], 100), page([{ seq: 120 }], 120));
      const found = await forward.source.line(3, 10, { streams: ["stdout"] });
      equal(found.items, [{ seq: 120 }]);
      equal(forward.calls.slice(1), ["chunks?after=50&limit=10&stream=stdout", "chunks?after=100&limit=10&stream=stdout"]);
      const back = asked(page([], 50), page([{ seq: 3 }], 3));
      await back.source.before(99, 10, { task: 2 });
      equal(back.calls[1], "chunks?before=50&limit=10&task=2");
    },
    "a filtered page ends where nothing fits": async () => {
      const { source, calls } = asked(page([], 50), page([]));
      equal((await source.after(0, 10, { task: 2 })).next, null);
      equal(calls.length, 2);
    },
    "no stream at all asks for none": async () => {
      const { source, calls } = asked(page([{ seq: 1 }]));
      equal(await source.after(0, 10, { streams: new Set() }), { items: [], last_seq: 9, next: null, status: "running" });
      ok(!calls[0].includes("after=0"), calls[0]);
    },
    "the other calls": async () => {
      const { source, calls } = asked(answer({ items: [] }));
      await source.outline();
      await source.marks(7);
      await source.search("50% & more", { before: 9, matchCase: true, streams: ["stderr"], task: 1, limit: 5 });
      await source.search("^a+$", { regex: true, streams: null, task: null });
      equal(calls, [
        "outline?buckets=200",
        "marks?after=7",
        "search?q=50%25+%26+more&stream=stderr&task=1&before=9&case=1&limit=5",
        "search?q=%5Ea%2B%24&after=0&regex=1",
      ]);
    },
    "where a hit is, as strings count here": async () => {
      const items = [{ text: "😀 é hit", start: 4, end: 7 }, { text: "a hit", start: 2, end: 5 }];
      const { source } = asked(answer({ items, next: null, examined: 1 }));
      const page = await source.search("hit");
      equal(page.items.map(({ text, start, end }) => text.slice(start, end)), ["hit", "hit"]);
    },
    "an error is the server's sentence": async () => {
      const refused = asked(answer({ error: { message: "Log in again." } }, 401));
      const broken = asked({ ok: false, status: 502, json: async () => JSON.parse("<") });
      const said = async ({ source }) => source.after(0, 1).then(() => "", (error) => error.message);
      equal(await said(refused), "Log in again.");
      ok((await said(broken)).includes("502"));
    },
  };
}
