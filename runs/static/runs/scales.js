// scales.js - from values to places on an axis, and the ticks between. Pure.
//
// A scale is {place(value) -> pixels, ticks: [{at, label}], read(value) -> text};
// place() of what the scale cannot hold (a logarithm of 0) is NaN.

const DAY = 86_400;
const TIME_STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200,
  DAY, 2 * DAY, 7 * DAY, 14 * DAY, 30.44 * DAY, 91.3 * DAY, 182.6 * DAY, 365.25 * DAY];
const LOGIT_TICKS = [0.0001, 0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999];

const same = (value) => value;
const TRANSFORMS = {
  __proto__: null, // the kind comes from a program
  log: (value) => (value > 0 ? Math.log10(value) : Number.NaN),
  symlog: (value) => Math.sign(value) * Math.log10(1 + Math.abs(value)),
  asinh: Math.asinh,
  logit: (value) => (value > 0 && value < 1 ? Math.log10(value / (1 - value)) : Number.NaN),
};
TRANSFORMS.functionlog = TRANSFORMS.log;

// Beyond this, differences of values are no numbers any more.
const LARGEST = 1e150;

/** Whether an axis can hold a value. */
export const holds = (kind, value) => Math.abs(value) < LARGEST && Number.isFinite((TRANSFORMS[kind] ?? same)(value));

/**
 * @param {string} kind  linear, datetime (values in seconds), log, symlog, asinh, logit; others are linear
 * @param {number} min  @param {number} max  of the values
 * @param {number} from  @param {number} to  pixels
 */
export function makeScale(kind, min, max, from, to) {
  if (!Number.isFinite(min) || !Number.isFinite(max)) [min, max] = kind === "log" ? [1, 10] : [0, 1];
  const transform = TRANSFORMS[kind] ?? same;
  const most = Math.max(2, Math.floor(Math.abs(to - from) / (kind === "datetime" ? 90 : 56)));
  if (kind === "datetime") return timeScale(min, max, from, to, most);
  if (transform !== same) return transformedScale(kind, transform, min, max, from, to, most);
  const step = niceStep((max - min || Math.abs(max) || 1) / most);
  const low = Math.floor(min / step + 1e-9) * step;
  const high = Math.max(Math.ceil(max / step - 1e-9) * step, low + step);
  const place = between(low, high, from, to);
  const ticks = steps(low, high, step).map((value) => ({ at: place(value), label: numberText(value, step) }));
  return { place, ticks, read: readable };
}

/** Names at equal distances; place(index) is the middle of one, `band` how wide it is. */
export function bandScale(names, from, to) {
  const count = Math.max(names.length, 1);
  const band = (to - from) / count;
  const place = (index) => from + (index + 0.5) * band;
  const every = Math.ceil(names.length / Math.max(1, Math.floor(Math.abs(to - from) / 44)));
  const fits = Math.max(3, Math.floor((Math.abs(band) * every) / 7));
  const ticks = names
    .map((name, index) => ({ at: place(index), label: shortened(name, fits) }))
    .filter((_, index) => index % every === 0);
  return { place, ticks, band, read: (index) => names[index] ?? "" };
}

function transformedScale(kind, transform, min, max, from, to, most) {
  let [low, high] = [transform(min), transform(max)];
  if (kind.endsWith("log") && kind !== "symlog") [low, high] = [Math.floor(low + 1e-9), Math.ceil(high - 1e-9)];
  if (high - low < 1e-9) [low, high] = [low - 0.5, high + 0.5];
  const onto = between(low, high, from, to);
  const place = (value) => onto(transform(value));
  const inside = candidates(kind, low, high).filter((value) => {
    const at = transform(value);
    return at >= low - 1e-9 && at <= high + 1e-9;
  });
  const every = Math.ceil(inside.length / most);
  const ticks = inside.filter((_, index) => index % every === 0);
  return { place, ticks: ticks.map((value) => ({ at: place(value), label: readable(value) })), read: readable };
}

