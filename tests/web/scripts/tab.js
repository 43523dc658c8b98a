async ({ load, equal, ok }) => {
  const { iconOf, makeNotices, titleOf } = await load("tab");
  const run = { id: "r1", title: "Nightly import", status: "running", error: null };

  function makeCase({ permission = "granted", answer = "granted", away = true, kept = {} } = {}) {
    const told = [];
    class Notification {
      static permission = permission;
      static async requestPermission() {
        return (Notification.permission = answer);
      }
      constructor(title, options) {
        told.push([title, options]);
        this.close = () => told.push("closed");
        told.last = this;
      }
    }
    const storage = { getItem: (name) => kept[name] ?? null, setItem: (name, value) => (kept[name] = value) };
    const notices = makeNotices({ Notification, storage, isAway: () => away, open: () => told.push("opened") });
    return { notices, told, kept };
  }
  const ends = (notices, status = "succeeded", more = {}) => {
    notices.take(run);
    notices.take({ ...run, ...more, status });
  };

  return {
    "the title has the time only while the run goes on": () => {
      equal(titleOf(run, 178.9), "● 2:58 Nightly import");
      equal(["succeeded", "failed", "timed_out", "queued"].map((status) => titleOf({ ...run, status }, 9)),
        ["✓ Nightly import", "✕ Nightly import", "⧗ Nightly import", "○ Nightly import"]);
    },
    "each status has a picture of its own": () => {
      const all = ["queued", "starting", "running", "succeeded", "failed", "timed_out", "cancelled", "lost"];
      equal(new Set(all.map((status) => iconOf(status, "red", "white"))).size, all.length);
      ok(iconOf("failed", "rgb(1, 2, 3)", "#fff").includes(encodeURIComponent('fill="rgb(1, 2, 3)"')));
    },
    "nobody who did not ask is told": () => {
      const { notices, told } = makeCase();
      ends(notices);
      equal([notices.isOn, told], [false, []]);
    },
    "the end is told to who is elsewhere": async () => {
      const { notices, told } = makeCase({ permission: "default" });
      await notices.switchOn();
      ends(notices, "failed", { error: "Exit code 3." });
      equal(told, [["Failed: Nightly import", { body: "Exit code 3.", tag: "r1" }]]);
      told.last.onclick();
      equal(told.slice(1), ["opened", "closed"]);
    },
    "it is told once, and not to who is looking": async () => {
      const here = makeCase({ away: false });
      await here.notices.switchOn();
      ends(here.notices);
      const away = makeCase();
      await away.notices.switchOn();
      ends(away.notices);
      away.notices.take({ ...run, status: "succeeded" });
      equal([here.told.length, away.told.length], [0, 1]);
    },
    "a run that had ended before is not told": async () => {
      const { notices, told } = makeCase();
      await notices.switchOn();
      notices.take({ ...run, status: "succeeded" });
      equal(told, []);
    },
    "the choice is remembered and can be taken back": async () => {
      const { notices, kept, told } = makeCase();
      await notices.switchOn();
      ok(makeCase({ kept }).notices.isOn);
      notices.switchOff();
      ends(notices);
      equal([makeCase({ kept }).notices.isOn, told], [false, []]);
    },
    "a refusal says what to do": async () => {
      const { notices } = makeCase({ permission: "default", answer: "denied" });
      const sentence = await notices.switchOn().catch((error) => error.message);
      ok(/site settings/.test(sentence), sentence);
      ok(!notices.isOn);
    },
    "a browser without them, or without storage": async () => {
      const storage = { getItem() { throw new Error("no"); }, setItem() { throw new Error("no"); } };
      const none = makeNotices({ storage, isAway: () => true, open() {} });
      ends(none);
      equal([none.isPossible, none.isOn], [false, false]);
    },
  };
}
