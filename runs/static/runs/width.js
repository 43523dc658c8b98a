// width.js - how many columns a character takes in a terminal.

// Below this every character that is shown takes one.
const NARROW_END = 0x300;
const NONE = /^[\p{Mn}\p{Me}\u200c\u200d\ufe0e\ufe0f]/u;
const WIDE =
  /^[\u1100-\u115f\u2329\u232a\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1f320}\u{20000}-\u{3fffd}\p{Emoji_Presentation}]/u;

export function widthOf(character) {
  const code = character.codePointAt(0);
  if (code < NARROW_END) return 1;
  if (code >= 0x2500 && code < 0x25fd) return 1; // frames and bars, by far the most frequent
  if (NONE.test(character)) return 0;
  return WIDE.test(character) ? 2 : 1;
}
