// format.js - how times, durations and counts read; web/filters.py and web/lines.py say the same.

/** 0:00.412, 2:58.041, 1:02:58.041 */
export function clock(seconds) {
  const thousandths = Math.round(seconds * 1000);
  const pad = (number, width) => String(number).padStart(width, "0");
  const minutes = Math.floor(thousandths / 60_000);
  const rest = thousandths % 60_000;
  const tail = `${pad(Math.floor(rest / 1000), 2)}.${pad(rest % 1000, 3)}`;
  return minutes >= 60 ? `${Math.floor(minutes / 60)}:${pad(minutes % 60, 2)}:${tail}` : `${minutes}:${tail}`;
}

/** The same without the thousandths: 2:58. */
export const shortClock = (seconds) => clock(Math.floor(seconds)).slice(0, -4);

/** 0.4 s, 12 s, 3 m 12 s, 2 h 03 m */
export function lasting(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.floor(seconds);
  const minutes = Math.floor(whole / 60);
  if (minutes >= 60) return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} m`;
  return minutes ? `${minutes} m ${whole % 60} s` : `${whole} s`;
}

/** "1 line", "48,210 lines" */
export const counted = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

/** "timed_out" as people read it */
export const statusWord = (status) => status[0].toUpperCase() + status.slice(1).replace("_", " ");

export const ACTIVE = ["queued", "starting", "running"];
export const isFinal = (status) => !ACTIVE.includes(status);
