async ({ load, equal, ok }) => {
  const { boardOf, makeStages, stageOf } = await load("stages");
  const { makeFeed } = await load("feed");
  let seq = 0;
  const tell = (t, data) => ({ seq: ++seq, t, line: seq, stream: "event", task: 0, text: "", data });
  const told = (...given) => given.map(([t, stage, status, progress]) => stageOf(tell(t, { stage, status, progress })));
  const brief = (board) => board.map(({ name, status, seconds }) => [name, status, seconds]);

  return {
    "a stage, typed or not": () => {
      equal(stageOf(tell(1, { stage: "load", progress: 0.5 })).percent, 50);
      equal(stageOf(tell(1, { type: "progress", data: { stage: "load", status: "done" } })).status, "succeeded");
      for (const data of [{ type: "note" }, { type: "x", data: { stage: 7 } }, { type: "x", data: null }, [], "x", null]) {
        equal(stageOf(tell(1, data)), null);
      }
      equal(stageOf({ ...tell(1, { stage: "x" }), stream: "stdout" }), null);
    },
    "words for a status": () => {
      const words = { Completed: "succeeded", ok: "succeeded", FAILED: "failed", pending: "queued", started: "running", constructor: "running" };
      for (const [word, status] of Object.entries(words)) equal(stageOf(tell(1, { stage: "x", status: word })).status, status);
      equal(stageOf(tell(1, { stage: "x", status: { a: 1 } })).status, "running");
    },
    "how long each lasted": () => {
      const stages = told([0, "a", "running", 0], [4, "a", "running", 50], [10, "a", "done"], [11, "b", "running"]);
      equal(brief(boardOf(stages, Infinity, 15)), [["a", "succeeded", 10], ["b", "running", 4]]);
      equal(brief(boardOf(stages)), [["a", "succeeded", 10], ["b", "running", 0]]);
    },
    "waiting is no lasting": () => {
      const stages = told([0, "a", "queued"], [5, "a", "running"], [8, "a", "failed"], [8, "b", "pending"]);
      equal(brief(boardOf(stages, Infinity, 20)), [["a", "failed", 3], ["b", "queued", null]]);
    },
    "the board as it was at a time": () => {
      const stages = told([0, "a", "running"], [10, "a", "done"], [10, "b", "running"]);
      equal(brief(boardOf(stages, 7)), [["a", "running", 7]]);
      equal(brief(boardOf(stages, 10)), [["a", "succeeded", 10], ["b", "running", 0]]);
      equal(boardOf(stages, -1), []);
    },
    "what ended and begins again": () => {
      equal(brief(boardOf(told([0, "a", "running"], [5, "a", "failed"], [9, "a", "running"], [12, "a", "ok"]))), [["a", "succeeded", 3]]);
    },
    "very many reports are thinned, changes of a status are not": () => {
      const stages = makeStages();
      const chunks = Array.from({ length: 100_000 }, (_, n) => tell(n, { stage: "a", status: "running", progress: n % 100 }));
      stages.take([tell(0, { stage: "first", status: "running" })]);
      for (let from = 0; from < chunks.length; from += 1000) stages.take(chunks.slice(from, from + 1000));
      stages.take([tell(100_000, { stage: "first", status: "done" })]);
      ok(stages.length <= 20_001, "the number");
      equal(brief(stages.board(Infinity, 100_000))[0], ["first", "succeeded", 100_000]);
    },
    "a chunk that comes twice counts once": () => {
      const stages = makeStages(), chunk = tell(1, { stage: "a", status: "running" });
      stages.take([chunk]);
      stages.take([chunk]);
      equal(stages.length, 1);
    },

    "feed: what is stored, then what arrives, once each": async () => {
      const events = Array.from({ length: 9 }, (_, n) => ({ seq: n + 1, stream: "event", data: {} }));
      const seen = [];
      const feed = makeFeed({
        async events(after) {
          if (after === 0) feed.take(events.slice(5, 8)); // arrives meanwhile
          const items = events.filter((each) => each.seq > after).slice(0, 3);
          return { items, next: items.at(-1).seq };
        },
      }, [{ take: (chunks) => seen.push(...chunks.map(({ seq }) => seq)) }]);
      await feed.load(6);
      feed.take([{ seq: 9, stream: "event", data: {} }, { seq: 10, stream: "stdout", data: null }]);
      equal(seen, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    },
    "feed: after a page that failed, what arrives is shown all the same": async () => {
      const seen = [];
      const feed = makeFeed({ events: async () => { throw new Error("Log in again."); } }, [{ take: (chunks) => seen.push(...chunks) }]);
      await feed.load(5).then(() => ok(false, "the error"), ({ message }) => equal(message, "Log in again."));
      feed.take([{ seq: 6, stream: "event", data: {} }]);
      equal(seen.length, 1);
    },
    "feed: a flood meanwhile is loaded, not held": async () => {
      const events = Array.from({ length: 20_000 }, (_, n) => ({ seq: n + 1, stream: "event", data: {} }));
      let count = 0;
      const feed = makeFeed({
        async events(after) {
          if (after === 0) feed.take(events.slice(10));
          const items = events.slice(after, after + 2000);
          return { items, next: after + 2000 < events.length ? after + 2000 : null };
        },
      }, [{ take: (chunks) => (count += chunks.length) }]);
      await feed.load(10);
      equal(count, 20_000);
    },
  };
}
