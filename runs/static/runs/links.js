// links.js - addresses of lines: #L120, or #L120-L130.

/** @returns {{from: number, to: number}|null} */
export function linesOf(hash) {
  const found = /^#L(\d{1,12})(?:-L?(\d{1,12}))?$/.exec(hash);
  if (!found) return null;
  const [from, to] = [Number(found[1]), Number(found[2] ?? found[1])];
  return from > 0 && to > 0 ? { from: Math.min(from, to), to: Math.max(from, to) } : null;
}

export const hashOf = ({ from, to }) => (from === to ? `#L${from}` : `#L${from}-L${to}`);

/** Go where the address says, now and when it changes. */
export function bindLinks(toLine) {
  function go() {
    const lines = linesOf(location.hash);
    if (lines) toLine(lines.from, { to: lines.to });
  }
  addEventListener("hashchange", go);
  go();
}

export function showInAddress(lines) {
  history.replaceState(history.state, "", hashOf(lines));
}
