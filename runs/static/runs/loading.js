// loading.js - loads what the reader comes near to, or has jumped to, of a log.

// Loaded ahead of what is seen, in pixels; and kept behind it, in rows.
const AHEAD = 3000;
const KEPT_ROWS = 300;
const RETRY_MS = 3000;

/**
 * @param {object} reader  see reader.js
 * @param {object} geometry  see geometry.js
 * @param {{seen: () => {top: number, bottom: number, nowhere: boolean, following: boolean}, land: (row: object, rest: number) => void,
 *   toBottom: () => void, schedule: () => void, failed: (error: Error) => void}} on
 *   seen(): what part of the log is in view, and whether nothing of that is loaded;
 *   land(): a row is where the reader is now
 */
export function makeLoading(reader, geometry, on) {
  const { model } = reader;
  let retryAt = 0;

  async function load() {
    if (performance.now() < retryAt) return;
    const { top, bottom, nowhere, following } = on.seen();
    if (nowhere) return void (await fill());
    const work = [];
    if (!reader.first && !(following && reader.firstIsCut) && top - geometry.above < AHEAD) work.push(reader.earlier(seenRows));
    if (!reader.attached && geometry.loadedEnd - bottom < AHEAD) work.push(later());
    if ((await Promise.all(work)).some(Boolean)) on.schedule();
  }

  async function later() {
    const more = await reader.later();
    if (more) reader.trim(geometry.indexAt(on.seen().top - AHEAD), true);
    return more;
  }

  const seenRows = () => geometry.indexAt(on.seen().bottom) + KEPT_ROWS;

  /** The scroll bar was drawn to where nothing is loaded. */
  async function fill() {
    if (reader.busy || !reader.end.seq) return;
    await reader.toLine(lineSeen().number);
    if (!on.seen().nowhere) return;
    // Perhaps it was drawn further meanwhile.
    const { number, rest } = lineSeen();
    const row = model.rows.find((candidate) => candidate.number >= number);
    if (row) on.land(row, rest);
    else if (reader.attached) on.toBottom();
    on.schedule();
  }

  function lineSeen() {
    const { number, rest } = geometry.lineAt(on.seen().top);
    return { number: Math.max(1, Math.min(number, reader.end.lines)), rest };
  }

  function failed(error) {
    retryAt = performance.now() + RETRY_MS;
    setTimeout(on.schedule, RETRY_MS + 10);
    on.failed(error);
  }

  return { load: () => load().catch(failed), failed };
}
