// text.js - what a line of output looks like; web/lines.py does the same.

export const LINE_LENGTH = 10_000;

const ESCAPES =
  /\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\|$)|[PX^_][^\x1b]*(?:\x1b\\|$)|[ -/]*[0-~])/g;
// What would change how the text around it looks: shown as its number instead.
const BIDI = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f]/g;

const picture = (c) => String.fromCharCode(c === "\x7f" ? 0x2421 : 0x2400 + c.charCodeAt(0));
const number = (c) => `‹U+${c.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}›`;

/** The text without escape sequences; other characters that hide are shown. */
export function visible(text) {
  return text.replace(ESCAPES, "").replace(CONTROL, picture).replace(BIDI, number);
}

/** What a line looks like: no escape sequences, overwritten text gone. `more`: length not kept in raw. */
export function clean(raw, more = 0) {
  const cut = raw.length - LINE_LENGTH + more;
  let text = cut > 0 ? raw.slice(0, LINE_LENGTH) : raw;
  text = text.replace(ESCAPES, "").replace(/[\r\n]+$/, "");
  // A carriage return begins the line again, as progress bars do.
  text = visible(text.slice(text.lastIndexOf("\r") + 1));
  if (cut <= 0) return text;
  return `${text} … ${cut.toLocaleString("en")} more characters, all of them in the export`;
}

/** Cut after each newline, and nowhere else. */
export function pieces(text) {
  const cut = text.split("\n");
  const last = cut.pop();
  const ended = cut.map((piece) => piece + "\n");
  return last ? [...ended, last] : ended;
}
