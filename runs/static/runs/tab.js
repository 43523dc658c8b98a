// tab.js - what the browser's tab says of the run, for readers who look at another one.

import { isFinal, shortClock, statusWord } from "./format.js";

const REMEMBERED_AS = "streamsite.notify";
const BLOCKED = "This browser blocks notifications of this site. Allow them in its site settings, then try again.";
const UNABLE = "This browser shows no notifications of pages. Look at the tab's title instead.";

const LOOKS = {
  queued: ["○", `<circle cx="8" cy="8" r="3.6" fill="none" stroke-width="2"/>`],
  starting: ["◐", `<circle cx="8" cy="8" r="3.6" fill="none" stroke-width="2"/><path d="M8 5v6z" stroke-width="3"/>`],
  running: ["●", `<circle cx="8" cy="8" r="3.4"/>`],
  succeeded: ["✓", `<path d="M4 8.4l2.8 2.8L12 5.4" fill="none" stroke-width="2.2"/>`],
  failed: ["✕", `<path d="M4.8 4.8l6.4 6.4m0-6.4l-6.4 6.4" fill="none" stroke-width="2.2"/>`],
  timed_out: ["⧗", `<path d="M4.5 4h7L8 8l3.5 4h-7L8 8z" stroke-width="1"/>`],
  cancelled: ["■", `<path d="M5 5h6v6H5z" stroke-width="1"/>`],
  lost: ["◆", `<path d="M8 4l4 4-4 4-4-4z" stroke-width="1"/>`],
};
const lookOf = (status) => LOOKS[status] ?? LOOKS.lost;

/** "● 2:58 Nightly import" while it runs, "✓ Nightly import" when it has ended. */
export function titleOf({ status, title }, seconds) {
  const time = status === "running" ? `${shortClock(seconds)} ` : "";
  return `${lookOf(status)[0]} ${time}${title}`;
}

/** The address of a picture: each status has its shape, in `ground` on a tile of `tone`. */
export function iconOf(status, tone, ground) {
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="3" fill="${tone}"/>`
    + `<g fill="${ground}" stroke="${ground}" stroke-linecap="round" stroke-linejoin="round">${lookOf(status)[1]}</g></svg>`;
  return `data:image/svg+xml,${encodeURIComponent(svg)}`;
}

/**
 * Tell the end of a run to a reader who is elsewhere and has asked for it.
 * @param {{Notification?: object, storage: Storage, isAway: () => boolean, open: () => void}} means
 */
export function makeNotices({ Notification, storage, isAway, open }) {
  let before = null;
  const isOn = () => remembered(storage) === "on" && Notification?.permission === "granted";

  function tell({ id, status, title, error }) {
    // A second tab with the same run replaces this one's instead of adding its own.
    const notice = new Notification(`${statusWord(status)}: ${title}`, { body: error ?? "", tag: id });
    notice.onclick = () => {
      open();
      notice.close();
    };
  }

  return {
    get isOn() { return isOn(); },
    get isPossible() { return Boolean(Notification); },
    /** Asks the reader, the first time; rejects with a sentence if that cannot be. */
    async switchOn() {
      if (!Notification) throw new Error(UNABLE);
      if ((await Notification.requestPermission()) !== "granted") throw new Error(BLOCKED);
      remember(storage, "on");
    },
    switchOff() { remember(storage, "off"); },
    take(run) {
      const ends = before !== null && !isFinal(before) && isFinal(run.status);
      before = run.status;
      if (ends && isOn() && isAway()) tell(run);
    },
  };
}

// Storage can be forbidden; then it is asked for again on the next page.
function remembered(storage) {
  try {
    return storage.getItem(REMEMBERED_AS);
  } catch {
    return null;
  }
}

function remember(storage, value) {
  try {
    storage.setItem(REMEMBERED_AS, value);
  } catch {
    // As above.
  }
}

/**
 * The tab of the run's page.
 * @param {HTMLElement} page  has the status, and a [data-notify] button while the run goes on
 * @param {(error: Error) => void} failed
 */
export function makeTab(page, failed) {
  const button = page.querySelector("[data-notify]");
  const notices = makeNotices({
    Notification: globalThis.Notification,
    storage: localStorageOrNone(),
    isAway: () => document.hidden || !document.hasFocus(),
    open: () => window.focus(),
  });
  let shown = "";

  const showButton = () => button?.setAttribute("aria-pressed", String(notices.isOn));
  if (!notices.isPossible) button?.remove();
  showButton();
  button?.addEventListener("click", async () => {
    try {
      if (notices.isOn) notices.switchOff();
      else await notices.switchOn();
    } catch (error) {
      failed(error);
    }
    showButton();
  });

  return {
    show(run, seconds) {
      const title = titleOf(run, seconds);
      if (document.title !== title) document.title = title;
      if (shown === run.status) return;
      shown = run.status;
      showIcon(run.status, getComputedStyle(page.querySelector(".run-line .status")).color);
      if (isFinal(run.status)) button?.remove();
      try {
        notices.take(run);
      } catch {
        // Some browsers have the name but let only a service worker use it.
        failed(new Error(UNABLE));
      }
    },
  };
}

function localStorageOrNone() {
  try {
    return localStorage;
  } catch {
    return { getItem: () => null, setItem() {} };
  }
}

function showIcon(status, tone) {
  const ground = getComputedStyle(document.body).backgroundColor;
  document.querySelector("link[rel=icon]").href = iconOf(status, tone, ground);
}
