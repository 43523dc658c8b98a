// Tests of the modules that draw nothing, run inside a page: given the examples of
// rows.json, they return {name: "" or what went wrong}.
async (cases) => {
  const load = (name) => import(`/static/runs/${name}.js`);
  const [{ addChunk, openRow }, { keepOpen }, { liveSource }, { makePlayer }, format, stages, text] =
    await Promise.all(["rows", "socket", "live", "player", "format", "stages", "text"].map(load));

  function equal(actual, expected) {
    const [a, b] = [JSON.stringify(actual), JSON.stringify(expected)];
    if (a !== b) throw new Error(`${a} is not ${b}`);
  }

  const settled = async () => {
    for (let turn = 0; turn < 20; turn++) await null;
  };

  // --- fakes -----------------------------------------------------------------------

  /** A clock that stands still until it is told to go on. */
  function makeClock() {
    let time = 0, ids = 0;
    const timers = new Map();
    return {
      now: () => time,
      random: () => 1,
      setTimeout(call, delay) {
        timers.set(++ids, { at: time + delay, call });
        return ids;
      },
      clearTimeout: (id) => timers.delete(id),
      async pass(ms) {
        const end = time + ms;
        for (;;) {
          await settled();
          const due = [...timers].filter(([, { at }]) => at <= end).sort((a, b) => a[1].at - b[1].at)[0];
          if (!due) break;
          time = Math.max(time, due[1].at);
          timers.delete(due[0]);
          due[1].call();
        }
        time = end;
        await settled();
      },
    };
  }

  function makeSockets() {
    const opened = [];
    return {
      opened,
      connect(after) {
        const socket = { after, readyState: 0, sent: [], close() {}, send: (data) => socket.sent.push(data) };
        socket.open = () => { socket.readyState = 1; socket.onopen(); };
        socket.say = (message) => socket.onmessage({ data: JSON.stringify(message) });
        socket.drop = (code) => { socket.readyState = 3; socket.onclose({ code }); };
        opened.push(socket);
        return socket;
      },
    };
  }

  const chunk = (seq, t = seq) => ({ seq, t, line: seq - 1, stream: "stdout", task: 0, text: `${seq}\n`, data: null });
  const chunks = (...seqs) => ({ type: "chunks", chunks: seqs.map((seq) => chunk(seq)) });

  function makeSource(recorded) {
    const page = (items, more) => ({ items, last_seq: recorded.at(-1).seq, next: more ? items.at(-1).seq : null });
    const cut = (items, limit) => page(items.slice(0, limit), items.length > limit);
    return {
      after: async (seq, limit) => cut(recorded.filter((c) => c.seq > seq), limit),
      before: async (seq, limit) => page(recorded.filter((c) => c.seq < seq).slice(-limit), false),
      at: async (t, limit) => cut(recorded.filter((c) => c.t >= t), limit),
    };
  }

  function watchPlayer(recorded) {
    const clock = makeClock();
    const seen = { shown: [], states: [], position: 0, failed: null };
    const player = makePlayer(makeSource(recorded), {
      show(items) { seen.shown = items.map(({ seq }) => seq); },
      append(items) { seen.shown.push(...items.map(({ seq }) => seq)); },
      state: (state) => seen.states.push(state),
      position(t) { seen.position = t; },
      live() {},
      failed(error) { seen.failed = error; },
    }, clock);
    return { clock, player, seen };
  }

  function watchLive(cursor = 0) {
    const clock = makeClock(), sockets = makeSockets();
    const seen = { seqs: [], states: [], ended: null };
    const source = liveSource({ socket: sockets.connect, events: () => ({ addEventListener() {}, close() {} }) }, cursor, {
      chunks: (items) => seen.seqs.push(...items.map(({ seq }) => seq)),
      run() {}, error() {},
      end(message) { seen.ended = message; },
      state: (state) => seen.states.push(state),
    }, clock);
    source.start();
    return { clock, sockets, seen, source };
  }

  // --- rows --------------------------------------------------------------------------

  function said({ event, parts, text }) {
    if (event) return `${event.type}|${event.summary}|${event.percent ?? ""}`;
    return parts ? parts.map(({ how, label }) => `${how}:${label}`).join(",") : text;
  }

  const tests = {};
  for (const { name, chunks: given, rows } of cases) {
    tests[`rows: ${name}`] = () => {
      const unfinished = new Map(), drawn = new Set();
      given.forEach(([stream, task, line, text, data = null], index) => {
        const made = addChunk(unfinished, { seq: index + 1, t: 0, stream, task, line, text, data });
        for (const row of made) drawn.add(row);
      });
      equal([...drawn].map((row) => [row.number, row.stream, said(row), row.ended]), rows);
    };
  }

  return runAll({
    ...tests,

    "rows: the server's open line goes on": () => {
      const row = openRow({ seq: 4, stream: "stdout", task: 0, raw: "10%\r2" });
      const made = addChunk(new Map([["stdout 0", row]]), { ...chunk(5), text: "0%\nnext" });
      equal(made.map(({ text }) => text), ["20%", "next"]);
    },

    "rows: a line without end stays small": () => {
      const unfinished = new Map();
      for (let n = 0; n < 100; n++) addChunk(unfinished, { ...chunk(n + 1), text: "x".repeat(50_000) });
      const [row] = unfinished.values();
      if (row.raw.length > 3 * text.LINE_LENGTH) throw new Error(`${row.raw.length} characters are kept`);
      equal(row.text.endsWith("4,990,000 more characters, all of them in the export"), true);
    },

    "times and durations read like the server's": () => {
      equal([0.4124, 178.041, 3778].map(format.clock), ["0:00.412", "2:58.041", "1:02:58.000"]);
      equal([0.44, 12.9, 192, 7380, null].map(format.lasting), ["0.4 s", "12 s", "3 m 12 s", "2 h 03 m", ""]);
    },

    "stages: a board of what was told, up to a time": () => {
      const tell = (seq, data) => stages.stageOf({ ...chunk(seq), stream: "event", data });
      const told = [
        tell(1, { stage: "extract", status: "started" }),
        tell(3, { stage: "extract", status: "complete", progress: 100 }),
        tell(4, { type: "progress", data: { stage: "load", progress: 20 } }),
      ];
      equal(stages.boardOf(told).map(({ name, status }) => [name, status]), [["extract", "succeeded"], ["load", "running"]]);
      equal(stages.boardOf(told, 2).map(({ status }) => status), ["running"]);
      equal(tell(5, { type: "note" }), null);
    },

    // --- live ------------------------------------------------------------------------

    "live: after a break it resumes behind the last chunk and drops what comes twice": async () => {
      const { clock, sockets, seen } = watchLive(2);
      sockets.opened[0].open();
      sockets.opened[0].say(chunks(3, 4));
      sockets.opened[0].drop(1006);
      await clock.pass(600);
      equal(sockets.opened[1].after, 4);
      sockets.opened[1].open();
      sockets.opened[1].say(chunks(4, 5));
      equal(seen.seqs, [3, 4, 5]);
    },

    "live: it waits longer each time and starts anew after a message": async () => {
      const { clock, sockets } = watchLive();
      sockets.opened[0].open();
      sockets.opened[0].say({ type: "ping" });
      for (const pause of [500, 1000, 2000]) {
        sockets.opened.at(-1).drop(1012);
        const before = sockets.opened.length;
        await clock.pass(pause - 1);
        equal(sockets.opened.length, before);
        await clock.pass(1);
        equal(sockets.opened.length, before + 1);
      }
      sockets.opened.at(-1).open();
      sockets.opened.at(-1).say({ type: "ping" });
      sockets.opened.at(-1).drop(1006);
      await clock.pass(500);
      equal(sockets.opened.length, 5);
    },

    "live: a refusal is final, a viewer that was too slow comes again": async () => {
      const slow = watchLive();
      slow.sockets.opened[0].open();
      slow.sockets.opened[0].drop(4408);
      await slow.clock.pass(600);
      equal(slow.sockets.opened.length, 2);
      slow.sockets.opened[1].drop(4404);
      await slow.clock.pass(60_000);
      equal(slow.sockets.opened.length, 2);
      equal(slow.seen.states.at(-1), "refused");
    },

    "live: a silent connection is opened again": async () => {
      const { clock, sockets } = watchLive();
      sockets.opened[0].open();
      await clock.pass(60_000);
      equal(sockets.opened.length, 2);
    },

    "live: the state is live once what was stored has come": () => {
      const { sockets, seen } = watchLive();
      sockets.opened[0].open();
      sockets.opened[0].say({ type: "hello", run: { last_seq: 3 } });
      sockets.opened[0].say(chunks(1, 2));
      equal(seen.states.at(-1), "catching up");
      sockets.opened[0].say(chunks(3));
      equal(seen.states.at(-1), "live");
    },

    "live: the end is told once and nothing is opened again": async () => {
      const { clock, sockets, seen } = watchLive();
      sockets.opened[0].open();
      sockets.opened[0].say({ type: "end", status: "failed" });
      sockets.opened[0].drop(1000);
      await clock.pass(60_000);
      equal([seen.ended.status, seen.states.at(-1), sockets.opened.length], ["failed", "ended", 1]);
    },

    "socket: nothing is sent while it is closed": () => {
      const sockets = makeSockets();
      const source = keepOpen(sockets.connect, { message() {}, state() {} }, makeClock());
      source.start();
      equal(source.send({}), false);
      sockets.opened[0].open();
      equal(source.send({ type: "cancel" }), true);
      equal(sockets.opened[0].sent, ['{"type":"cancel"}']);
    },

    // --- replay ------------------------------------------------------------------------

    "player: chunks come at their times": async () => {
      const { clock, player, seen } = watchPlayer([chunk(1, 0), chunk(2, 1), chunk(3, 2)]);
      player.play();
      await clock.pass(0);
      equal(seen.shown, [1]);
      await clock.pass(900);
      equal(seen.shown, [1]);
      await clock.pass(200);
      equal(seen.shown, [1, 2]);
      await clock.pass(1000);
      equal([seen.shown, seen.states.at(-1)], [[1, 2, 3], "live"]);
    },

    "player: speed": async () => {
      const { clock, player, seen } = watchPlayer([chunk(1, 0), chunk(2, 8), chunk(3, 16)]);
      player.setIdle(0);
      player.setSpeed(16);
      player.play();
      await clock.pass(600);
      equal(seen.shown, [1, 2]);
      await clock.pass(500);
      equal(seen.shown, [1, 2, 3]);
    },

    "player: a long silence lasts no longer than the idle time": async () => {
      const { clock, player, seen } = watchPlayer([chunk(1, 0), chunk(2, 3600), chunk(3, 3601)]);
      player.play();
      await clock.pass(1900);
      equal(seen.shown, [1]);
      await clock.pass(200);
      equal(seen.shown, [1, 2]);
      await clock.pass(800);
      equal(seen.shown, [1, 2]);
      await clock.pass(300);
      equal(seen.shown, [1, 2, 3]);
    },

    "player: pause stands still, play goes on": async () => {
      const { clock, player, seen } = watchPlayer([chunk(1, 0), chunk(2, 1), chunk(3, 5)]);
      player.play();
      await clock.pass(500);
      player.pause();
      await clock.pass(60_000);
      equal(seen.shown, [1]);
      player.play();
      await clock.pass(600);
      equal(seen.shown, [1, 2]);
    },

    "player: seeking shows what came before and stays paused": async () => {
      const { clock, player, seen } = watchPlayer([chunk(1, 0), chunk(2, 1), chunk(3, 2), chunk(4, 3)]);
      player.seek(1.5);
      await clock.pass(5000);
      equal([seen.shown, seen.states.at(-1), seen.position], [[1, 2], "paused", 1.5]);
      player.play();
      await clock.pass(600);
      equal(seen.shown, [1, 2, 3]);
    },

    "player: one chunk on, one back": async () => {
      const { clock, player, seen } = watchPlayer([chunk(1, 0), chunk(2, 1), chunk(3, 2)]);
      player.seek(0.5);
      await clock.pass(0);
      player.stepOn();
      await clock.pass(0);
      equal(seen.shown, [1, 2]);
      player.stepBack();
      await clock.pass(0);
      equal(seen.shown, [1]);
      player.stepOn();
      await clock.pass(0);
      equal(seen.shown, [1, 2]);
    },

    "player: a long recording is loaded page by page, every chunk once": async () => {
      const recorded = Array.from({ length: 5000 }, (_, n) => chunk(n + 1, n / 1000));
      const { clock, player, seen } = watchPlayer(recorded);
      player.play();
      await clock.pass(6000);
      equal([seen.shown.length, seen.shown.every((seq, n) => seq === n + 1)], [5000, true]);
    },

    "player: a page that cannot be loaded is told": async () => {
      const clock = makeClock();
      let told = null;
      const refuse = async () => { throw new Error("Log in again."); };
      const player = makePlayer({ at: refuse }, {
        show() {}, append() {}, state() {}, position() {}, live() {}, failed(error) { told = error; },
      }, clock);
      player.seek(3);
      await clock.pass(0);
      equal([told.message, player.state], ["Log in again.", "paused"]);
    },
  });

  async function runAll(all) {
    const outcome = {};
    for (const [name, test] of Object.entries(all)) {
      try {
        await test();
        outcome[name] = "";
      } catch (error) {
        outcome[name] = String(error.stack ?? error);
      }
    }
    return outcome;
  }
}
