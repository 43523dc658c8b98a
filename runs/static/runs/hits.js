// hits.js - marks what a search has found in the rows that are drawn, without touching
// their elements.

export function makeHits() {
  let byLine = new Map(), now = null, painted = false;

  function rangesOf(element, words) {
    const text = element.querySelector(".text");
    if (!text) return [];
    const whole = text.textContent, ranges = [];
    for (const word of words) {
      for (let at = whole.indexOf(word); word && at >= 0; at = whole.indexOf(word, at + word.length)) {
        ranges.push(rangeOf(text, at, at + word.length));
      }
    }
    return ranges.filter(Boolean);
  }

  return {
    set(found, current) {
      now = current ?? null;
      byLine = new Map();
      for (const { line, text, start, end } of found ?? []) {
        const words = byLine.get(line) ?? new Set();
        byLine.set(line, words.add(text.slice(start, end)));
      }
    },
    /** @param {Iterable<{row: object, element: HTMLElement}>} drawn */
    paint(drawn) {
      if (!globalThis.CSS?.highlights || (!byLine.size && !painted)) return;
      painted = byLine.size > 0;
      const hits = [], current = [];
      if (byLine.size) {
        for (const { row, element } of drawn) {
          const words = byLine.get(row.number);
          if (words) (row.number === now?.line ? current : hits).push(...rangesOf(element, words));
        }
      }
      setHighlight("hit", hits);
      setHighlight("current-hit", current);
    },
  };
}

function setHighlight(name, ranges) {
  if (ranges.length) CSS.highlights.set(name, new Highlight(...ranges));
  else CSS.highlights.delete(name);
}

/** From one character of an element's text to another. */
export function rangeOf(element, start, end) {
  const range = document.createRange();
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  let before = 0, begun = false;
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const after = before + node.length;
    if (!begun && start < after) {
      range.setStart(node, start - before);
      begun = true;
    }
    if (begun && end <= after) {
      range.setEnd(node, end - before);
      return range;
    }
    before = after;
  }
  return null;
}
