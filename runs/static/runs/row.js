// row.js - one row of output. While it only grows it is text and styles in a list; once
// something is written over it, it is cells: a character and a style for each column.

import { sameStyle } from "./escapes.js";
import { LINE_LENGTH } from "./text.js";
import { widthOf } from "./width.js";

const TAB = 8;
// Marks upon one letter; real scripts have three or four.
const MARKS = 64;
// Nobody edits a longer line in place, and each time would cost its length.
const EDITED = 1000;

export class Row {
  #spans = null; // null: nothing yet, or only cells
  #length = 0;
  #columns = -1; // of the spans; -1 until someone asks
  #cells = null; // {chars, styles}; the right half of a wide character is ""

  constructor({ seq, t, stream, task, line }, offset, extra = 0) {
    this.seq = seq;
    this.t = t;
    this.stream = stream;
    this.task = task;
    this.number = line + 1 + offset;
    this.ended = false;
    this.more = 0;
    this.offset = offset;
    this.extra = extra;
  }

  get key() {
    return `${this.seq}.${this.offset}${this.extra ? `.${this.extra}` : ""}`;
  }

  get spans() {
    this.#spans ??= this.#cells ? spansOf(this.#cells) : [];
    return this.#spans;
  }

  get text() {
    const { spans } = this;
    return spans.length === 1 ? spans[0].text : spans.map(({ text }) => text).join("");
  }

