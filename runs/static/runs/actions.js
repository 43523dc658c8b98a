// actions.js - what the buttons of the page's head do.

import { sentenceOf } from "./recorded.js";

/** @param {{cancel: string}} urls  @param {(error: Error) => void} failed */
export function bindActions(page, urls, failed) {
  page.querySelector("[data-cancel]")?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const form = event.target, button = form.querySelector("button");
    const say = (disabled, text) => Object.assign(button, { disabled, textContent: text });
    say(true, "Cancelling");
    try {
      await post(urls.cancel, form);
    } catch (error) {
      say(false, "Cancel");
      failed(error);
    }
  });

  page.querySelector("[data-delete]")?.addEventListener("submit", (event) => {
    if (!confirm("Delete this run and its log? This cannot be undone.")) event.preventDefault();
  });
}

async function post(address, form) {
  const headers = { "X-CSRFToken": form.elements.csrfmiddlewaretoken.value };
  const response = await fetch(address, { method: "POST", headers });
  // 409: it has ended meanwhile.
  if (!response.ok && response.status !== 409) throw new Error(await sentenceOf(response));
}
