// indent.js - what Tab and Enter do in a field of code; it draws nothing.

export const INDENTS = { python: "    ", shell: "  " };
const OPENS = { python: /[:([{]\s*(?:#.*)?$/, shell: /(?:\b(?:then|do|else)|[{(])\s*$/ };

/** @typedef {{from: number, to: number, text: string, start: number, end: number}} Edit
 *  `text` takes the place of from..to; then start..end is selected. */

/** Tab: spaces to the next stop, or every line of the selection one stop in. @returns {Edit} */
export function indented(value, start, end, language) {
  const unit = INDENTS[language];
  if (!value.slice(start, end).includes("\n")) {
    const column = start - lineStart(value, start);
    const text = unit.slice(column % unit.length);
    return { from: start, to: end, text, start: start + text.length, end: start + text.length };
  }
  return withLines(value, start, end, (line) => (line === "" ? line : unit + line));
}

/** Shift+Tab: each line of the selection one stop out. @returns {Edit} */
export function outdented(value, start, end, language) {
  const most = new RegExp(`^(?:\\t| {1,${INDENTS[language].length}})`);
  return withLines(value, start, end, (line) => line.replace(most, ""));
}

/** Enter: as far in as this line, one stop more behind what opens a block. @returns {Edit} */
export function broken(value, start, end, language) {
  const before = value.slice(lineStart(value, start), start);
  const more = OPENS[language].test(before) ? INDENTS[language] : "";
  const text = `\n${/^[ \t]*/.exec(before)[0]}${more}`;
  return { from: start, to: end, text, start: start + text.length, end: start + text.length };
}

const lineStart = (value, at) => value.lastIndexOf("\n", at - 1) + 1;

function withLines(value, start, end, change) {
  const from = lineStart(value, start);
  // A selection that ends before a line's first character does not mean that line.
  const last = end > start && value[end - 1] === "\n" ? end - 1 : end;
  const found = value.indexOf("\n", last);
  const to = found < 0 ? value.length : found;
  const lines = value.slice(from, to).split("\n");
  const changed = lines.map(change);
  const text = changed.join("\n");
  const first = changed[0].length - lines[0].length;
  return {
    from, to, text,
    start: Math.max(from, start + first),
    end: Math.max(from, end + text.length - (to - from)),
  };
}
