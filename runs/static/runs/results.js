// results.js - what of a rich result is shown, and how; web/results.py does the same.
//
// Results are untrusted: images become <img>, HTML goes to a sandboxed frame of
// its own (a page of the server's with a policy of its own), the rest is text.

const IMAGES = ["image/png", "image/jpeg", "image/gif", "image/webp"];
const TEXTS = [
  ["text/markdown", "Markdown"],
  ["text/latex", "LaTeX"],
  ["application/javascript", "JavaScript, not run"],
];
const BASE64 = /^[A-Za-z0-9+/=\s]*$/;

/** @returns {{how: "image"|"frame"|"text"|"error", label: string, value: string}[]} */
export function partsOf(stream, data, text) {
  if (stream === "error") return [part("error", errorTitle(data), traceback(data) || text)];
  if (!isObject(data)) return [part("text", "JSON", pretty(data))];
  const rich = richest(data);
  return [rich ?? part("text", "", String(data["text/plain"] ?? text))];
}

function richest(data) {
  for (const mime of IMAGES) {
    const value = string(data[mime]);
    if (value && BASE64.test(value)) {
      return part("image", alt(data), `data:${mime};base64,${value.replace(/\s/g, "")}`);
    }
  }
  const svg = string(data["image/svg+xml"]);
  if (svg) return part("image", alt(data), `data:image/svg+xml,${encodeURIComponent(svg.toWellFormed?.() ?? svg)}`);
  if (string(data["text/html"])) return part("frame", "HTML from the program");
  for (const [mime, label] of TEXTS) {
    const value = string(data[mime]);
    if (value) return part("text", label, value);
  }
  if ("application/json" in data) return part("text", "JSON", pretty(data["application/json"]));
  return null;
}

const part = (how, label, value = "") => ({ how, label, value });
const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const pretty = (value) => JSON.stringify(value, null, 2);
const alt = (data) => string(data["text/plain"]).slice(0, 200) || "Image from the program";

// Notebooks may hold a text as a list of its lines.
function string(value) {
  if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value.join("");
  return typeof value === "string" ? value : "";
}

function errorTitle(data) {
  if (!isObject(data)) return "Error";
  return [data.name, data.value].filter(Boolean).join(": ") || "Error";
}

function traceback(data) {
  const value = isObject(data) ? data.traceback : null;
  return Array.isArray(value) ? value.join("\n") : String(value ?? "");
}
