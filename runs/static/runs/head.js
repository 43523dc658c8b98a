// head.js - the head of the run's page says what the run is doing now.

import { counted, isFinal, lasting, statusWord } from "./format.js";

/** @param {() => number} now  in ms, for what goes on between two messages */
export function makeHead(page, now = () => performance.now()) {
  const find = (name) => page.querySelector(`[data-${name}]`);
  let run = null, at = 0, lastOutput = 0;

  function setRun(given) {
    run = given;
    at = now();
    page.dataset.status = run.status;
    setStatus(page.querySelector(".run-line .status"), run.status);
    say("lines", counted(run.lines, "line"));
    say("exit", run.exit_code === null ? "" : `exit code ${run.exit_code}`);
    say("error", run.error ?? "");
    say("masked", run.masked ? `secrets masked ${run.masked.toLocaleString("en")}×` : "");
    for (const task of run.tasks) setTask(task);
    if (isFinal(run.status)) end();
    tick();
  }

  function setTask({ task, status, exit_code: code }) {
    const row = page.querySelector(`[data-task-row="${task}"]`);
    if (!row) return;
    setStatus(row.querySelector(".status"), status);
    row.querySelector("[data-task-exit]").textContent = code === null ? "" : `exit ${code}`;
  }

  function end() {
    find("cancel")?.remove();
    find("stdin")?.remove();
    find("delete")?.removeAttribute("hidden");
    const empty = find("log-empty");
    if (empty) empty.textContent = run.output_deleted ? "The output was deleted." : "The program printed nothing.";
  }

  /** Seconds since the start, going on while the run does. */
  function seconds() {
    if (!run || run.duration === null) return 0;
    return isFinal(run.status) ? run.duration : run.duration + (now() - at) / 1000;
  }

  function tick() {
    if (!run) return;
    say("lasting", run.duration === null ? "" : lasting(seconds()));
    const silent = Math.floor(seconds() - lastOutput);
    const hint = run.kind === "python" ? " Python programs need flush=True or -u where they start others." : "";
    say("stall", run.stalled && silent > 0 ? `No output for ${silent} s.${hint}` : "");
  }

  function say(name, text) {
    const element = find(name);
    element.hidden = text === "";
    if (element.textContent !== text) element.textContent = text;
  }

  return {
    setRun, tick, seconds,
    /** The newest chunk: when it came, and how many lines there are with it. */
    heard(chunk) {
      lastOutput = chunk.t;
      say("lines", counted(chunk.line + chunk.text.split("\n").length - 1, "line"));
    },
    silentSince(t) { lastOutput = t; },
    get run() { return run; },
  };
}

export function setStatus(element, status) {
  element.dataset.status = status;
  element.querySelector("[data-status-word]").textContent = statusWord(status);
}
