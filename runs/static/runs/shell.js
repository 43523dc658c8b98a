// shell.js - what every page has: menus that close, local times, "/" for the search.

document.addEventListener("click", ({ target }) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(target)) menu.open = false;
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    const menu = event.target.closest?.("details.menu[open]");
    if (menu) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  }
  if (event.key === "/" && !isTyping(event)) {
    event.preventDefault();
    document.querySelector("[data-search]")?.focus();
  }
});

for (const field of document.querySelectorAll("[data-select]")) {
  field.addEventListener("focus", () => field.select());
}

localTimes(document);

/** Whether a key belongs to a field, a control or the browser, and not to the page. */
export function isTyping(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return true;
  return Boolean(event.target.closest?.("input, textarea, select, dialog[open]"));
}

/** Show the times in a part of the page as the clock on this wall. */
export function localTimes(part) {
  for (const element of part.querySelectorAll("time[datetime]")) showTime(element, element.dateTime);
}

export function showTime(element, iso) {
  const moment = new Date(iso);
  const today = moment.toDateString() === new Date().toDateString();
  element.dateTime = iso;
  element.title = moment.toLocaleString();
  element.textContent = today
    ? `today ${moment.toLocaleTimeString("en-GB")}`
    : moment.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
}
