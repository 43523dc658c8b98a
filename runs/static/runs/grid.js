// grid.js - the rows a program writes, and the place where it does. There is no width and
// no height: lines never wrap, and what a program may go back to are the last REACH rows.

import { Row } from "./row.js";

export const REACH = 200;
// How far to the right of a row's end something may be placed: "as far as it goes" is
// how programs ask for the edge.
const WIDTH = 240;
// Cells kept for rows that were written over, all rows together.
const MOST_CELLS = 400_000;

export class Grid {
  #rows = []; // the last ones; what lies further back is done with
  #y = 0; // #rows.length: a row that is not there yet
  #x = null; // a column, or null: behind the last character
  #gone = 0; // rows further back
  #saved = { row: 0, x: 0 }; // the row as counted from the very first
  #top = null; // the first row of a screen that a program has cleared
  #status = null; // the row of what is placed at a line of a screen that was not cleared
  #spare = REACH; // rows that may be made without a newline
  #cells = 0;

  constructor(on) {
    this.on = on;
  }

  /** What is written from now on is a chunk's, behind so many of its newlines. */
  begin(chunk, offset) {
    this.chunk = chunk;
    this.offset = offset;
    this.made = -1; // the offset of the last row
    this.extra = 0;
  }

  /** No row can be reached any more. */
  forget() {
    this.#gone += this.#rows.length;
    this.#rows = [];
    this.#y = this.#cells = 0;
    this.#x = this.#top = this.#status = null;
  }

  // --- writing ----------------------------------------------------------------------

  get isAtEnd() {
    return this.#x === null && this.#y >= this.#rows.length - 1;
  }

  append(text, style) {
    this.#row().append(text, style);
  }

  put(text, style) {
    const row = this.#row();
    if (this.#x !== null && (this.#x > 0 || !row.isEmpty)) {
      this.#x = this.#weigh(row, () => row.put(this.#x, text, style));
      return;
    }
    row.append(text, style);
    this.#x = null;
  }

  /** The character that stands before what is written next. */
  get before() {
    const row = this.#rows[this.#y];
    if (!row) return "";
    return this.#x === null ? row.before(null) : this.#weigh(row, () => row.before(this.#x));
  }

  newline() {
    this.#row().ended = true;
    this.offset++;
    this.#spare = Math.min(REACH, this.#spare + 1);
    this.#y++;
    if (this.#status && this.#rows[this.#y] === this.#status) this.#y = this.#rows.length;
    this.#x = this.#y < this.#rows.length ? 0 : null;
  }

  /** The row to write in, made when there is none. */
  #row() {
    const row = this.#rows[this.#y];
    if (row) {
      this.on.changed(row);
      return row;
    }
    this.#x ||= null;
    return this.#add();
  }

  #add() {
    // Rows that are made without a newline between them have a line's number in common.
    this.extra = this.made === this.offset ? this.extra + 1 : 0;
    this.made = this.offset;
    const row = new Row(this.chunk, this.offset, this.extra);
    this.#rows.push(row);
    if (this.#rows.length >= 3 * REACH) this.#drop(this.#rows.length - 2 * REACH);
    this.on.added(row);
    return row;
  }

