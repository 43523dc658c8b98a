// density.js - how much was printed when: a small picture of a recording that may still grow. Pure.

const MOST = 200;
// Of a recording that has just begun, in seconds.
const FINEST = 0.05;
// A chunk that ends no line is still output.
const PART_OF_A_LINE = 0.5;
const EARLY_MOST = 50_000;
// The box the outline is drawn in, and how high the least output stands in it.
export const BOX = { width: 1000, height: 100 };
const LEAST = 0.1;

export function makeDensity(most = MOST) {
  let bins = [], width = FINEST, after = null, early = [];

  /** What is stored so far: {seconds, last_seq, buckets: [{t, lines, chunks}]} of equal length. */
  function start({ seconds = 0, last_seq: lastSeq = 0, buckets = [] } = {}) {
    const began = early;
    width = seconds > 0 && buckets.length ? seconds / buckets.length : FINEST;
    bins = buckets.map(({ lines, chunks }) => lines || (chunks ? PART_OF_A_LINE : 0));
    after = lastSeq;
    early = [];
    while (bins.length > most) halve();
    for (const { seq, t, weight } of began) if (seq > after) count(t, weight);
  }

  /** Chunks that arrive; what the outline has counted is left out. */
  function add(chunks) {
    for (const { seq, t, text } of chunks) {
      const weight = text.split("\n").length - 1 || PART_OF_A_LINE;
      if (after === null) {
        if (early.length < EARLY_MOST) early.push({ seq, t, weight });
      } else if (seq > after) {
        count(t, weight);
      }
    }
  }

  function count(t, weight) {
    let bin = Math.floor(t / width);
    while (bin >= most) {
      halve();
      bin = Math.floor(t / width);
    }
    while (bins.length <= bin) bins.push(0);
    bins[bin] += weight;
  }

  function halve() {
    bins = Array.from({ length: Math.ceil(bins.length / 2) }, (_, n) => bins[2 * n] + (bins[2 * n + 1] ?? 0));
    width *= 2;
  }

  /** The outline in BOX of a recording that is so long, as a path; "" where nothing was printed. */
  function path(seconds) {
    const highest = Math.max(...bins, 0);
    if (!highest || !(seconds > 0)) return "";
    const across = (bin) => round(Math.min(1, (bin * width) / seconds) * BOX.width);
    let drawn = `M0 ${BOX.height}`;
    bins.forEach((weight, bin) => {
      // The root, so that a line now and then is seen beside a flood.
      const share = weight ? Math.max(LEAST, Math.sqrt(weight / highest)) : 0;
      drawn += `V${round((1 - share) * BOX.height)}H${across(bin + 1)}`;
    });
    return `${drawn}V${BOX.height}Z`;
  }

  return { start, add, path, get bins() { return bins; }, get width() { return width; } };
}

const round = (number) => Math.round(number * 10) / 10;
