// gathered.js - many small deliveries as a few larger ones.

/** @returns {(items: object[]) => void} calls `deliver` at once, then at most every `ms` */
export function gathered(ms, deliver, env = browser) {
  let held = [], waits = false;

  function flush() {
    waits = held.length > 0;
    if (!waits) return;
    const items = held;
    held = [];
    env.setTimeout(flush, ms);
    deliver(items);
  }

  return (items) => {
    for (const item of items) held.push(item);
    if (!waits) flush();
  };
}

const browser = { setTimeout: (...args) => setTimeout(...args) };
