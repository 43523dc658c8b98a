async ({ load, equal, ok }) => {
  const { makeDensity } = await load("density");
  const chunk = (seq, t, text = "line\n") => ({ seq, t, text });
  const buckets = (...lines) => lines.map((count, n) => ({ t: n, lines: count, chunks: count ? 1 : 0 }));
  const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);

  return {
    "what is stored is drawn, the busiest part highest": () => {
      const density = makeDensity();
      density.start({ seconds: 4, last_seq: 9, buckets: buckets(0, 100, 25, 0) });
      equal(density.path(4), "M0 100V100H250V0H500V50H750V100H1000V100Z");
      equal(density.path(2), "M0 100V100H500V0H1000V50H1000V100H1000V100Z");
      equal(density.path(8), "M0 100V100H125V0H250V50H375V100H500V100Z");
    },

    "a line in an hour is still seen": () => {
      const density = makeDensity();
      density.start({ seconds: 2, last_seq: 9, buckets: buckets(1, 1_000_000) });
      equal(density.path(2), "M0 100V90H500V0H1000V100Z");
    },

    "output without a line's end counts too": () => {
      const density = makeDensity();
      density.start({ seconds: 2, last_seq: 1, buckets: [{ t: 0, lines: 0, chunks: 3 }, { t: 1, lines: 0, chunks: 0 }] });
      density.add([chunk(2, 1.5, "50 %\r")]);
      equal(density.bins, [0.5, 0.5]);
    },

    "nothing printed, no time passed": () => {
      const density = makeDensity();
      equal(density.path(3), "");
      density.start({ seconds: 0, last_seq: 0, buckets: [] });
      density.start(undefined);
      equal([density.path(0), density.path(3)], ["", ""]);
      density.add([chunk(1, 0)]);
      equal(density.path(0), "");
      ok(density.path(1).startsWith("M0 100V0H50V"), "at the beginning");
    },

    "what arrives while the outline is loaded counts once": () => {
      const density = makeDensity();
      density.add([chunk(4, 1.2), chunk(5, 1.4), chunk(6, 2.1)]);
      density.start({ seconds: 2, last_seq: 5, buckets: buckets(3, 2) });
      density.add([chunk(5, 1.4), chunk(7, 2.2)]);
      equal(density.bins, [3, 2, 2]);
    },

    "a day goes into as many bins as a second, and no line is lost": () => {
      const density = makeDensity(200);
      density.start();
      for (let n = 0; n < 86_400; n++) density.add([chunk(n + 1, n)]);
      ok(density.bins.length <= 200 && density.bins.length > 90, "bins");
      equal(sum(density.bins), 86_400);
      ok(density.width * density.bins.length >= 86_399, "to the end");
      const coarse = makeDensity(10);
      coarse.start({ seconds: 25, last_seq: 1, buckets: Array.from({ length: 25 }, (_, n) => ({ t: n, lines: 1 })) });
      equal([coarse.bins.length, sum(coarse.bins), coarse.width], [7, 25, 4]);
    },
  };
}
