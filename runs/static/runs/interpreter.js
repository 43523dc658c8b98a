// interpreter.js - reads what a program writes, as a terminal does: text goes into a grid,
// control characters and escape sequences move about in it and change the style.

import { LONGEST, numeric, readSequence, relink, restyle, stringEnd } from "./escapes.js";
import { Grid } from "./grid.js";
import { isPlain, mayHide, showControl, showHidden } from "./hidden.js";

const CONTROL = /[\x00-\x08\x0a-\x1f\x7f]/g;
const STYLE = /\x1b\[([\d;:]{0,100})m/y;
const TOO_LONG = `‹escape sequence of more than ${LONGEST.toLocaleString("en")} characters›`;
// The other character set that terminals have, for frames.
const LINES = "`abcdefghijklmnopqrstuvwxyz{|}~";
const DRAWN = "◆▒␉␌␍␊°±␤␋┘┐┌└┼⎺⎻─⎼⎽├┤┴┬│≤≥π≠£·";

export class Interpreter {
  #grid;
  #style = null;
  #savedStyle = null;
  #drawsLines = false;
  #rest = ""; // the beginning of a sequence whose end has not come
  #inside = null; // "string", "csi": in a sequence too long to be kept

  /** @param {{added: Function, changed: Function}} on  told of each row */
  constructor(on) {
    this.#grid = new Grid(on);
  }

  /** Take a chunk's text from `at` on, which has `offset` newlines before it. */
  write(chunk, at, offset) {
    this.#grid.begin(chunk, offset);
    const text = this.#rest + (at ? chunk.text.slice(at) : chunk.text);
    this.#rest = "";
    const isReading = this.#inside !== null || this.#drawsLines;
    if (!isReading && this.#grid.isAtEnd && isPlain(text)) this.#lines(text);
    else this.#read(text);
  }

  /** Forget the rows, but go on with the style: the text before `at` is not drawn. */
  skip(text, at) {
    this.#grid.forget();
    this.#inside = null;
    this.#rest = "";
    const skipped = text.slice(0, at);
    if (!skipped.includes("\x1b[")) return;
    // What comes before the last reset has no effect.
    const reset = Math.max(0, skipped.lastIndexOf("\x1b[0m"), skipped.lastIndexOf("\x1b[m"));
    for (const [, params] of skipped.slice(reset).matchAll(/\x1b\[([\d;:]*)m/g)) this.#style = restyle(this.#style, params);
  }

  /** Text without anything to interpret, as most is. */
  #lines(text) {
    const lines = (text.includes("\r") ? text.replaceAll("\r\n", "\n") : text).split("\n");
    const last = lines.pop();
    for (const line of lines) {
      if (line) this.#grid.append(line, this.#style);
      this.#grid.newline();
    }
    if (last) this.#grid.append(last, this.#style);
  }

  #read(text) {
    let at = this.#inside ? this.#skipInside(text, 0) : 0;
    while (at < text.length) {
      CONTROL.lastIndex = at;
      const end = CONTROL.test(text) ? CONTROL.lastIndex - 1 : text.length;
      if (end > at) this.#print(text.slice(at, end));
      if (end === text.length) return;
      at = text[end] === "\x1b" ? this.#sequence(text, end) : this.#control(text, end);
    }
  }

  #print(text) {
    const drawn = this.#drawsLines ? text.replace(/[`-~]/g, (c) => DRAWN[LINES.indexOf(c)]) : text;
    this.#put(mayHide(drawn) ? showHidden(drawn, this.#grid.before) : drawn);
  }

  #put(text) {
    this.#grid.put(text, this.#style);
  }

  #control(text, at) {
    const c = text[at], grid = this.#grid;
    if (c === "\n") grid.newline();
    else if (c === "\r") grid.toColumn(0);
    else if (c === "\b") grid.toColumn(grid.column - 1);
    else if (c !== "\x0e" && c !== "\x0f") this.#put(showControl(c));
    return at + 1;
  }

  /** @returns {number} where to read on */
  #sequence(text, at) {
    STYLE.lastIndex = at;
    const style = STYLE.exec(text); // nearly all are of this kind
    if (style) {
      this.#style = restyle(this.#style, style[1]);
      return STYLE.lastIndex;
    }
    const found = readSequence(text, at);
    if (found.kind === "cut") {
      this.#rest = text.slice(at);
      return text.length;
    }
    if (found.kind === "long") {
      this.#inside = found.within;
      this.#put(TOO_LONG);
      return this.#skipInside(text, at + 2);
    }
    if (found.kind === "torn") {
      // Not a sequence after all: what stands there is not hidden.
      this.#put(showControl("\x1b"));
      return at + 1;
    }
    if (found.kind === "csi") this.#csi(found);
    else if (found.kind === "short") this.#short(found);
    else if (found.opener === "]" && found.body.startsWith("8;")) this.#style = relink(this.#style, found.body);
    return found.end;
  }

  #skipInside(text, at) {
    if (this.#inside === "csi") {
      while (at < text.length && text[at] >= " " && text[at] <= "?") at++;
      if (at === text.length) return at;
      this.#inside = null;
      return text[at] >= "@" && text[at] <= "~" ? at + 1 : at;
    }
    const { how, end } = stringEnd(text, at);
    if (how !== "open") {
      this.#inside = null;
      return end;
    }
    this.#rest = text.slice(end); // perhaps half of the terminator
    return text.length;
  }

  #csi({ final, params, between }) {
    if (/^\?(47|1047|1049)$/.test(params) && "hl".includes(final)) this.#grid.otherScreen(final === "h");
    if (between || /^[<-?]/.test(params)) return;
    if (final === "m") this.#style = restyle(this.#style, params);
    else if (final === "s") this.#save();
    else if (final === "u") this.#restore();
    else this.#move(final, ...params.split(";", 2).map(numeric));
  }

  #move(final, first, second = 0) {
    const grid = this.#grid, count = Math.max(1, first);
    switch (final) {
      case "A": return grid.toRow(grid.row - count);
      case "B": case "e": return grid.toRow(grid.row + count);
      case "C": case "a": return grid.toColumn(grid.column + count);
      case "D": return grid.toColumn(grid.column - count);
      case "E": return grid.toRow(grid.row + count, 0);
      case "F": return grid.toRow(grid.row - count, 0);
      case "G": case "`": return grid.toColumn(count - 1);
      case "H": case "f": return grid.place(count, Math.max(1, second) - 1);
      case "J": return grid.eraseDisplay(first);
      case "K": return grid.eraseLine(first);
      case "X": return grid.edit((row, column) => row.erase(column, column + count));
      case "P": return grid.edit((row, column) => row.shift(column, -count));
      case "@": return grid.edit((row, column) => row.shift(column, count));
    }
  }

  #short({ between, final }) {
    const grid = this.#grid;
    if (between === "(") this.#drawsLines = final === "0";
    else if (between) return;
    else if (final === "7") this.#save();
    else if (final === "8") this.#restore();
    else if (final === "M") grid.toRow(grid.row - 1);
    else if (final === "D") grid.toRow(grid.row + 1);
    else if (final === "E") grid.toRow(grid.row + 1, 0);
    else if (final === "c") this.#reset();
  }

  #reset() {
    this.#style = null;
    this.#drawsLines = false;
    this.#grid.toEnd();
  }

  #save() {
    this.#savedStyle = this.#style;
    this.#grid.save();
  }

  #restore() {
    this.#style = this.#savedStyle;
    this.#grid.restore();
  }
}
