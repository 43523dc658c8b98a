async ({ load, equal }) => {
  const { chosenOf, cluster, describe, makeMarkers } = await load("markers");
  const mark = (seq, t, kind = "stage", label = `no. ${seq}`, task = 0) => ({ seq, t, line: seq, task, kind, label });
  const seqs = (marks) => marks.map(({ seq }) => seq);

  return {
    "before and after a time, never the one at it": () => {
      const markers = makeMarkers();
      markers.add([mark(1, 0), mark(2, 1.5), mark(3, 1.5), mark(4, 9)]);
      equal([0, 1.5, 9].map((t) => markers.after(t)?.seq ?? null), [2, 4, null]);
      equal([0, 1.5, 9, 99].map((t) => markers.before(t)?.seq ?? null), [null, 1, 3, 4]);
    },

    "a page that comes twice counts once": () => {
      const markers = makeMarkers();
      markers.add([mark(1, 0), mark(5, 1)]);
      markers.add([mark(5, 1), mark(6, 2)]);
      equal([markers.length, markers.lastSeq], [3, 6]);
    },

    "a progress is marked at its quarters, one by one for each task": () => {
      const markers = makeMarkers();
      const all = [];
      for (let percent = 0; percent <= 100; percent += 5) {
        all.push(mark(all.length + 1, percent, "progress", `${percent} %`, 1));
        all.push(mark(all.length + 1, percent, "progress", `${percent / 2}%`, 2));
      }
      all.push(mark(100, 101, "progress", "3 of many"));
      markers.add(all);
      const marked = markers.clusters(101, 1e6).flatMap(({ marks }) => marks.map(({ task, label }) => `${task}: ${label}`));
      equal(marked.filter((text) => text.startsWith("1")), ["1: 25 %", "1: 50 %", "1: 75 %", "1: 100 %"]);
      equal(marked.filter((text) => text.startsWith("2")), ["2: 25%", "2: 50%"]);
      equal(marked.at(-1), "0: 3 of many");
    },

    "what would lie on each other is one, named by the worst of it": () => {
      const marks = [mark(1, 0, "tool"), mark(2, 1, "error"), mark(3, 2, "stage"), mark(4, 50), mark(5, 99, "result"), mark(6, 100)];
      const clusters = cluster(marks, 100, 1000, 24);
      equal(clusters.map(({ key, kind, marks: some }) => [key, kind, seqs(some)]),
        [[1, "error", [1, 2, 3]], [4, "stage", [4]], [5, "stage", [5, 6]]]);
      equal(clusters.map(({ share }) => share), [0, 0.5, 0.99]);
    },

    "a run of one instant, a mark behind the end": () => {
      equal(cluster([mark(1, 0), mark(2, 0)], 0, 800).map(({ share, marks }) => [share, seqs(marks)]), [[0, [1, 2]]]);
      equal(cluster([mark(1, 8)], 4, 800)[0].share, 1);
    },

    "thousands lie no closer than fingers need": () => {
      const marks = Array.from({ length: 5000 }, (_, n) => mark(n + 1, n / 10));
      const clusters = cluster(marks, 500, 800, 24);
      equal([clusters.length <= 34, clusters.reduce((sum, { marks: some }) => sum + some.length, 0)], [true, 5000]);
    },

    "of several the next one is chosen, then the first again": () => {
      const marks = [mark(1, 1), mark(2, 2), mark(3, 3)];
      equal([0, 1, 2.5, 3, 8].map((t) => chosenOf(marks, t).seq), [1, 2, 3, 1, 1]);
    },

    "how they read": () => {
      equal(describe([mark(1, 0, "stage", "load")]), "Stage load");
      equal(describe([mark(1, 0, "gap", null)]), "Remark");
      const many = Array.from({ length: 7 }, (_, n) => mark(n, n, "tool", "Bash"));
      equal(describe(many), "7 markers: Tool Bash, Tool Bash, Tool Bash, Tool Bash, Tool Bash and 2 more");
      equal(describe([mark(1, 0, "error", "x".repeat(500))]).length, 67);
    },
  };
}
