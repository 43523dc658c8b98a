// resultview.js - draws a result: its richest representation, the others a click away.

import { drawChart } from "./chartview.js";
import { button, make } from "./elements.js";
import { drawTree } from "./jsontree.js";
import { altOf, representations } from "./results.js";
import { htmlHeight, imageSize, latexHeight } from "./sizes.js";
import { drawSpans } from "./spans.js";
import { makeScreen } from "./terminal.js";
import { visible } from "./text.js";

const TEXT_LENGTH = 10_000;
// Colours make elements; a longer text is shown without.
const COLOURED_LENGTH = 200_000;
// Borders, and the strip below by which a frame is made taller.
const FRAME_EDGE = 12;

/** @param {{chosen?: number}} memory  kept by the caller, so that a result drawn again looks the same */
export function drawResult(row, context, memory = {}) {
  const offered = representations(row.data, row.text);
  const block = make("div", "block result-block");
  const place = make("div", "result-place");
  const bar = make("div", "result-bar");
  const show = (index) => {
    memory.chosen = index;
    place.replaceChildren(drawPart(offered[index], row, context));
    bar.replaceChildren(...choices(offered, index, show), download(offered[index], row, context));
  };
  show(memory.chosen ?? 0);
  block.append(place, bar);
  if (offered[0].how === "text") block.classList.add("text-result");
  return block;
}

function choices(offered, shown, show) {
  if (offered.length < 2) return [];
  return offered.map(({ label }, index) => {
    const choice = button("text-button", label, () => show(index));
    choice.setAttribute("aria-pressed", String(index === shown));
    return choice;
  });
}

function download({ mime, label }, { seq }, { resultUrl, frameUrl }) {
  const link = make("a", "download", "Download");
  link.href = resultUrl ? resultUrl(seq, mime) : `${frameUrl(seq)}download?mime=${encodeURIComponent(mime)}`;
  link.download = "";
  link.setAttribute("aria-label", `Download ${label}`);
  return link;
}

function drawPart(part, row, context) {
  switch (part.how) {
    case "image": return drawImage(part, row);
    case "frame": return drawFrame(part, row, context);
    case "chart": return drawChart(part.value) ?? drawTree(part.value, 2);
    case "tree": return drawTree(part.value, 2);
    case "file": return make("p", "hint", `${part.label} cannot be shown here. Download it to see it.`);
    default: return plainText(part.value);
  }
}

function drawImage({ mime, value }, row) {
  const image = make("img", "result-image");
  image.alt = altOf(row.data);
  // Its place is kept while it is decoded.
  const size = imageSize(mime, value);
  if (size) [image.width, image.height] = [size.width, size.height];
  image.src = value;
  return image;
}

/** No script, no origin, no network: see RESULT_POLICY in web/csp.py. */
function drawFrame({ mime, label, value }, { seq }, { frameUrl }) {
  const box = make("div", "frame-box");
  box.style.height = `${(mime === "text/html" ? htmlHeight(value) : latexHeight(value)) + FRAME_EDGE}px`;
  const frame = make("iframe", "result-frame");
  frame.setAttribute("sandbox", "");
  frame.title = `${label} from the program`;
  frame.src = mime === "text/html" ? frameUrl(seq) : frameUrl(seq, mime);
  box.append(frame);
  return box;
}

/** Text in its colours, with everything in it that would hide; of very long text the beginning. */
export function plainText(text, className = "") {
  const shown = make("pre", `text ${className}`);
  shown.append(drawLines(text.slice(0, TEXT_LENGTH)));
  if (text.length <= TEXT_LENGTH) return shown;
  const part = make("div");
  const more = button("text-button", `${(text.length - TEXT_LENGTH).toLocaleString("en")} more characters`, () => {
    shown.replaceChildren(drawLines(text));
    more.remove();
  });
  part.append(shown, more);
  return part;
}

function drawLines(text) {
  if (!text.includes("\x1b") || text.length > COLOURED_LENGTH) return document.createTextNode(visible(text));
  const chunk = { seq: 0, t: 0, line: 0, task: 0, stream: "stdout", text, data: null };
  const part = document.createDocumentFragment();
  for (const [index, row] of makeScreen().feed(chunk).added.entries()) {
    if (index) part.append("\n");
    part.append(drawSpans(row.spans));
  }
  return part;
}