  #drop(count) {
    for (const row of this.#rows.splice(0, count)) {
      this.#cells -= row.weight;
      row.settle();
    }
    this.#gone += count;
    this.#y = Math.max(0, this.#y - count);
  }

  /** Do something to a row's cells, and keep count of all cells. */
  #weigh(row, work) {
    this.#cells -= row.weight;
    const result = work();
    this.#cells += row.weight;
    while (this.#cells > MOST_CELLS && this.#y > 0) this.#drop(1);
    return result;
  }

  // --- moving -------------------------------------------------------------------------

  get row() {
    return this.#y;
  }

  get column() {
    return this.#x ?? this.#columns;
  }

  get #columns() {
    const row = this.#rows[this.#y];
    return row && !row.isEmpty ? this.#weigh(row, () => row.columns) : 0;
  }

  /** The first row that can be reached. */
  get #first() {
    return Math.max(0, this.#rows.length - REACH);
  }

  toRow(y, column = this.column) {
    const last = Math.max(0, this.#rows.length - 1, Math.min(y, this.#y));
    this.#y = Math.min(Math.max(y, this.#first), last);
    this.#x = column;
  }

  toColumn(column) {
    if (column <= 0) this.#x = 0;
    else this.#x = Math.min(column, Math.max(this.#columns, WIDTH));
    if (this.#x === 0 && (this.#rows[this.#y]?.isEmpty ?? true)) this.#x = null;
  }

  toEnd() {
    this.#y = this.#rows.length;
    this.#x = null;
  }

  save() {
    this.#saved = { row: this.#gone + this.#y, x: this.column };
  }

  restore() {
    const { row, x } = this.#saved;
    this.#y = Math.max(this.#first, Math.min(row - this.#gone, this.#rows.length));
    this.toColumn(x);
  }

  // --- erasing --------------------------------------------------------------------------

  /** 0: from here on, 1: up to here, 2: all of the line. */
  eraseLine(what) {
    const row = this.#rows[this.#y];
    if (!row || row.isEmpty || (what === 0 && this.#x === null)) return;
    const { column } = this;
    if (what === 2 || (what === 0 && column === 0)) {
      this.#clear(row);
      this.#x = column || null;
      return;
    }
    if (what > 2) return;
    this.on.changed(row);
    this.#weigh(row, () => (what === 0 ? row.cut(column) : row.erase(0, column + 1)));
  }

  /** 0: from here on, 1: up to here, 2: all of the screen. */
  eraseDisplay(what) {
    if (what === 2) this.#clearScreen();
    if (what > 1) return;
    this.eraseLine(what);
    if (what === 0) this.#clearRows(this.#y + 1, this.#rows.length);
    else this.#clearRows(this.#first, this.#y);
  }

  /** Change the part of a line that begins here. */
  edit(work) {
    const row = this.#rows[this.#y];
    if (!row || this.#x === null) return;
    this.on.changed(row);
    this.#weigh(row, () => work(row, this.#x));
  }

  #clearRows(start, end) {
    for (let y = start; y < end; y++) if (!this.#rows[y].isEmpty) this.#clear(this.#rows[y]);
  }

  #clear(row) {
    this.on.changed(row);
    this.#cells -= row.weight;
    row.clear();
  }

  // --- the screen of a program that clears it ---------------------------------------------

  /** To a line and a column of the screen. */
  place(line, column) {
    const top = this.#indexOf(this.#top);
    if (top < 0 && line > 1) this.#placeStatus(column);
    else this.#placeBelow(top < 0 ? this.#beginScreen() : top, line, column);
  }

  #placeBelow(top, line, column) {
    const y = top + Math.min(line, REACH) - 1;
    for (; this.#rows.length <= y && this.#spare > 0; this.#spare--) this.#add();
    this.toRow(y, column);
  }

  /** A line at the bottom of a screen whose rows are not known here, as apt draws one. */
  #placeStatus(column) {
    let y = this.#indexOf(this.#status);
    if (y < 0) {
      y = this.#rows.length;
      this.#status = this.#add();
      // It stands where the program was about to write, and goes on below.
      if (this.#saved.row === this.#gone + y) this.#saved.row++;
    }
    this.toRow(y, column);
  }

  /** A screen of its own for a program that covers all of it, and back from there. */
  otherScreen(isEntered) {
    if (!isEntered) {
      this.toEnd();
      return;
    }
    this.place(1, 0);
    this.#clearScreen();
  }

  /** What is above stays: the first time, the screen begins below all rows. */
  #clearScreen() {
    const top = this.#indexOf(this.#top);
    if (top < 0) this.#beginScreen();
    else this.#clearRows(top, this.#rows.length);
  }

  #beginScreen() {
    this.toEnd();
    this.#top = this.#row();
    return this.#y;
  }

  #indexOf(row) {
    return row ? this.#rows.indexOf(row, this.#first) : -1;
  }
}
