// hidden.js - characters that cannot be seen, or that change how the text around them
// looks, and how they are shown instead.

// All that may be hidden, quickly told: what is not in here goes as it is.
const SUSPECTS =
  /[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ud82f\ud834\udb40-\udb43]/;
const HIDDEN = /[\x80-\x9f\u2028\u2029\ufff9-\ufffb]|\p{Default_Ignorable_Code_Point}/gu;
// Joiners and the two common variation selectors belong to emoji and to some scripts.
const JOINERS = /^[\u200c\u200d\ufe0e\ufe0f]$/;
const JOINED = /[\p{Extended_Pictographic}\p{Emoji_Modifier}\p{M}\ufe0f]$|[^\p{ASCII}\p{Script=Latin}\P{L}]$/u;
const KEYCAP = /[0-9#*]$/;
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f]/g;

const picture = (c) => String.fromCharCode(c === "\x7f" ? 0x2421 : 0x2400 + c.charCodeAt(0));
const number = (c) => `‹U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}›`;

export const mayHide = (text) => SUSPECTS.test(text);

/** Invisible characters by their numbers. `before`: the character that stands before the text. */
export function showHidden(text, before = "") {
  return text.replace(HIDDEN, (c, at) => (isNeeded(c, at ? text.slice(Math.max(0, at - 2), at) : before) ? c : number(c)));
}

function isNeeded(c, before) {
  if (!JOINERS.test(c)) return false;
  return JOINED.test(before) || (c === "\ufe0f" && KEYCAP.test(before));
}

/** Nothing is interpreted: every control character but the tab as its picture. */
export const showAll = (text) => (mayHide(text) ? showHidden(text.replace(CONTROL, picture)) : text);

export const showControl = picture;

/** Neither a control character (but tab, newline and CRLF) nor one that hides. */
export const isPlain = (text) => !NOT_PLAIN.test(text);
const NOT_PLAIN = new RegExp(`${SUSPECTS.source.replace("\\x0b-\\x1f", "\\x0b\\x0c\\x0e-\\x1f")}|\\r(?!\\n)`);
