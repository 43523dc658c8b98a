async ({ load, equal }) => {
  const { clock, counted, lasting, shortClock } = await load("format");
  return {
    "clocks": () => {
      equal([0, 59.9996, 3723.5].map(clock), ["0:00.000", "1:00.000", "1:02:03.500"]);
      equal(shortClock(178.9), "2:58");
    },
    "durations": () => equal([0.44, 12.9, 192, 7380].map(lasting), ["0.4 s", "12 s", "3 m 12 s", "2 h 03 m"]),
    "counts": () => equal([counted(1, "line"), counted(48210, "line")], ["1 line", "48,210 lines"]),
  };
}
