// choices.js - what was chosen on this machine before. Some browsers refuse storage;
// then a choice holds for as long as the page is open.

export function remembered(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

export function remember(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch {
    // See above.
  }
}
