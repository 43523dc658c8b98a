// launch.js - the launch form: rows that come and go, examples that fill it, Ctrl+Enter.

import { bindCodeFields } from "./codefield.js";

const form = document.querySelector("[data-launch]");
const LANGUAGES = { command: "shell", parallel: "shell", python: "python" };

bindCodeFields(form, () => LANGUAGES[form.elements.kind.value] ?? null);
form.querySelector("[aria-invalid=true]")?.focus();

for (const area of form.querySelectorAll("[data-grows]")) grow(area);
form.addEventListener("input", ({ target }) => target.matches("[data-grows]") && grow(target));

function grow(area) {
  // Chromium and Safari do it themselves, before the first paint.
  if (CSS.supports("field-sizing", "content")) return;
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight + 2}px`;
}

form.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    form.requestSubmit(form.querySelector("[data-submit]"));
  }
});

// A second click while the first is on its way would launch a second run.
form.addEventListener("submit", (event) => {
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "yes";
});
addEventListener("pageshow", () => delete form.dataset.sent);

// --- rows ------------------------------------------------------------------------

form.addEventListener("click", (event) => {
  const { target } = event;
  if (target.matches("[data-add]")) {
    event.preventDefault();
    addRow(target.closest("[data-rows]")).querySelector("textarea, input").focus();
  } else if (target.matches("[data-remove]")) {
    const rows = target.closest("[data-rows]");
    target.closest("[data-row]").remove();
    if (!rows.querySelector("[data-row]")) addRow(rows);
  } else if (target.matches("[data-reveal]")) {
    reveal(target);
  }
});

function addRow(rows) {
  const template = rows.querySelector("template");
  const row = template.content.firstElementChild.cloneNode(true);
  template.before(row);
  const number = rows.querySelectorAll("[data-row]").length;
  const task = row.querySelector("textarea");
  if (task) task.setAttribute("aria-label", `Task ${number}`);
  return row;
}

form.addEventListener("change", ({ target }) => {
  if (!target.matches("[data-env-kind]")) return;
  const isPlain = target.value === "plain";
  target.parentNode.querySelector("[data-secret]").type = isPlain ? "text" : "password";
  target.parentNode.querySelector("[data-reveal]").textContent = isPlain ? "Hide" : "Show";
});

function reveal(button) {
  const secret = button.parentNode.querySelector("[data-secret]");
  const shown = secret.type === "password";
  secret.type = shown ? "text" : "password";
  button.textContent = shown ? "Hide" : "Show";
}

// --- examples ----------------------------------------------------------------------

for (const example of document.querySelectorAll("[data-example]")) {
  example.addEventListener("click", (event) => {
    event.preventDefault();
    fill(JSON.parse(example.dataset.example));
  });
}

function fill({ kind, mode, program, timeout, title }) {
  form.querySelector(`#kind-${kind}`).checked = true;
  if (mode) form.querySelector(`[name=mode][value=${mode}]`).checked = true;
  form.elements.timeout.value = timeout;
  form.elements.title.value = title;
  if (Array.isArray(program)) fillTasks(program);
  else form.elements.program.value = program;
  for (const area of form.querySelectorAll("[data-grows]")) grow(area);
  for (const problem of form.querySelectorAll(".problem")) problem.remove();
  for (const field of form.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
  form.scrollIntoView({ block: "nearest" });
  const first = Array.isArray(program) ? form.querySelector("[name=task]") : form.elements.program;
  first.focus({ preventScroll: true });
}

function fillTasks(program) {
  const rows = form.querySelector("[data-rows=task]");
  for (const row of rows.querySelectorAll("[data-row]")) row.remove();
  for (const text of program) addRow(rows).querySelector("textarea").value = text;
}
