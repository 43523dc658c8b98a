// What the tests of modules are given. Each file beside this one is an async function
// that takes the kit and returns {name: test}; a test throws what is wrong.
(async (file) => {
  const settled = async () => {
    for (let turn = 0; turn < 20; turn++) await null;
  };

  const kit = {
    load: (name) => import(`/static/runs/${name}.js`),
    equal(actual, expected) {
      const [a, b] = [JSON.stringify(actual), JSON.stringify(expected)];
      if (a !== b) throw new Error(`${a} is not ${b}`);
    },
    ok(value, what = "it") {
      if (!value) throw new Error(`${what} does not hold: ${JSON.stringify(value)}`);
    },
    settled,
    /** A clock that stands still until it is told to go on. */
    makeClock() {
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
    },
  };

  const outcome = {};
  for (const [name, test] of Object.entries(await file(kit))) {
    try {
      await test();
      outcome[name] = "";
    } catch (error) {
      outcome[name] = error.stack ?? String(error);
    }
  }
  return outcome;
})
