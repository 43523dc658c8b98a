// modes.js - what stands below the toolbar: the log, or what is drawn in its place.

/** @returns {{choose: (shown: string) => void}} */
export function bindModes(page) {
  const buttons = [...page.querySelectorAll("[data-show]")];
  const places = Object.fromEntries([...page.querySelectorAll("[data-shows]")].map((each) => [each.dataset.shows, each]));

  function choose(shown) {
    page.dataset.shown = shown;
    for (const [name, place] of Object.entries(places)) place.hidden = name !== shown;
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.show === shown));
  }

  for (const button of buttons) button.addEventListener("click", () => choose(button.dataset.show));
  if (buttons.length) choose(buttons[0].dataset.show);
  return { choose };
}
