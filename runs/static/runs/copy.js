// copy.js - what is copied from a log is what the program wrote: no numbers, no times, no
// line breaks of ours.

/** @returns {{selected: Function}} */
export function bindCopy(screen, sheet, rowsOf) {
  screen.addEventListener("copy", (event) => {
    const text = selectedText();
    if (text === null) return;
    event.preventDefault();
    event.clipboardData.setData("text/plain", text);
  });

  function range() {
    const selection = getSelection();
    if (!selection.rangeCount || selection.isCollapsed) return null;
    const chosen = selection.getRangeAt(0);
    return screen.contains(chosen.commonAncestorContainer) ? chosen : null;
  }

  /** The first and the last drawn row that a range touches. */
  function ends(chosen) {
    let first = null, last = null;
    for (const known of sheet.drawn()) {
      if (!chosen.intersectsNode(known.element)) continue;
      first ??= known;
      last = known;
    }
    return { first, last };
  }

  function selectedText() {
    const chosen = range();
    if (!chosen) return null;
    const { first, last } = ends(chosen);
    if (!first) return null;
    if (first === last) return within(chosen, first.element);
    const rows = rowsOf();
    const begin = rows.indexOf(first.row), end = rows.indexOf(last.row);
    const between = rows.slice(begin + 1, end).map(textOf);
    return [within(chosen, first.element), ...between, within(chosen, last.element)].join("\n");
  }

  return {
    /** Indexes of the first and the last row that a selection touches; -1 without one. */
    selected(rows) {
      const chosen = range();
      if (!chosen) return [-1, -1];
      const { first, last } = ends(chosen);
      return first ? [rows.indexOf(first.row), rows.indexOf(last.row)] : [-1, -1];
    },
  };
}

const textOf = (row) => row.text.replace(/\n$/, "");

/** The selected part of one row's text. */
function within(chosen, element) {
  const content = element.querySelector(".text") ?? element;
  const part = document.createRange();
  part.selectNodeContents(content);
  const more = content.querySelector(":scope > .more");
  if (more) part.setEndBefore(more);
  if (!chosen.intersectsNode(content)) return "";
  if (part.compareBoundaryPoints(Range.START_TO_START, chosen) < 0) part.setStart(chosen.startContainer, chosen.startOffset);
  if (part.compareBoundaryPoints(Range.END_TO_END, chosen) > 0) part.setEnd(chosen.endContainer, chosen.endOffset);
  return part.toString();
}
