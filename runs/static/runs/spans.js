// spans.js - the spans of a row become elements. Text goes in as text, never as markup;
// colours stay readable on light and dark, and nothing a program writes is out of sight.

import { GROUNDS, INKS, contrast, css, plainOn, readableOn, rgbOf } from "./colours.js";
import { showHidden } from "./hidden.js";

const ATTRIBUTES = ["bold", "dim", "italic", "underline", "strike"];
// Below this two colours are as good as one.
const SAME = 1.25;
const LINK = /\bhttps?:\/\/[^\s\x00-\x20"<>`{}|\\^‹›\u2500-\u25ff\u3000]+/gi;
const LINK_LENGTH = 2048;
const BRACKETS = { ")": "(", "]": "[" };

/** @param {{text: string, style: object|null}[]} spans  as rows of terminal.js have them */
export function drawSpans(spans) {
  const part = document.createDocumentFragment();
  const links = linksIn(spans);
  let start = 0;
  for (const { text, style } of spans) {
    for (const [piece, address] of cutAtLinks(text, start, links)) {
      part.append(drawPiece(piece, style, targetOf(style?.href, address)));
    }
    start += text.length;
  }
  return part;
}

/** An address that can be read is where a click goes, unless the link only goes on from it. */
const targetOf = (href, address) => (href && (!address || href.startsWith(address)) ? href : address);

function drawPiece(text, style, address) {
  const plain = document.createTextNode(text);
  if (!style && !address) return plain;
  const element = document.createElement(address ? "a" : "span");
  element.append(plain);
  if (style) paint(element, style);
  if (address) makeLink(element, text, address);
  return element;
}

function makeLink(element, text, address) {
  element.classList.add("link");
  element.href = address;
  element.target = "_blank";
  element.rel = "noopener noreferrer nofollow";
  if (text !== address) element.title = showHidden(address);
}

// --- colours ------------------------------------------------------------------------

function paint(element, style) {
  for (const name of ATTRIBUTES) if (style[name]) element.classList.add(`a-${name}`);
  const [fg, bg] = style.reverse ? [style.bg, style.fg] : [style.fg, style.bg];
  if (bg !== null) paintOn(element, fg, rgbOf(bg));
  else if (style.reverse) paintReversed(element, fg);
  else if (fg !== null) paintText(element, fg);
  if (style.hide || (fg !== null && bg !== null && contrast(rgbOf(fg), rgbOf(bg)) < SAME)) {
    element.classList.add("a-hidden");
    element.title = "The program wrote this as hidden text";
  }
}

/** On a ground of the program's own, the same in both schemes. */
function paintOn(element, fg, ground) {
  element.style.backgroundColor = css(ground);
  element.style.color = css(fg === null ? plainOn(ground) : readableOn(rgbOf(fg), ground));
}

function paintReversed(element, fg) {
  element.classList.add("a-reverse");
  if (fg !== null) paintOwn(element, fg, INKS);
}

function paintText(element, fg) {
  if (!Array.isArray(fg) && fg < 16) element.classList.add(`a-${fg}`);
  else paintOwn(element, fg, GROUNDS);
}

/** Two colours of which the style sheet takes the one for the scheme. */
function paintOwn(element, fg, grounds) {
  element.classList.add("a-own");
  for (const [scheme, ground] of Object.entries(grounds)) {
    element.style.setProperty(`--${scheme}`, css(readableOn(rgbOf(fg), ground)));
  }
}

// --- links --------------------------------------------------------------------------

/** Addresses in the text of all spans: a program may colour one in parts. */
export function linksIn(spans) {
  const text = spans.length === 1 ? spans[0].text : spans.map((span) => span.text).join("");
  if (!text.includes("://")) return [];
  return [...text.matchAll(LINK)].map(({ 0: found, index }) => {
    const address = withoutEnd(found);
    return { start: index, end: index + address.length, address };
  }).filter(({ address }) => address.length <= LINK_LENGTH && /:\/\/[^/?#]/.test(address));
}

/** Punctuation that ends the sentence, and brackets that were opened before the address. */
function withoutEnd(found) {
  let end = found.length;
  const open = {};
  for (const c of found) open[c] = (open[c] ?? 0) + (c in BRACKETS || "([".includes(c) ? 1 : 0);
  for (; end > 0; end--) {
    const last = found[end - 1];
    if (last in BRACKETS && open[last] > (open[BRACKETS[last]] ?? 0)) open[last]--;
    else if (!".,:;!?'*_~…".includes(last)) break;
  }
  return found.slice(0, end);
}

/** A span's text in pieces, each with the address it is part of, if any. */
function* cutAtLinks(text, start, links) {
  let at = 0;
  while (links.length && links[0].start < start + text.length) {
    const { start: from, end, address } = links[0];
    const first = Math.max(0, from - start), last = Math.min(text.length, end - start);
    if (first > at) yield [text.slice(at, first), null];
    yield [text.slice(first, last), address];
    at = last;
    if (end > start + text.length) return;
    links.shift();
  }
  if (at < text.length) yield [text.slice(at), null];
}
