// prose.js - an answer's text in paragraphs, as agents write them: blank lines between
// paragraphs, fences around code, and a little emphasis. Pure; nothing of it is markup.

/** @returns {{kind: "text"|"heading"|"item"|"code", text: string}[]} */
export function paragraphs(text) {
  const found = [];
  let fence = null, gathered = [];
  const flush = (kind) => {
    const joined = gathered.join("\n");
    if (joined.trim() || kind === "code") found.push({ kind, text: joined });
    gathered = [];
  };
  for (const line of text.split("\n")) {
    const mark = /^\s{0,3}(```+|~~~+)/.exec(line)?.[1];
    if (fence) {
      if (mark && mark[0] === fence[0] && mark.length >= fence.length) {
        flush("code");
        fence = null;
      } else {
        gathered.push(line);
      }
    } else if (mark) {
      flush("text");
      fence = mark;
    } else if (/^#{1,6}\s/.test(line)) {
      flush("text");
      found.push({ kind: "heading", text: line.replace(/^#+\s+/, "") });
    } else if (/^\s*([-*+]|\d{1,3}[.)])\s/.test(line)) {
      flush("text");
      found.push({ kind: "item", text: line });
    } else if (line.trim() === "") {
      flush("text");
    } else {
      gathered.push(line);
    }
  }
  flush(fence ? "code" : "text");
  return fence && !found.at(-1).text ? found.slice(0, -1) : found;
}

/** Pieces of a paragraph: {text, kind: "plain"|"code"|"strong"}. */
export function pieces(text) {
  const found = [];
  let at = 0;
  for (const match of text.matchAll(/`([^`\n]+)`|\*\*([^*\n]+)\*\*/g)) {
    if (match.index > at) found.push({ kind: "plain", text: text.slice(at, match.index) });
    found.push(match[1] === undefined ? { kind: "strong", text: match[2] } : { kind: "code", text: match[1] });
    at = match.index + match[0].length;
  }
  if (at < text.length) found.push({ kind: "plain", text: text.slice(at) });
  return found;
}
