// text.js - what a line of output looks like; web/lines.py does the same.

import { showHidden } from "./hidden.js";

export const LINE_LENGTH = 10_000;

const ESCAPES =
  /\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\|$)|[PX^_][^\x1b]*(?:\x1b\\|$)|[ -/]*[0-~])/g;
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f]/g;

const picture = (c) => String.fromCharCode(c === "\x7f" ? 0x2421 : 0x2400 + c.charCodeAt(0));

/** The text without escape sequences; other characters that hide are shown. */
export function visible(text) {
  return showHidden(text.replace(ESCAPES, "").replace(CONTROL, picture));
}
