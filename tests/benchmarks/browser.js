// browser.js - measures a run's page from inside; browser.py puts it into every document
// before the page's own scripts.
//
// A frame's end is the first task behind its rendering: what was in the document by then
// has been laid out and painted.

globalThis.bench = (() => {
  const { port1, port2 } = new MessageChannel();
  const screen = () => document.querySelector("[data-log]");
  const rows = () => document.querySelector("[data-rows-of-log]");
  const lastNumber = () => Number(rows()?.lastElementChild?.dataset.number ?? 0);
  const firstPaint = () => performance.getEntriesByName("first-contentful-paint")[0]?.startTime;
  const PATIENCE_MS = 60_000;
  const frames = [], inputs = [], received = [], painted = [];
  let watchers = [], waiting = [], firstRow = null, seekAt = null, ready = null;

  // Asked for before anything else asks, it is called first of all in each frame.
  function frame() {
    requestAnimationFrame(frame);
    port2.postMessage(null);
  }

  port1.onmessage = () => {
    const now = performance.now();
    frames.push(now);
    if (firstRow === null && rows()?.querySelector(".row")) firstRow = now;
    if (ready === null && document.querySelector("[data-run][data-ready]")) ready = now;
    for (const input of inputs) input.shown ??= now - input.at;
    paint(now);
    watchers = watchers.filter((watch) => !watch(now));
  };

  // --- from frame received to pixels -----------------------------------------------------

  function paint(now) {
    const last = rows()?.lastElementChild;
    const held = waiting.findLastIndex(({ seq }) => seq <= Number(last?.dataset.seq));
    for (const { at } of waiting.splice(0, held + 1)) {
      painted.push({ at, now, text: last.querySelector(".text")?.textContent });
    }
  }

  globalThis.WebSocket = class extends WebSocket {
    constructor(...given) {
      super(...given);
      // Before the page's own handler: it is set later.
      this.addEventListener("message", ({ data }) => {
        const at = performance.now();
        received.push(at);
        const seq = data.startsWith('{"type":"chunks"') && data.slice(-40).match(/"last_seq":(\d+)}$/)?.[1];
        if (seq) waiting.push({ at, seq: Number(seq) });
      });
    }
  };

  // --- input -------------------------------------------------------------------------------

  for (const type of ["keydown", "pointerdown"]) {
    addEventListener(type, ({ timeStamp }) => {
      inputs.push({ at: timeStamp, handled: performance.now() - timeStamp });
      seekAt = timeStamp;
    }, true);
  }

  // --- seeking -----------------------------------------------------------------------------

  /** The row at a height of the log's window, 0 to 1. */
  function rowAt(share) {
    const { left, top, width, height } = screen().getBoundingClientRect();
    return document.elementFromPoint(left + width / 3, top + 2 + share * (height - 4))?.closest(".row");
  }

  const until = (isSo) =>
    new Promise((resolve, reject) => {
      setTimeout(() => reject(new Error(`waited in vain for ${isSo}`)), PATIENCE_MS);
      watchers.push((now) => {
        const so = isSo();
        if (so) resolve(now);
        return so;
      });
    });

  requestAnimationFrame(frame);

  return {
    /** Milliseconds until the lines at a share of the log stand where it was scrolled to. */
    async scrollTo(share, lines) {
      const log = screen(), began = performance.now();
      log.scrollTop = share * (log.scrollHeight - log.clientHeight);
      const wanted = 1 + (log.scrollTop / log.scrollHeight) * lines;
      const near = (row) => row && Math.abs(row.dataset.number - wanted) < 100;
      return (await until(() => near(rowAt(0)) && near(rowAt(1)))) - began;
    },
    /** Milliseconds from the pointer on the bar until the log ends where it points to. */
    async sought() {
      const bar = document.querySelector("[data-seek]");
      const near = (row) => row && Math.abs(row.dataset.t - bar.value) < 0.05;
      const now = await until(() => seekAt !== null && near(rowAt(1)));
      return now - seekAt;
    },
    forgetSeek: () => (seekAt = null),
    /** Wait until a line is drawn. */
    reaches: (number) => until(() => lastNumber() >= number),
    wasPainted: () => until(() => firstRow !== null && firstPaint() !== undefined),
    clear() {
      frames.length = inputs.length = received.length = painted.length = 0;
    },
    elements: () => document.getElementsByTagName("*").length,
    found: () => ({
      frames, inputs, painted, received: received.length, firstRow, ready,
      firstPaint: firstPaint(), firstByte: performance.getEntriesByType("navigation")[0].responseStart,
    }),
  };
})();
