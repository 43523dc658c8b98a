async ({ load, equal }) => {
  const { startOf } = await load("bar");
  return {
    "an address says where to begin": () => {
      equal(startOf("?t=12.5"), { t: 12.5, play: false });
      equal(startOf("?t=0&play=1"), { t: 0, play: true });
      equal(startOf("?play&t=2:58"), { t: 178, play: true });
      equal(startOf("?t=1:02:03.5&play=0"), { t: 3723.5, play: false });
    },
    "or says nothing": () => {
      const wrong = ["", "?t=", "?t=-3", "?t=1e9", "?t=NaN", "?t=1:2:3:4", "?t=x", "?play=1", `?t=${"9".repeat(30)}`];
      equal(wrong.map(startOf), wrong.map(() => null));
    },
  };
}
