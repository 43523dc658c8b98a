// events.js - how a structured event reads in one row; web/lines.py does the same.

import { visible } from "./text.js";

const SUMMARY_LENGTH = 1000;
const PERCENTS = ["percent", "percentage", "progress"];

/** @returns {{type: string, summary: string, percent: number|null}} */
export function eventView(event) {
  const body = bodyOf(event), far = percent(body);
  return { type: visible(typeOf(event)), summary: visible(summary(body, far)).slice(0, SUMMARY_LENGTH), percent: far };
}

export const typeOf = (event) => (typeof event.type === "string" ? event.type : "stage");

/** What an event says: its `data` member, or all of it where it has none. */
export function bodyOf(event) {
  const body = typeof event.type === "string" ? event.data : undefined;
  if (body !== undefined && body !== null) return body;
  return Object.fromEntries(Object.entries(event).filter(([name]) => name !== "type" && name !== "data"));
}

export const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const isNumber = (value) => typeof value === "number";

function summary(body, far) {
  if (!isObject(body)) return compact(body);
  // What a bar shows is not said again.
  const told = Object.entries(body).filter(([name, value]) => far === null || value !== far || !PERCENTS.includes(name));
  return told.map(([name, value]) => `${name}: ${compact(value)}`).join(" · ");
}

function compact(value) {
  // All digits are in the event itself.
  if (isNumber(value) && !Number.isInteger(value)) return String(Number(value.toPrecision(6)));
  return typeof value === "string" ? value.trim().split(/\s+/).join(" ") : JSON.stringify(value);
}

/** How far along, 0 to 100; null if the event does not say. */
export function percent(body) {
  if (!isObject(body)) return null;
  for (const name of PERCENTS) {
    const value = body[name];
    if (isNumber(value) && value >= 0 && value <= 100) return value > 0 && value < 1 ? value * 100 : value;
  }
  const { current, total } = body;
  if (isNumber(current) && isNumber(total) && current >= 0 && current <= total && total > 0) {
    return (100 * current) / total;
  }
  return null;
}
