// escapes.js - escape sequences: where one ends, and what a style sequence (SGR) means.

/** A sequence longer than this is not kept until its end comes. */
export const LONGEST = 4096;
const LINK_LENGTH = 2048;

const WHOLE = /\x1b(?:\[([0-?]*)([ -/]*)([@-~])|([\]PX^_k])|([ -/]*)([0-Z\\`-~]))/y;
const BEGUN = /^\x1b(?:\[[0-?]*)?[ -/]*$/;
const STRING_END = /[\x07\n\x18\x1a\x1b]/g;

/**
 * The sequence that begins at `at`, an ESC.
 * @returns {{kind, end, ...}}  kind "csi" {params, between, final}, "short" {between, final},
 *   "string" {opener, body}; or "cut" (its end has not come), "torn" (no sequence at all),
 *   "long" {within} (longer than LONGEST, wherever it ends)
 */
export function readSequence(text, at) {
  // However the text is cut into chunks: what is longer is long before its end is seen.
  const part = text.length - at > LONGEST ? text.slice(at, at + LONGEST) : text.slice(at);
  const isAll = part.length < LONGEST;
  WHOLE.lastIndex = 0;
  const found = WHOLE.exec(part);
  if (!found) return !BEGUN.test(part) ? { kind: "torn" } : isAll ? { kind: "cut" } : { kind: "long", within: "csi" };
  const start = WHOLE.lastIndex, end = at + start;
  if (found[3]) return { kind: "csi", params: found[1], between: found[2], final: found[3], end };
  if (!found[4]) return { kind: "short", between: found[5], final: found[6], end };
  return readString(part, start, found[4], at, isAll);
}

/** The string of an OSC, DCS, SOS, PM, APC or title sequence, up to its terminator. */
function readString(part, start, opener, at, isAll) {
  const { how, end } = stringEnd(part, start);
  if (how === "torn") return { kind: "torn" };
  if (how === "open") return isAll ? { kind: "cut" } : { kind: "long", within: "string" };
  return { kind: "string", opener, body: part.slice(start, end - (part[end - 1] === "\\" ? 2 : 1)), end: at + end };
}

/** how: "ended"; "open", the text ends before; "torn" by something that cannot be in it. */
export function stringEnd(text, start) {
  STRING_END.lastIndex = start;
  const found = STRING_END.exec(text);
  if (!found) return { how: "open", end: text.length };
  const at = found.index;
  if (found[0] === "\x07") return { how: "ended", end: at + 1 };
  if (found[0] !== "\x1b") return { how: "torn", end: at };
  if (at + 1 === text.length) return { how: "open", end: at };
  return text[at + 1] === "\\" ? { how: "ended", end: at + 2 } : { how: "torn", end: at };
}

// --- styles ---------------------------------------------------------------------

const NORMAL = {
  fg: null, bg: null, bold: false, dim: false, italic: false, underline: false,
  strike: false, reverse: false, hide: false, href: null,
};
const FIELDS = Object.keys(NORMAL);

/** One style for both: null, the normal one, or two with the same values. */
export function sameStyle(a, b) {
  if (a === b) return true;
  if (!a || !b) return false;
  return FIELDS.every((field) => a[field] === b[field] || (isColour(a, b, field) && String(a[field]) === String(b[field])));
}

const isColour = (a, b, field) => Array.isArray(a[field]) && Array.isArray(b[field]);

const tidy = (style) => (FIELDS.every((field) => style[field] === NORMAL[field]) ? null : style);

const SIMPLE = {
  1: { bold: true }, 2: { dim: true }, 3: { italic: true }, 4: { underline: true }, 7: { reverse: true },
  8: { hide: true }, 9: { strike: true }, 21: { underline: true }, 22: { bold: false, dim: false },
  23: { italic: false }, 24: { underline: false }, 27: { reverse: false }, 28: { hide: false },
  29: { strike: false }, 39: { fg: null }, 49: { bg: null },
};

const firsts = new Map(); // styles that come right after the normal one
const FIRSTS = 500;

/** The style after an SGR sequence with these parameters. */
export function restyle(style, params) {
  if (style) return computed(style, params);
  if (firsts.has(params)) return firsts.get(params);
  const next = computed(style, params);
  if (firsts.size < FIRSTS) firsts.set(params, next);
  return next;
}

function computed(style, params) {
  if (!style?.href && (params === "" || params === "0")) return null;
  const next = style ? { ...style } : { ...NORMAL };
  const list = params.split(";", LONGEST);
  for (let at = 0; at < list.length; at++) {
    const parts = list[at].split(":");
    const code = numeric(parts[0]);
    if (code === 0) Object.assign(next, NORMAL, { href: next.href });
    else if (code === 4) next.underline = parts[1] !== "0";
    else if (code === 38 || code === 48 || code === 58) at += setColour(next, code, parts, list, at);
    else if (SIMPLE[code]) Object.assign(next, SIMPLE[code]);
    else setBasic(next, code);
  }
  return tidy(next);
}

function setBasic(style, code) {
  if (code >= 30 && code <= 37) style.fg = code - 30;
  else if (code >= 40 && code <= 47) style.bg = code - 40;
  else if (code >= 90 && code <= 97) style.fg = code - 90 + 8;
  else if (code >= 100 && code <= 107) style.bg = code - 100 + 8;
}

/** 38;5;n, 38;2;r;g;b, or with colons in one parameter. Returns how many more were read. */
function setColour(style, code, parts, list, at) {
  const apart = parts.length === 1;
  const rest = (apart ? list.slice(at + 1, at + 5) : parts.slice(1)).map(numeric);
  // 38:2:<colour space>:r:g:b has one more than 38:2:r:g:b.
  const rgb = !apart && rest.length > 4 ? rest.slice(2, 5) : rest.slice(1, 4);
  let colour = null;
  if (rest[0] === 5 && rest[1] <= 255) colour = rest[1];
  else if (rest[0] === 2 && rgb.length === 3 && rgb.every((value) => value <= 255)) colour = rgb;
  if (colour !== null && code !== 58) style[code === 38 ? "fg" : "bg"] = colour;
  if (!apart) return 0;
  return rest[0] === 5 ? 2 : rest[0] === 2 ? 4 : 0;
}

/** A parameter: nothing is 0, and no number is too big to be told from another big one. */
export const numeric = (text) => (text ? Number(text.slice(0, 6)) || 0 : 0);

/** The style after OSC 8, the link of all that follows; only what a browser may open. */
export function relink(style, body) {
  const address = body.slice(body.indexOf(";", 2) + 1);
  const isLink = /^https?:\/\/[^\s\x00-\x1f]+$/i.test(address) && address.length <= LINK_LENGTH;
  return tidy({ ...(style ?? NORMAL), href: isLink ? address : null });
}