function candidates(kind, low, high) {
  if (kind === "logit") return LOGIT_TICKS;
  if (kind === "log" || kind === "functionlog") return powers(low, high);
  const furthest = Math.min(308, Math.max(Math.abs(low), Math.abs(high)));
  const positive = powers(0, kind === "asinh" ? furthest / Math.LN10 : furthest);
  return [...positive.map((value) => -value).reverse(), 0, ...positive];
}

function powers(low, high) {
  const found = [];
  for (let power = Math.max(-308, Math.floor(low)); power <= Math.min(308, Math.ceil(high)); power++) {
    found.push(Number(`1e${power}`));
  }
  return found;
}

function timeScale(min, max, from, to, most) {
  if (max - min < 1e-6) [min, max] = [min - 1, max + 1];
  const place = between(min, max, from, to);
  const length = max - min;
  if (length < most) {
    const plain = steps(Math.ceil(min), max, niceStep(length / most));
    return { place, ticks: plain.map((value) => ({ at: place(value), label: timeText(value, 0.001) })), read: (value) => timeText(value, 1) };
  }
  const step = TIME_STEPS.find((seconds) => length / seconds <= most) ?? Math.ceil(length / most / (365.25 * DAY)) * 365.25 * DAY;
  const ticks = starts(min, max, step).map((value) => ({ at: place(value), label: timeText(value, step) }));
  return { place, ticks, read: (value) => timeText(value, value % DAY === 0 ? DAY : 1) };
}

/** Where steps of time begin: whole hours and days, first days of months and years. */
function starts(min, max, step) {
  if (step < 28 * DAY) return steps(Math.ceil(min / step) * step, max, step);
  const months = Math.max(1, Math.round(step / (30.44 * DAY)));
  const found = [];
  const begin = new Date(min * 1000);
  let month = begin.getUTCFullYear() * 12 + begin.getUTCMonth();
  month = Math.ceil(month / months) * months;
  for (; found.length < 50; month += months) {
    const value = Date.UTC(Math.floor(month / 12), month % 12, 1) / 1000;
    if (!(value <= max)) break;
    if (value >= min) found.push(value);
  }
  return found;
}

export function timeText(seconds, step) {
  const moment = new Date(seconds * 1000);
  if (Number.isNaN(moment.getTime())) return "";
  const [day, time] = moment.toISOString().split("T");
  if (step >= 360 * DAY) return day.slice(0, 4);
  if (step >= 28 * DAY) return day.slice(0, 7);
  if (step >= DAY) return day;
  if (step >= 60) return `${day.slice(5)} ${time.slice(0, 5)}`;
  return step < 1 ? time.slice(0, 12) : `${day} ${time.slice(0, 8)}`;
}

function between(low, high, from, to) {
  if (high === low) return () => (from + to) / 2;
  return (value) => from + ((value - low) / (high - low)) * (to - from);
}

/** 1, 2 or 5 times a power of ten, not smaller than `raw`. */
export function niceStep(raw) {
  if (!(raw > 1e-300)) return 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  return [1, 2, 5, 10].find((factor) => factor * power >= raw * (1 - 1e-9)) * power;
}

function steps(low, high, step) {
  const found = [];
  for (let index = 0; index <= 100 && low + index * step <= high + step * 1e-6; index++) found.push(low + index * step);
  return found;
}

/** A number on a tick: as many digits as its step needs. */
function numberText(value, step) {
  const size = Math.max(Math.abs(value), step);
  if (size >= 1e6 || size < 1e-4) return value === 0 ? "0" : readable(value);
  return value.toLocaleString("en", { minimumFractionDigits: 0, maximumFractionDigits: Math.min(8, Math.max(0, Math.ceil(-Math.log10(step) - 1e-9))) });
}

/** A number as it is read: at most six digits that mean something. */
export function readable(value) {
  if (!Number.isFinite(value)) return "no value";
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e9 || size < 1e-4)) return value.toExponential(4).replace(/\.?0+e/, "e").replace("e+", "e");
  return value.toLocaleString("en", { maximumSignificantDigits: 6 });
}

export const shortened = (text, most) => (text.length <= most ? text : `${text.slice(0, Math.max(1, most - 1))}…`);
