async ({ load, equal, ok, makeClock, settled }) => {
  const { countText, makeFinding, queryOf, withQuery } = await load("finding");

  const hit = (line, seq = line) => ({ seq, line, text: `line ${line}`, start: 0, end: 4 });

  /** A log of `size` chunks with a hit in some; pages of `step` chunks; each call waits for answer(). */
  function makeLog(lines, size, step = 10) {
    const calls = [], waiting = [];
    let last = size;
    const log = {
      calls,
      grow: (to) => (last = to),
      answer: async () => {
        waiting.shift()?.();
        await settled();
      },
      async search(q, { after, signal }) {
        calls.push(after);
        const upTo = Math.min(last, after + step);
        await new Promise((resolve) => waiting.push(resolve));
        if (signal.aborted) throw new DOMException("aborted", "AbortError");
        if (q === "bad") throw new Error("This pattern is not understood.");
        const items = lines.filter((line) => line > after && line <= upTo).map((line) => hit(line));
        return { items, examined: upTo, next: upTo < last ? upTo : null };
      },
      async answerAll() {
        while (waiting.length) await log.answer();
      },
    };
    return log;
  }

  function finding(log, most) {
    const went = [], failures = [], texts = [], clock = makeClock();
    const it = makeFinding(log.search, {
      changed: () => texts.push(countText(it)),
      went: ({ line }) => went.push(line),
      failed: (error) => failures.push(error.message),
    }, clock, most);
    return { it, went, failures, texts, clock };
  }

  return {
    "from where the reader is to the end, then from the start to there": async () => {
      const log = makeLog([3, 12, 25, 38], 40);
      const { it, went, texts } = finding(log);
      it.start({ q: "x" }, { seq: 21, line: 21 });
      await settled();
      equal(texts.at(-1), "Searching…");
      await log.answer();
      equal([went, texts.at(-1)], [[25], "1 of 1, searching…"]);
      await log.answerAll();
      equal(log.calls, [20, 30, 0, 10]);
      equal(it.hits.map(({ line }) => line), [3, 12, 25, 38]);
      equal([went, texts.at(-1)], [[25], "3 of 4"]);
    },
    "next and previous go round": async () => {
      const log = makeLog([3, 12, 25], 30);
      const { it, went } = finding(log);
      it.start({ q: "x" });
      await settled();
      await log.answerAll();
      it.next(), it.next(), it.next(), it.previous(), it.previous();
      equal(went, [3, 12, 25, 3, 25, 12]);
    },
    "a link to a line makes the hit there the current one": async () => {
      const log = makeLog([3, 12, 25], 30);
      const { it, went } = finding(log);
      it.start({ q: "x" }, { line: 12 });
      await settled();
      await log.answer();
      equal(went, []);
      await log.answerAll();
      equal([went, it.index], [[12], 1]);
    },
    "where nothing follows the reader the first hit of the log is": async () => {
      const log = makeLog([3, 12], 40);
      const { it, went } = finding(log);
      it.start({ q: "x" }, { seq: 39, line: 39 });
      await settled();
      await log.answerAll();
      equal([went, it.hits.length], [[3], 2]);
    },
    "nothing is found": async () => {
      const log = makeLog([], 5);
      const { it, went, texts } = finding(log);
      it.start({ q: "x" });
      await settled();
      await log.answerAll();
      it.next();
      it.previous();
      equal([went, texts.at(-1)], [[], "No line has it"]);
    },
    "another search ends the one before": async () => {
      const log = makeLog([3], 40);
      const { it, failures } = finding(log);
      it.start({ q: "one" });
      await settled();
      it.start({ q: "two" });
      await settled();
      await log.answerAll();
      equal([failures, it.hits.length, it.query.q], [[], 1, "two"]);
      it.start({ q: "" });
      equal([it.hits.length, it.query, countText(it)], [0, null, ""]);
    },
    "what is printed meanwhile is searched when it has come": async () => {
      const log = makeLog([3, 12, 18], 10);
      const { it, clock, went } = finding(log);
      it.start({ q: "x" });
      await settled();
      await log.answerAll();
      it.arrived(10);
      await clock.pass(1000);
      equal(log.calls, [0]);
      log.grow(15);
      it.arrived(12);
      it.arrived(15);
      await clock.pass(500);
      equal(log.calls, [0, 10]);
      await log.answerAll();
      equal([it.hits.length, it.index, went], [2, 0, [3]]);
      log.grow(20);
      it.arrived(20);
      await clock.pass(500);
      await log.answerAll();
      equal([log.calls, it.hits.length], [[0, 10, 15], 3]);
    },
    "a line that went on is one hit": async () => {
      let text = "10%";
      const search = async () => ({ items: [{ ...hit(3), text }], examined: 3, next: null });
      const { it, clock } = finding({ search });
      it.start({ q: "%" });
      await settled();
      text = "20%";
      it.arrived(4);
      await clock.pass(500);
      equal([it.hits.map((each) => each.text), it.index], [["20%"], 0]);
    },
    "very many hits are cut": async () => {
      const log = makeLog(Array.from({ length: 40 }, (_, n) => n + 1), 40);
      const { it, texts } = finding(log, 25);
      it.start({ q: "x" });
      await settled();
      await log.answerAll();
      equal([log.calls.length, it.hits.length, texts.at(-1)], [3, 25, "1 of 25+"]);
      log.grow(80);
      it.arrived(80);
      equal(log.calls.length, 3);
    },
    "a refusal is told and ends the search": async () => {
      const log = makeLog([], 5);
      const { it, failures } = finding(log);
      it.start({ q: "bad" });
      await settled();
      await log.answerAll();
      equal([failures, it.searching], [["This pattern is not understood."], false]);
    },
    "a search is in the address": () => {
      const query = { q: "50% & more", matchCase: true, regex: false };
      const address = withQuery("http://host/runs/a/?t=3#L12", query);
      equal(new URL(address).hash, "#L12");
      equal(queryOf(new URL(address).searchParams), query);
      ok(address.includes("t=3"));
      equal(withQuery(address, null), "http://host/runs/a/?t=3#L12");
      equal(queryOf(new URLSearchParams("")), { q: "", matchCase: false, regex: false });
    },
  };
}
