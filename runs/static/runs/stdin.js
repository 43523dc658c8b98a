// stdin.js - type into the running program.

/** @param {(message: object) => boolean} send  false if it cannot be sent now */
export function bindStdin(form, send) {
  if (!form) return;
  const { text } = form.elements;
  const said = form.querySelector("[data-stdin-said]");
  const task = () => Number(form.elements.task?.value ?? 0);

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (deliver({ text: text.value + "\n" })) text.value = "";
  });
  form.querySelector("[data-eof]").addEventListener("click", () => {
    if (deliver({ eof: true })) said.textContent = "End of input sent";
  });

  function deliver(what) {
    const sent = send({ type: "stdin", task: task(), ...what });
    said.textContent = sent ? "" : "Not connected. Wait a moment and send it again.";
    return sent;
  }
}
