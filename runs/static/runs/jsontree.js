// jsontree.js - JSON as a tree that unfolds level by level, however deep or wide it is.

import { button, fold, make } from "./elements.js";
import { counted } from "./format.js";
import { visible } from "./text.js";

const PAGE = 100;
const TEXT = 400;
const INLINE = 60;

/** @param {number} levels  how many levels are open at first; wide ones stay folded */
export function drawTree(value, levels = 1) {
  const tree = make("div", "json");
  tree.append(drawNode(null, value, levels));
  return tree;
}

/** The fields of an object by themselves. */
export function drawFields(value, levels = 0) {
  const tree = make("div", "json");
  grow(tree, Object.entries(value), false, 0, levels);
  return tree;
}

function drawNode(name, value, levels) {
  if (!isBranch(value)) return leaf(name, value);
  const short = inline(value);
  if (short !== null) return line(name, make("span", "json-short", short));
  const node = fold("json-node", [...label(name), make("span", "hint", sizeOf(value))], () => {
    const list = make("div", "json-branch");
    grow(list, Object.entries(value), Array.isArray(value), 0, levels - 1);
    return list;
  });
  if (levels > 0 && Object.keys(value).length <= PAGE) node.unfold();
  return node;
}

/** The next page of a branch, and a button for the one after it. */
function grow(list, entries, isList, from, levels) {
  for (const [name, value] of entries.slice(from, from + PAGE)) {
    list.append(drawNode(isList ? Number(name) : name, value, levels));
  }
  const rest = entries.length - from - PAGE;
  if (rest <= 0) return;
  const more = button("text-button", `${rest.toLocaleString("en")} more`, () => {
    more.remove();
    grow(list, entries, isList, from + PAGE, 0);
  });
  list.append(more);
}

function leaf(name, value) {
  const text = typeof value === "string" ? `"${visible(value)}"` : String(value);
  const shown = make("span", `json-${value === null ? "null" : typeof value}`, text.slice(0, TEXT));
  const node = line(name, shown);
  if (text.length > TEXT) {
    const more = button("text-button", `${(text.length - TEXT).toLocaleString("en")} more characters`, () => {
      shown.textContent = text;
      more.remove();
    });
    node.append(more);
  }
  return node;
}

function line(name, ...content) {
  const node = make("div", "json-leaf");
  node.append(...label(name), ...content);
  return node;
}

function label(name) {
  if (name === null) return [];
  const key = make("span", typeof name === "number" ? "json-index" : "json-key", visible(String(name)).slice(0, TEXT));
  return [key, make("span", "json-colon", ": ")];
}

/** A list or an object so small that it is better seen in one line. */
function inline(value) {
  const parts = Object.entries(value);
  if (parts.length > 8 || parts.some(([, part]) => isBranch(part) || String(part).length > INLINE)) return null;
  const text = JSON.stringify(value, null, 1).replace(/\n */g, " ");
  return text.length <= INLINE ? visible(text) : null;
}

const isBranch = (value) => value !== null && typeof value === "object";

function sizeOf(value) {
  if (Array.isArray(value)) return `[ ${counted(value.length, "item")} ]`;
  return `{ ${counted(Object.keys(value).length, "field")} }`;
}
