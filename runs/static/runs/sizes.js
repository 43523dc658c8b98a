// sizes.js - how large a result will be, told before it is drawn, so that nothing jumps. Pure.
// A frame's content cannot be measured: it is of nobody's origin, and runs no script.

export const FRAME_LEAST = 48;
export const FRAME_MOST = 420;

const LOOKED_AT = 200_000;
const ROW = 25; // of a table, as templates/runs/result.html sets it
const LINE = 20;
const ACROSS = 110; // characters in a line

/** The height of HTML in pixels, guessed from its rows, blocks and text. */
export function htmlHeight(html) {
  const seen = html.slice(0, LOOKED_AT).replace(/<style[\s\S]*?(<\/style>|$)|<script[\s\S]*?(<\/script>|$)|<!--[\s\S]*?(-->|$)/gi, "");
  const rows = count(seen, /<tr[\s>]/gi) * Math.max(1, html.length / LOOKED_AT);
  const outside = rows ? seen.replace(/<table[\s\S]*?(<\/table>|$)/gi, "") : seen;
  const blocks = count(outside, rows ? /<(p|li|h[1-6]|br)[\s/>]/gi : /<(p|div|li|h[1-6]|br|hr|dt|dd|summary|blockquote)[\s/>]/gi);
  const lines = Math.ceil(outside.replace(/<[^>]*>?|\s+/g, " ").trim().length / ACROSS);
  const drawn = given(outside, /height\s*[=:]\s*["']?(\d{1,4})(?:px)?["';\s>]/gi);
  return bounded(16 + rows * ROW + (rows ? 8 : 0) + Math.max(blocks, lines) * (LINE + 4) + drawn);
}

/** The height of LaTeX: what stands on lines of its own, tall where it has fractions. */
export function latexHeight(latex) {
  const lines = Math.max(1, count(latex, /\\\\|\$\$|\n\s*\n/g));
  const tall = count(latex, /\\(d?frac|sum|int|prod|begin|matrix|lim)\b/g) > 0;
  return bounded(28 + lines * (tall ? 34 : 24) + Math.floor(latex.length / 400) * 24);
}

const bounded = (height) => Math.round(Math.min(FRAME_MOST, Math.max(FRAME_LEAST, height)));
const count = (text, pattern) => text.match(pattern)?.length ?? 0;
const given = (text, pattern) => [...text.matchAll(pattern)].reduce((sum, [, height]) => sum + Number(height), 0);

/** {width, height} of a PNG or GIF by its first bytes, of an SVG by its attributes; null if not told. */
export function imageSize(mime, value) {
  try {
    if (mime === "image/svg+xml") return svgSize(decodeURIComponent(value.slice(value.indexOf(",") + 1, value.indexOf(",") + 3000).replace(/%[^%]{0,2}$/, "")));
    const start = atob(value.slice(value.indexOf(",") + 1).slice(0, 64));
    const byte = (at) => start.charCodeAt(at);
    if (mime === "image/png") return sized((byte(18) << 8) | byte(19), (byte(22) << 8) | byte(23));
    if (mime === "image/gif") return sized(byte(6) | (byte(7) << 8), byte(8) | (byte(9) << 8));
  } catch {
    // What cannot be read has no size.
  }
  return null;
}

function svgSize(text) {
  const tag = /<svg[^>]*/i.exec(text)?.[0] ?? "";
  const attribute = (name) => Number.parseFloat(new RegExp(`\\s${name}\\s*=\\s*["']([\\d.]+)(px|pt)?["']`, "i").exec(tag)?.[1]);
  return sized(attribute("width"), attribute("height"));
}

const sized = (width, height) => (width > 0 && height > 0 && width < 20_000 && height < 20_000 ? { width, height } : null);
