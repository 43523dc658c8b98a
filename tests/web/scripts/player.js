async ({ load, equal, ok, makeClock }) => {
  const { makePlayer } = await load("player");

  const chunk = (seq, t = seq) => ({ seq, t, line: seq - 1, stream: "stdout", task: 0, text: `${seq}\n`, data: null });
  const seqs = (chunks) => chunks.map(({ seq }) => seq);

  /** Pages of a recording, each after so many ms; it may grow, and fail. */
  function makeSource(recorded, clock, { delay = () => 0, status = "succeeded" } = {}) {
    const source = { recorded, status, asked: 0, broken: false };
    const page = (items, more) => ({
      items, last_seq: recorded.at(-1)?.seq ?? 0, next: more ? items.at(-1).seq : null, status: source.status,
    });
    const cut = (from, limit) => page(recorded.slice(from, from + limit), from + limit < recorded.length);
    const first = (holds) => {
      let low = 0, high = recorded.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (holds(recorded[middle])) high = middle;
        else low = middle + 1;
      }
      return low;
    };
    const later = (answer) => new Promise((resolve, reject) => {
      source.asked++;
      const say = () => {
        try {
          if (source.broken) reject(new Error("Log in again."));
          else resolve(answer());
        } catch (error) {
          reject(error);
        }
      };
      const wait = delay();
      if (wait) clock.setTimeout(say, wait);
      else say();
    });
    source.after = (seq, limit) => later(() => cut(first((c) => c.seq > seq), limit));
    source.at = (t, limit) => later(() => cut(first((c) => c.t >= t), limit));
    source.before = (seq, limit) => later(() => {
      const end = first((c) => c.seq >= seq);
      return page(recorded.slice(Math.max(0, end - limit), end), false);
    });
    return source;
  }

  /** A player whose screen is checked at each call: whole, in order, nothing twice. */
  function watch(recorded, options = {}) {
    const clock = makeClock();
    const source = makeSource(recorded, clock, options);
    const place = new Map(recorded.map(({ seq }, index) => [seq, index]));
    const seen = { shown: null, states: [], position: 0, failed: null, lives: 0, appended: 0, most: 0, moves: 0, skips: 0, times: new Map() };
    const indexOf = (seq) => place.get(seq) ?? recorded.findIndex((c) => c.seq === seq);
    const contiguous = (chunks) => chunks.forEach(({ seq }, n) => {
      if (n && indexOf(seq) !== indexOf(chunks[n - 1].seq) + 1) throw new Error(`${seq} does not follow`);
    });
    const player = makePlayer(source, {
      show(chunks, end, { skipped }) {
        contiguous(chunks);
        equal(end.seq, chunks.at(-1)?.seq ?? 0);
        if (!chunks.length && seen.shown?.length) ok(player.position <= recorded[0].t, "nothing before the first");
        seen.shown = seqs(chunks);
        seen.end = end;
        if (skipped) seen.skips++;
      },
      append(chunks) {
        contiguous(chunks);
        const before = seen.shown.length ? indexOf(seen.shown.at(-1)) : -1;
        if (indexOf(chunks[0].seq) !== before + 1) throw new Error(`${chunks[0].seq} after ${seen.shown.at(-1)}`);
        for (const { seq } of chunks) seen.times.set(seq, clock.now());
        seen.shown.push(...seqs(chunks));
        seen.appended += chunks.length;
        seen.most = Math.max(seen.most, chunks.length);
      },
      state: (state) => seen.states.push(state),
      position(t) {
        seen.position = t;
        seen.moves++;
      },
      live() {
        seen.lives++;
        seen.shown = null;
      },
      failed(error) { seen.failed = error; },
    }, clock);
    return { clock, player, seen, source };
  }

  /** Let time pass for what takes thousands of turns at a standstill. */
  async function passWith(clock, ms) {
    for (let passed = 0; passed < ms; passed += 50) {
      await clock.pass(50);
      await new Promise((resolve) => setTimeout(resolve));
    }
  }

  const flood = (count, perSecond) => Array.from({ length: count }, (_, n) => chunk(n + 1, n / perSecond));

  /** The same numbers every time. */
  function makeRandom(seed) {
    let state = seed;
    const random = () => {
      state = (state * 1664525 + 1013904223) >>> 0;
      return state / 2 ** 32;
    };
    random.below = (n) => Math.floor(random() * n);
    return random;
  }

  function makeRecording(random) {
    const count = [0, 1, 2, 40, 3000][random.below(5)];
    const hole = random() < 0.3 ? count >> 1 : count;
    const recorded = [];
    let t = random() < 0.5 ? 0 : 0.25;
    for (let n = 0; n < count; n++) {
      recorded.push(chunk(n < hole ? n + 1 : n + 5001, Math.round(t * 1e6) / 1e6));
      const kind = random();
      t += kind < 0.3 ? 0 : kind < 0.98 ? random() * 0.02 : random() * 60;
    }
    return recorded;
  }

  async function doAnything(seed) {
    const random = makeRandom(seed);
    const recorded = makeRecording(random);
    const { clock, player, seen, source } = watch(recorded, { delay: () => random.below(4) * 40 });
    const length = (recorded.at(-1)?.t ?? 0) + (random() < 0.5 ? 3 : 0);
    if (random() < 0.7) player.setLength(length);
    const acts = [
      player.play, player.pause, player.toggle, player.stepOn, player.stepBack, player.stepBack, player.stepOn,
      () => player.seek(random() * (length + 1)), () => player.skip(random.below(10) - 5), player.live,
      () => player.seek(recorded[random.below(recorded.length || 1)]?.t ?? 0, random() < 0.5),
      () => player.setSpeed([0.5, 1, 2, 4, 8, 16][random.below(6)]), () => player.setIdle([0, 0.5, 2][random.below(3)]),
    ];
    for (let turn = 0; turn < 40; turn++) {
      let stepped = false;
      for (let some = random.below(4); some >= 0; some--) {
        const act = acts[random.below(acts.length)];
        stepped = act === player.stepOn || act === player.stepBack;
        act();
      }
      await clock.pass(random.below(3) * random.below(2000));
      if (player.state === "live") continue;
      player.pause();
      await clock.pass(1000);
      equal([player.state, seen.failed], ["paused", null]);
      const last = seen.shown.at(-1) ?? 0;
      const shownTo = recorded.find((c) => c.seq === last), following = recorded.find((c) => c.seq > last);
      ok(!shownTo || shownTo.t <= player.position + 1e-6, `nothing of later: ${shownTo?.t} at ${player.position}`);
      ok(!following || following.t > player.position - 1e-6 || stepped, `nothing left out: ${following?.t} at ${player.position}`);
      equal(seen.position, player.position);
    }
  }

  return {
    "chunks come at their times": async () => {
      const { clock, player, seen } = watch([chunk(1, 0), chunk(2, 1), chunk(3, 2)]);
      player.play();
      await clock.pass(0);
      equal(seen.shown, [1]);
      await clock.pass(990);
      equal(seen.shown, [1]);
      await clock.pass(30);
      equal(seen.shown, [1, 2]);
      await clock.pass(970);
      equal([seen.shown, seen.lives], [[1, 2], 0]);
      await clock.pass(30);
      equal([seen.lives, seen.states.at(-1)], [1, "live"]);
    },

    "speed and idle time add up exactly": async () => {
      const random = makeRandom(7);
      const recorded = [];
      for (let n = 0, t = 0; n < 400; n++, t += random() < 0.1 ? random() * 100 : random()) {
        recorded.push(chunk(n + 1, Math.round(t * 1e6) / 1e6));
      }
      for (const [speed, idle] of [[1, 2], [16, 0.5], [0.5, 0], [4, 5]]) {
        const { clock, player, seen } = watch(recorded);
        player.setSpeed(speed);
        player.setIdle(idle);
        player.play();
        let due = 0;
        await clock.pass(0);
        for (let n = 1; n < recorded.length; n++) {
          const gap = recorded[n].t - recorded[n - 1].t;
          due += ((idle ? Math.min(gap, idle) : gap) / speed) * 1000;
          await clock.pass(Math.max(0, due - clock.now() + 17));
          if (n === recorded.length - 1) break; // the end: live
          const late = seen.times.get(n + 1) - due;
          ok(late > -0.1 && late < 17, `${late} ms late at ${speed}x, idle ${idle}`);
        }
      }
    },

    "a long silence lasts no longer than the idle time, seen from wherever one begins": async () => {
      const { clock, player, seen } = watch([chunk(1, 0), chunk(2, 3600), chunk(3, 3601)]);
      player.seek(1800, true);
      await clock.pass(1000);
      ok(Math.abs(player.position - 2700) < 60, "half of the rest");
      equal(seen.shown, [1]);
      player.pause();
      await clock.pass(60_000);
      player.play();
      await clock.pass(950);
      equal(seen.shown, [1]);
      await clock.pass(100);
      equal(seen.shown, [1, 2]);
    },

    "a seek inside a silence begins it anew": async () => {
      const { clock, player, seen } = watch([chunk(1, 0), chunk(2, 3600), chunk(3, 3601)]);
      player.play();
      await clock.pass(1000);
      player.seek(3590);
      player.play();
      await clock.pass(1950);
      equal(seen.shown, [1]);
      await clock.pass(100);
      equal(seen.shown, [1, 2]);
    },

    "pause stands still, play goes on": async () => {
      const { clock, player, seen } = watch([chunk(1, 0), chunk(2, 1), chunk(3, 5)]);
      player.play();
      await clock.pass(500);
      player.pause();
      await clock.pass(60_000);
      equal(seen.shown, [1]);
      player.play();
      await clock.pass(520);
      equal(seen.shown, [1, 2]);
    },

    "a change of speed counts from the moment it is made": async () => {
      const { clock, player, seen } = watch([chunk(1, 0), chunk(2, 9), chunk(3, 30)]);
      player.setIdle(0);
      player.play();
      await clock.pass(1040);
      player.setSpeed(16);
      await clock.pass(485);
      equal(seen.shown, [1]);
      await clock.pass(30);
      equal(seen.shown, [1, 2]);
    },

    "seeking shows what came before, this moment too, and stays paused": async () => {
      const { clock, player, seen } = watch([chunk(1, 0), chunk(2, 1), chunk(3, 1), chunk(4, 1.000001), chunk(5, 3)]);
      player.seek(1);
      await clock.pass(5000);
      equal([seen.shown, seen.end, seen.states.at(-1), seen.position], [[1, 2, 3], { seq: 3, lines: 3 }, "paused", 1]);
      player.play();
      await clock.pass(1000);
      equal(seen.shown, [1, 2, 3, 4]);
    },

    "of two seeks the last one counts, however late the first is answered": async () => {
      const delays = [400, 10, 10, 10];
      const { clock, player, seen } = watch(flood(9000, 100), { delay: () => delays.shift() ?? 10 });
      player.seek(10, true);
      player.seek(50, true);
      await clock.pass(100);
      ok(seen.shown.at(-1) > 5000, "shown");
      await clock.pass(1000);
      ok(seen.shown.at(-1) > 5080 && seen.shown.at(-1) < 5120, "went on there");
    },

    "play pressed while a seek is under way plays from there": async () => {
      const { clock, player, seen } = watch(flood(9000, 100), { delay: () => 100 });
      player.seek(10);
      player.toggle();
      equal(player.state, "playing");
      await clock.pass(1200);
      ok(seen.shown.at(-1) >= 1095 && seen.shown.at(-1) <= 1105, "about a second of it");
    },

    "chunk by chunk, both ways, among chunks of one moment and over the hole of the cap": async () => {
      const recorded = [chunk(1, 0), chunk(2, 0), chunk(3, 0), chunk(900, 7), chunk(901, 7)];
      const { clock, player, seen } = watch(recorded, { delay: () => 30 });
      player.seek(0);
      await clock.pass(100);
      equal(seen.shown, [1, 2, 3]);
      const stations = [];
      for (const move of [player.stepOn, player.stepOn, player.stepOn, player.stepBack, player.stepBack, player.stepBack,
        player.stepBack, player.stepBack, player.stepBack, player.stepOn]) {
        move();
        await clock.pass(100);
        stations.push([seen.shown.at(-1) ?? 0, player.position]);
      }
      equal(stations, [[900, 7], [901, 7], [901, 7], [900, 7], [3, 0], [2, 0], [1, 0], [0, 0], [0, 0], [1, 0]]);
    },

    "steps that come faster than pages are all taken": async () => {
      const { clock, player, seen } = watch(flood(5000, 10), { delay: () => 50 });
      player.setLength(500);
      for (let n = 0; n < 4500; n++) player.stepBack();
      await passWith(clock, 3000);
      equal(seen.shown.at(-1), 500);
      ok(seen.shown.length >= 99, "enough before it for a screen");
      for (let n = 0; n < 4400; n++) player.stepOn();
      await passWith(clock, 3000);
      equal(seen.shown.at(-1), 4900);
    },

    "one chunk back after playing needs no page": async () => {
      const { clock, player, seen, source } = watch(flood(5000, 100));
      player.seek(10, true);
      await clock.pass(5000);
      player.pause();
      const { asked } = source, last = seen.shown.at(-1);
      player.stepBack();
      await clock.pass(0);
      equal([seen.shown.at(-1), seen.shown.length >= 299, source.asked], [last - 1, true, asked]);
    },

    "one instant, nothing at all": async () => {
      for (const recorded of [[], [chunk(1, 0), chunk(2, 0)]]) {
        const { clock, player, seen } = watch(recorded);
        player.setLength(0);
        player.play();
        await clock.pass(100);
        equal([player.state, seen.lives, seen.position], ["live", 1, 0]);
        player.seek(0);
        await clock.pass(100);
        equal(seen.shown, seqs(recorded));
        player.stepBack();
        player.stepBack();
        player.stepBack();
        await clock.pass(100);
        equal([seen.shown, seen.failed], [[], null]);
      }
    },

    "the silence after the last output is part of the recording": async () => {
      const { clock, player, seen } = watch([chunk(1, 0), chunk(2, 1)]);
      player.setLength(1.8);
      player.play();
      await clock.pass(1700);
      equal([player.state, seen.shown], ["playing", [1, 2]]);
      await clock.pass(200);
      equal([player.state, seen.position], ["live", 1.8]);
    },

    "a day of sparse output": async () => {
      const recorded = Array.from({ length: 24 }, (_, n) => chunk(n + 1, n * 3600));
      const { clock, player, seen, source } = watch(recorded);
      player.setLength(86_400);
      player.play();
      await clock.pass(46_100);
      equal(seen.shown.length, 24);
      await clock.pass(2000);
      equal(player.state, "live");
      ok(source.asked < 6, "few pages");
    },

    "a long recording is loaded page by page, every chunk once": async () => {
      const { clock, player, seen } = watch(flood(5000, 1000), { delay: () => 50 });
      player.play();
      await clock.pass(4900);
      equal([seen.appended > 4700, seen.skips], [true, 0]);
      await clock.pass(500);
      equal([seen.lives, seen.states], [1, ["playing", "live"]]);
      ok(seen.moves < 5000 / 16 + 20, `moved ${seen.moves} times`);
    },

    "a flood at 16x keeps its time and draws a bounded part of it": async () => {
      const { clock, player, seen, source } = watch(flood(200_000, 10_000), { delay: () => 40 });
      player.setSpeed(16);
      player.seek(2, true);
      await clock.pass(80);
      for (let ms = 0; ms < 1000; ms += 100) {
        await clock.pass(100);
        const should = 2 + ((ms + 100) / 1000) * 16;
        ok(should - player.position < 0.4 * 16, `${player.position} of ${should}`);
      }
      ok(seen.skips >= 3, "went on further down");
      ok(seen.most <= 1000, `at most ${seen.most} at once`);
      ok(source.asked < 60, `asked ${source.asked} times`);
      await clock.pass(1000);
      equal(player.state, "live");
    },

    "a page that comes late is waited for, and nothing is left out": async () => {
      const delays = [0, 0, 9000];
      const { clock, player, seen } = watch(flood(3000, 100), { delay: () => delays.shift() ?? 10 });
      player.play();
      await clock.pass(16_000);
      ok(Math.abs(player.position - 16) < 0.1, "a page is ten seconds: it was there in time");
      equal(seen.skips, 0);

      const slowly = [0, 0, 20_000];
      const slow = watch(flood(9000, 1000), { delay: () => slowly.shift() ?? 10 });
      slow.player.play();
      await slow.clock.pass(20_200);
      ok(slow.player.position < 2.4, `time stood still at ${slow.player.position}`);
    },

    "a tab in the background catches up": async () => {
      const { clock, player, seen } = watch(flood(6000, 10));
      const { setTimeout } = clock;
      player.play();
      await clock.pass(2000);
      clock.setTimeout = (call, delay) => setTimeout(call, delay < 100 ? 60_000 : delay);
      await clock.pass(60_100);
      const caughtUp = player.position;
      ok(caughtUp > 60 && seen.shown.at(-1) > 600, `at ${caughtUp}`);
      equal([seen.skips, seen.shown.length > 600], [0, true]);
    },

    "a flood in a tab in the background is caught up with too": async () => {
      const { clock, player, seen } = watch(flood(20_000, 100));
      const { setTimeout } = clock;
      player.play();
      await clock.pass(2000);
      clock.setTimeout = (call, delay) => setTimeout(call, delay < 100 ? 60_000 : delay);
      await clock.pass(60_100);
      ok(player.position > 60 && seen.shown.at(-1) > 6000, `at ${player.position}`);
      ok(seen.most <= 1000, `${seen.most} at once`);
    },

    "a machine that slept goes on where it was": async () => {
      const { clock, player } = watch(flood(60_000, 1));
      let asleep = 0;
      const { now } = clock;
      clock.now = () => now() + asleep;
      player.play();
      await clock.pass(2000);
      asleep = 8 * 3600_000;
      await clock.pass(1000);
      ok(player.position < 3.1, `at ${player.position}`);
    },

    "what reaches the end of a run that goes on is live": async () => {
      const { clock, player, seen, source } = watch([chunk(1, 0), chunk(2, 1), chunk(3, 2)], { status: "running", delay: () => 20 });
      player.setLength(3, true);
      player.seek(0, true);
      await clock.pass(1500);
      source.recorded.push(chunk(4, 3)); // after its page was loaded
      player.setLength(4.4, true);
      await clock.pass(1000);
      equal([player.state, seen.shown], ["playing", [1, 2, 3]]);
      await clock.pass(600);
      equal([player.state, seen.lives, seen.position], ["live", 1, 4.4]);
      ok(Math.abs(seen.times.get(4) - 3040) < 20, "it came at its time");
    },

    "live: pause stands still where it is, and live returns": async () => {
      const { clock, player, seen, source } = watch([chunk(1, 0), chunk(2, 1)], { status: "running" });
      player.setLength(1.5, true);
      equal(seen.position, 1.5);
      player.toggle();
      await clock.pass(100);
      source.recorded.push(chunk(3, 2));
      player.setLength(2.5, true);
      await clock.pass(100);
      equal([player.state, seen.shown, seen.position], ["paused", [1, 2], 1.5]);
      player.skip(5);
      equal([player.state, seen.position], ["live", 2.5]);
      player.skip(-1);
      await clock.pass(100);
      equal([player.state, seen.shown, seen.position], ["paused", [1, 2], 1.5]);
      player.toggle();
      await clock.pass(520);
      equal([player.state, seen.times.has(3)], ["live", true]);
    },

    "one chunk back from live": async () => {
      const { clock, player, seen } = watch([chunk(1, 0), chunk(2, 1), chunk(3, 2)]);
      player.stepBack();
      await clock.pass(0);
      equal([seen.shown, player.position], [[1, 2], 1]);
    },

    "a page that cannot be loaded is told, and play tries again": async () => {
      const { clock, player, seen, source } = watch(flood(500, 10));
      source.broken = true;
      player.seek(3, true);
      await clock.pass(0);
      equal([seen.failed.message, player.state], ["Log in again.", "paused"]);
      player.stepOn();
      await clock.pass(0);
      equal(player.state, "paused");
      source.broken = false;
      player.play();
      await clock.pass(100);
      equal([player.state, seen.shown.at(-1)], ["playing", 32]);

      source.broken = true;
      player.seek(20);
      await clock.pass(0);
      source.broken = false;
      player.stepOn();
      await clock.pass(0);
      equal([player.state, seen.shown.at(-1), player.position], ["paused", 202, 20.1]);
    },

    "nothing is asked or called while nothing plays": async () => {
      const { clock, player, seen, source } = watch(flood(5000, 1000), { status: "running" });
      player.setLength(5, true);
      player.seek(1);
      await clock.pass(100);
      const { asked } = source, states = seen.states.length;
      await clock.pass(3600_000);
      equal([source.asked, seen.states.length], [asked, states]);
    },

    "whatever is done, the screen holds what came up to the position, once and in order": async () => {
      for (let seed = 1; seed <= 60; seed++) {
        try {
          await doAnything(seed);
        } catch (error) {
          throw new Error(`seed ${seed}: ${error.message}`);
        }
      }
    },
  };
}
