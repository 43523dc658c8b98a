// colours.js - the 256 colours of terminals, and what of them can be read on what.
// Contrast as WCAG 2.2 defines it: https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio

/** What a log is drawn on, by scheme; tokens.css has the same as --raised. */
export const GROUNDS = { light: [255, 255, 255], dark: [26, 29, 35] };
/** What reversed text is drawn on, the same as --text. */
export const INKS = { light: [28, 31, 35], dark: [227, 230, 234] };
/** AA for text. */
export const READABLE = 4.5;
const KEPT = 4096;

// The sixteen as xterm has them; on the log's own ground the tokens --ansi-0 to 15 are used.
const BASIC = [
  "000000", "cd0000", "00cd00", "cdcd00", "2a5fd0", "cd00cd", "00cdcd", "e5e5e5",
  "7f7f7f", "ff0000", "00ff00", "ffff00", "5c8cff", "ff00ff", "00ffff", "ffffff",
].map((hex) => [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16)));
const STEPS = [0, 95, 135, 175, 215, 255];

/** @param {number|number[]} colour  0 to 255, or [r, g, b] */
export function rgbOf(colour) {
  if (Array.isArray(colour)) return colour;
  if (colour < 16) return BASIC[colour];
  if (colour >= 232) return Array(3).fill(8 + 10 * (colour - 232));
  const n = colour - 16;
  return [STEPS[Math.floor(n / 36)], STEPS[Math.floor(n / 6) % 6], STEPS[n % 6]];
}

function luminance(rgb) {
  const [r, g, b] = rgb.map((value) => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

export function contrast(one, other) {
  const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

const BLACK = [0, 0, 0], WHITE = [255, 255, 255];

/** Black or white, whatever reads better on it. */
export const plainOn = (ground) => (contrast(BLACK, ground) > contrast(WHITE, ground) ? BLACK : WHITE);

const found = new Map();

/** The colour, made as much darker or lighter as it takes to be read on the ground. */
export function readableOn(colour, ground) {
  const key = `${colour} ${ground}`;
  if (!found.has(key)) {
    if (found.size >= KEPT) found.clear();
    found.set(key, nearestReadable(colour, ground));
  }
  return found.get(key);
}

function nearestReadable(colour, ground) {
  const end = plainOn(ground);
  for (let part = 0; part < 1; part += 0.05) {
    const mixed = colour.map((value, at) => Math.round(value + (end[at] - value) * part));
    if (contrast(mixed, ground) >= READABLE) return mixed;
  }
  return end;
}

export const css = (rgb) => `rgb(${rgb.join(" ")})`;
