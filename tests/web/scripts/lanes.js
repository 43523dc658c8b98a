async ({ load, equal }) => {
  const { layoutOf, makeCounter, neighbour } = await load("lanes");
  const chunk = (seq, task, text) => ({ seq, task, text });

  return {
    "side by side where there is room, tabs where there is none": () => {
      equal(layoutOf(3, 1280, 600), { tabs: false, across: 3, height: null });
      equal(layoutOf(3, 890, 600), { tabs: true, across: 1, height: null });
      equal(layoutOf(2, 3000, 600).across, 2);
    },
    "many tasks: rows of few lanes, that scroll": () => {
      equal(layoutOf(4, 1280, 800), { tabs: false, across: 2, height: 400 });
      equal(layoutOf(64, 3840, 900), { tabs: false, across: 4, height: 260 });
      equal(layoutOf(6, 1000, 600), { tabs: false, across: 2, height: 260 });
    },
    "lines by task, once each": () => {
      const counter = makeCounter();
      counter.take([chunk(1, 1, "a\nb\n"), chunk(2, 2, "c"), chunk(2, 2, "c\n")]);
      counter.take([chunk(1, 1, "a\n"), chunk(3, 1, "\n")]);
      equal([1, 2, 3].map(counter.text), ["3 lines", "0 lines", "0 lines"]);
      counter.missed();
      equal(counter.text(1), "more than 3 lines");
    },
    "keys lead from lane to lane": () => {
      equal(["ArrowRight", "ArrowDown", "Home", "End", "x"].map((key) => neighbour(1, key, 6, 3)), [2, 4, 0, 5, 1]);
      equal([neighbour(0, "ArrowLeft", 6, 3), neighbour(5, "ArrowDown", 6, 3)], [0, 5]);
    },
  };
}
