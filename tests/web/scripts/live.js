async ({ load, equal, makeClock }) => {
  const { keepOpen } = await load("socket");
  const { liveSource } = await load("live");
  const { makeReach } = await load("reaching");

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

  function watchLive(cursor = 0) {
    const clock = makeClock(), sockets = makeSockets();
    const seen = { seqs: [], states: [], ended: null };
    const source = liveSource({ socket: sockets.connect, events: () => ({ addEventListener() {}, close() {} }) }, cursor, {
      chunks: (items) => seen.seqs.push(...items.map(({ seq }) => seq)),
      run() {}, error() {},
      end(message) { seen.ended = message; },
      state(state, seconds, code) {
        seen.states.push(state);
        seen.code = code;
      },
    }, clock);
    source.start();
    return { clock, sockets, seen, source };
  }

  return {
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
      equal([slow.seen.states.at(-1), slow.seen.code], ["refused", 4404]);
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

    "live: without WebSockets events are followed": async () => {
      const clock = makeClock(), sockets = makeSockets(), opened = [];
      const seen = [];
      const events = (after) => {
        const source = { after, listeners: {}, addEventListener: (name, call) => (source.listeners[name] = call), close() {} };
        opened.push(source);
        return source;
      };
      const on = { chunks: (items) => seen.push(...items), run() {}, error() {}, end() {}, state: (state) => seen.push(state) };
      liveSource({ socket: sockets.connect, events }, 7, on, clock).start();
      sockets.opened[0].drop(1006);
      await clock.pass(600);
      sockets.opened[1].drop(1006);
      equal(opened.map(({ after }) => after), [7]);
      opened[0].onopen();
      opened[0].listeners.chunk({ data: JSON.stringify(chunk(8)) });
      equal([seen.at(-1).seq, seen.at(-2)], [8, "live"]);
    },

    "reaching: it says when the server is gone and when it is back": async () => {
      let gone = true, back = 0;
      const clock = makeClock();
      const fetch = async () => {
        if (gone) throw new TypeError("Failed to fetch");
        return "answer";
      };
      const reach = makeReach("/probe", () => back++, { ...clock, fetch });
      let told = "";
      await reach("/").catch((error) => { told = error.message; });
      await clock.pass(10_000);
      equal([told.includes("cannot be reached"), back], [true, 0]);
      gone = false;
      await clock.pass(3000);
      equal([back, await reach("/"), back], [1, "answer", 1]);
    },
  };
}
