// results.js - what a rich result offers, richest first, and how each of it may be shown.
//
// Results are untrusted: images become <img>, HTML and LaTeX go to a sandboxed frame
// (a page of the server's with a policy of its own), charts and JSON are drawn by us
// from their data, the rest is text. web/results.py holds the same order.

import { isObject } from "./events.js";
import { visible } from "./text.js";

const IMAGES = { "image/png": "PNG", "image/jpeg": "JPEG", "image/gif": "GIF", "image/webp": "WebP" };
const TEXTS = {
  "text/markdown": "Markdown",
  "application/javascript": "JavaScript, not run",
};
const OURS = ["execution_count"];
const BASE64 = /^[A-Za-z0-9+/=\s]*$/;

/**
 * @returns {{how: "chart"|"image"|"frame"|"tree"|"text"|"file", mime: string, label: string, value: any}[]}
 *   at least one; `value` is what is drawn, for a frame the HTML or LaTeX whose height is to be guessed
 */
export function representations(data, text) {
  if (!isObject(data)) return [{ how: "tree", mime: "application/json", label: "JSON", value: data }];
  const found = [...chart(data), ...images(data), ...frames(data), ...texts(data), ...trees(data), ...plain(data)];
  found.push(...others(data, found));
  return found.length ? found : [{ how: "text", mime: "text/plain", label: "Text", value: text }];
}

const chart = ({ chart }) => (isObject(chart) ? [{ how: "chart", mime: "chart", label: "Chart", value: chart }] : []);

function images(data) {
  const found = [];
  for (const [mime, label] of Object.entries(IMAGES)) {
    const value = string(data[mime]);
    if (value && BASE64.test(value)) {
      found.push({ how: "image", mime, label, value: `data:${mime};base64,${value.replace(/\s/g, "")}` });
    }
  }
  const svg = string(data["image/svg+xml"]);
  if (svg) {
    const value = `data:image/svg+xml,${encodeURIComponent(svg.toWellFormed?.() ?? svg)}`;
    found.push({ how: "image", mime: "image/svg+xml", label: "SVG", value });
  }
  return found;
}

function frames(data) {
  const names = { "text/html": "HTML", "text/latex": "LaTeX" };
  return Object.entries(names)
    .map(([mime, label]) => ({ how: "frame", mime, label, value: string(data[mime]) }))
    .filter(({ value }) => value);
}

function texts(data) {
  return Object.entries(TEXTS)
    .map(([mime, label]) => ({ how: "text", mime, label, value: string(data[mime]) }))
    .filter(({ value }) => value);
}

function trees(data) {
  const names = { "application/json": "JSON", data: "Data" };
  return Object.entries(names)
    .filter(([mime]) => mime in data)
    .map(([mime, label]) => ({ how: "tree", mime, label, value: data[mime] }));
}

function plain(data) {
  const value = data["text/plain"];
  if (value === undefined || value === null) return [];
  return [{ how: "text", mime: "text/plain", label: "Text", value: string(value) || String(value) }];
}

/** What we know no better way for than to offer it as a file. */
function others(data, found) {
  const known = new Set([...OURS, ...found.map(({ mime }) => mime)]);
  return Object.keys(data)
    .filter((mime) => !known.has(mime) && data[mime] !== null)
    .map((mime) => ({ how: "file", mime, label: mime === "application/pdf" ? "PDF" : visible(mime).slice(0, 60), value: data[mime] }));
}

/** How an image is named to who cannot see it. */
export const altOf = (data) => visible(string(data["text/plain"]).slice(0, 200)) || "Image from the program";

export function errorOf(data, text) {
  if (!isObject(data)) return { title: "Error", traceback: text };
  const title = [data.name, data.value].filter(Boolean).map(String).join(": ") || "Error";
  const given = data.traceback;
  const traceback = Array.isArray(given) ? given.join("\n") : String(given ?? "");
  return { title, traceback: traceback || text };
}

// Notebooks may hold a text as a list of its lines.
function string(value) {
  if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value.join("");
  return typeof value === "string" ? value : "";
}
