async ({ load, equal }) => {
  const { nearest, placesOf } = await load("marks");
  return {
    "lines of a log on a bar": () => {
      equal(placesOf([1, 50, 100], 100, 103), [0, 49, 100]);
      equal(placesOf([1], 1, 103), [0]);
      equal(placesOf([], 10, 103), []);
    },
    "many lines are few places": () => {
      const lines = Array.from({ length: 10_000 }, (_, n) => n + 1);
      equal(placesOf(lines, 10_000, 103).length, 101);
    },
    "a line beyond the end, as it may be for a moment, stays on the bar": () => equal(placesOf([500], 100, 103), [100]),
    "the closest line": () => {
      equal(nearest([3, 90, 40], 50), 40);
      equal(nearest([], 50), null);
    },
  };
}
