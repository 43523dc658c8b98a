// elements.js - elements made in one call. What a program wrote goes in as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";

export function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

/** A button that does not send a form. */
export function button(className, text, onClick) {
  const element = make("button", className, text);
  element.type = "button";
  if (onClick) element.addEventListener("click", onClick);
  return element;
}

/** An SVG element; attributes that are null are left out. */
export function drawing(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** A fold whose content is made when it is first opened; `unfold()` does so at once. */
export function fold(className, summary, content) {
  const element = make("details", className);
  const line = make("summary");
  line.append(...[summary].flat());
  element.append(line);
  const fill = () => element.childElementCount === 1 && element.append(...[content()].flat());
  element.addEventListener("toggle", () => element.open && fill());
  element.unfold = () => {
    element.open = true;
    fill();
  };
  return element;
}

export function progressBar(percent) {
  const bar = make("progress");
  bar.max = 100;
  bar.value = percent;
  return bar;
}
