// events.js - how a structured event reads in one row; web/lines.py does the same.

import { clean } from "./text.js";

/** @returns {{type: string, summary: string, percent: number|null}} */
export function eventView(event) {
  const typed = typeof event.type === "string";
  let body = typed ? event.data : undefined;
  if (body === undefined || body === null) {
    body = Object.fromEntries(Object.entries(event).filter(([name]) => name !== "type" && name !== "data"));
  }
  return { type: clean(typed ? event.type : "stage"), summary: clean(summary(body)), percent: percent(body) };
}

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const isNumber = (value) => typeof value === "number";

function summary(body) {
  if (!isObject(body)) return compact(body);
  return Object.entries(body).map(([name, value]) => `${name}: ${compact(value)}`).join(" · ");
}

function compact(value) {
  return typeof value === "string" ? value.trim().split(/\s+/).join(" ") : JSON.stringify(value);
}

/** How far along, 0 to 100; null if the event does not say. */
export function percent(body) {
  if (!isObject(body)) return null;
  for (const name of ["percent", "percentage", "progress"]) {
    const value = body[name];
    if (isNumber(value) && value >= 0 && value <= 100) return value > 0 && value < 1 ? value * 100 : value;
  }
  const { current, total } = body;
  if (isNumber(current) && isNumber(total) && current >= 0 && current <= total && total > 0) {
    return (100 * current) / total;
  }
  return null;
}