  get isEmpty() {
    return this.more === 0 && (this.#cells ? this.#cells.chars.length : this.#length) === 0;
  }

  /** How many cells are kept; 0 while it only grows. */
  get weight() {
    return this.#cells ? this.#cells.chars.length : 0;
  }

  /** The column behind the last character. */
  get columns() {
    if (this.#cells) return this.#cells.chars.length + this.more;
    if (this.#columns < 0) this.#columns = this.spans.reduce((column, { text }) => columnAfter(text, column), 0);
    return this.#columns + this.more;
  }

  /** Write behind all that is there. */
  append(text, style) {
    if (this.#cells) this.put(this.columns, text, style);
    else this.#grow(text, style);
  }

  #grow(text, style) {
    let kept = text;
    if (this.#length + text.length > LINE_LENGTH || this.more > 0) {
      kept = this.more > 0 ? "" : wholeCharacters(text, LINE_LENGTH - this.#length);
      this.more += text.length - kept.length;
      if (!kept) return;
    }
    this.#length += kept.length;
    if (this.#columns >= 0) this.#columns = columnAfter(kept, this.#columns);
    const last = this.#spans?.[this.#spans.length - 1];
    if (!last) this.#spans = [{ text: kept, style }];
    else if (sameStyle(last.style, style)) last.text += kept;
    else this.#spans.push({ text: kept, style });
  }

  /** Write from a column on, over what is there. Returns the column behind it. */
  put(column, text, style) {
    if (this.#cells || column < this.columns) return this.#putCells(column, text, style);
    if (column > this.columns) this.#grow(" ".repeat(column - this.columns), null);
    this.#grow(text, style);
    return this.columns;
  }

  #putCells(column, text, style) {
    const { chars, styles } = this.#changeCells();
    for (const character of text) {
      const isTab = character === "\t";
      const width = isTab ? TAB - (column % TAB) : widthOf(character);
      if (width === 0 && column > 0 && column <= chars.length) {
        this.#mark(column - 1, character);
        continue;
      }
      if (column >= chars.length && this.#isFull) {
        this.more = Math.max(this.more, column + 1 - chars.length);
        column++;
        continue;
      }
      while (chars.length < column) this.#push(" ", 1, null);
      if (column === chars.length) {
        this.#push(character, width || 1, style);
      } else if (!isTab) { // a tab only moves over what is there
        this.#blank(column, column + (width || 1));
        chars[column] = character;
        styles[column] = style;
        if (width === 2) {
          chars[column + 1] = "";
          styles[column + 1] = style;
        }
      }
      column += width || 1;
    }
    return column;
  }

  /** What stands before a column; `null`, before the end. */
  before(column) {
    if (!this.#cells && (column === null || column >= this.columns)) {
      return column > this.columns ? " " : (this.#spans?.at(-1)?.text.slice(-2) ?? "");
    }
    const { chars } = this.#asCells();
    let at = (column ?? chars.length) - 1;
    while (at > 0 && chars[at] === "") at--;
    return chars[at] ?? "";
  }

  clear() {
    this.#cells = null;
    this.#spans = null;
    this.#length = 0;
    this.#columns = -1;
    this.more = 0;
  }

  /** Nothing is left from a column on. */
  cut(column) {
    const { chars, styles } = this.#changeCells();
    if (column < chars.length) {
      this.#blank(column, column + 1);
      chars.length = column;
      styles.length = column;
    }
    this.more = 0;
  }

  /** Blanks in place of the columns from `start` to before `end`. */
  erase(start, end) {
    const { chars } = this.#changeCells();
    if (chars.length <= EDITED) this.#blank(start, Math.min(end, chars.length));
  }

  /** Put in so many blanks, or take out so many columns if negative; the rest moves. */
  shift(column, count) {
    const { chars, styles } = this.#changeCells();
    if (column >= chars.length || chars.length > EDITED) return;
    if (chars[column] === "") this.#blank(column, column + 1);
    // A tab that moves would no longer reach to where it did.
    for (let at = column; at < chars.length; at++) if (chars[at] === "\t") this.#blank(at, at + 1);
    const blanks = Math.max(0, Math.min(count, EDITED));
    chars.splice(column, Math.max(0, -count), ...Array(blanks).fill(" "));
    styles.splice(column, Math.max(0, -count), ...Array(blanks).fill(null));
    if (chars[column] === "") chars[column] = " ";
  }

  /** From now on it only grows, and costs no more than its text. */
  settle() {
    if (!this.#cells) return;
    this.#length = this.text.length;
    this.#columns = -1;
    this.#cells = null;
  }

  get #isFull() {
    return this.more > 0 || this.#cells.chars.length >= LINE_LENGTH;
  }

  #asCells() {
    if (!this.#cells) {
      const { spans } = this;
      this.#cells = { chars: [], styles: [] };
      for (const { text, style } of spans) this.#fill(text, style);
    }
    return this.#cells;
  }

  #changeCells() {
    const cells = this.#asCells();
    this.#spans = null;
    return cells;
  }

  #fill(text, style) {
    const { chars } = this.#cells;
    for (const character of text) {
      const width = character === "\t" ? TAB - (chars.length % TAB) : widthOf(character);
      if (width === 0 && chars.length > 0) this.#mark(chars.length - 1, character);
      else this.#push(character, width || 1, style);
    }
  }

  #push(character, width, style) {
    const { chars, styles } = this.#cells;
    chars.push(character);
    styles.push(style);
    for (let more = 1; more < width; more++) {
      chars.push("");
      styles.push(style);
    }
  }

  /** A mark that takes no column joins the character before. */
  #mark(column, mark) {
    const { chars } = this.#cells;
    while (column > 0 && chars[column] === "") column--;
    if (column < chars.length && chars[column].length < MARKS) chars[column] += mark;
  }

  /** Blank columns, and with them the other half of a wide character. */
  #blank(start, end) {
    const { chars, styles } = this.#cells;
    while (start > 0 && chars[start] === "") start--;
    while (end < chars.length && chars[end] === "") end++;
    for (let column = start; column < end; column++) {
      chars[column] = " ";
      styles[column] = null;
    }
  }
}

/** The beginning of a text without half a character at its end. */
function wholeCharacters(text, length) {
  const last = text.charCodeAt(length - 1);
  return text.slice(0, last >= 0xd800 && last < 0xdc00 ? length - 1 : length);
}

function columnAfter(text, column) {
  for (const character of text) {
    if (character === "\t") column += TAB - (column % TAB);
    else column += widthOf(character) || (column === 0 ? 1 : 0);
  }
  return column;
}

function spansOf({ chars, styles }) {
  const spans = [];
  let start = 0;
  for (let column = 1; column <= chars.length; column++) {
    if (column < chars.length && sameStyle(styles[column], styles[start])) continue;
    spans.push({ text: chars.slice(start, column).join(""), style: styles[start] });
    start = column;
  }
  return spans;
}
