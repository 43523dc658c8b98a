// codefield.js - Tab, Shift+Tab and Enter in the fields for code, with the browser's undo.

import { broken, indented, outdented } from "./indent.js";

/**
 * @param {HTMLElement} form
 * @param {() => ("python" | "shell" | null)} language  null: keys do what they always do
 */
export function bindCodeFields(form, language) {
  // Nobody is caught: Escape gives the next Tab back to the page.
  let leaving = false;

  form.addEventListener("focusin", () => (leaving = false));
  form.addEventListener("keydown", (event) => {
    if (!event.target.matches("textarea.code") || event.isComposing) return;
    if (event.key === "Escape") {
      leaving = true;
      return;
    }
    const edit = editOf(event);
    if (event.key !== "Shift") leaving = false;
    if (!edit) return;
    event.preventDefault();
    apply(event.target, edit);
  });

  function editOf({ key, shiftKey, ctrlKey, altKey, metaKey, target }) {
    const spoken = language();
    if (!spoken || ctrlKey || altKey || metaKey) return null;
    const { value, selectionStart: start, selectionEnd: end } = target;
    if (key === "Enter" && !shiftKey) return broken(value, start, end, spoken);
    if (key !== "Tab" || leaving) return null;
    return (shiftKey ? outdented : indented)(value, start, end, spoken);
  }
}

/** As if it had been typed: only then can it be undone. */
function apply(area, { from, to, text, start, end }) {
  if (area.value.slice(from, to) !== text) {
    area.setSelectionRange(from, to);
    const typed = text ? document.execCommand("insertText", false, text) : document.execCommand("delete");
    if (!typed) {
      area.setRangeText(text, from, to);
      area.dispatchEvent(new Event("input", { bubbles: true }));
    }
  }
  area.setSelectionRange(start, end);
}
