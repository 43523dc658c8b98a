// conversation.js - an agent's events as a conversation: what was asked, said, thought and
// done, with each tool's result at its call. Pure; conversationview.js draws it.
//
// The events are those of sandboxes/agent_main.py; whatever else comes is kept as a note.

import { isObject } from "./events.js";

export const MOST_ITEMS = 10_000;
// Of one text or result so much is kept; the rest is in the log.
export const MOST_TEXT = 100_000;

/**
 * An item: {key, kind, seq, line, t, parent, ...} with kind one of
 *   prompt {text} · text {text, role} · thinking {text, size} · error {title, text, retrying}
 *   tool {name, input, short, status: running|ok|failed, seconds, result, size, children}
 *   end {status, text, seconds, cost, turns, usage} · note {type, data}
 * What a subagent does is in the `children` of the tool call that began it.
 */
export function makeConversation() {
  const items = [], tools = new Map(), blocks = new Map();
  let seq = 0, count = 0, dropped = 0, changed = new Set(), end = null;

  function take(chunk) {
    if (chunk.seq <= seq || chunk.stream !== "event" || !isObject(chunk.data)) return;
    seq = chunk.seq;
    const data = isObject(chunk.data.data) ? chunk.data.data : {};
    const read = READERS.get(chunk.data.type);
    if (read) read(chunk, data);
    else add(chunk, data, { kind: "note", type: String(chunk.data.type ?? "event"), data: chunk.data });
  }

  function add(chunk, data, content) {
    const parent = tools.get(data.parent_tool_use_id) ?? null;
    const item = { key: `${chunk.seq}`, seq: chunk.seq, line: chunk.line, t: chunk.t, parent, ...content };
    (parent ? parent.children : items).push(item);
    touch(item);
    if (++count > MOST_ITEMS) drop();
    return item;
  }

  function touch(item) {
    for (let each = item; each; each = each.parent) changed.add(each);
  }

  /** The oldest go; the first, the prompt, stays. */
  function drop() {
    const at = items[0]?.kind === "prompt" ? 1 : 0;
    const [gone] = items.splice(at, 1);
    if (!gone) return;
    const size = 1 + (gone.children?.length ?? 0);
    count -= size;
    dropped += size;
    if (gone.id !== undefined) tools.delete(gone.id);
  }

  /** Pieces of one block belong together, as they were generated. */
  function grow(chunk, data, kind, more) {
    const text = string(data[kind]);
    const key = data.block === undefined ? null : `${kind} ${data.block}`;
    let item = key === null ? lastOf(data, kind) : blocks.get(key);
    if (!item) {
      item = add(chunk, data, { kind, text: "", size: 0, ...more });
      if (key !== null) {
        blocks.set(key, item);
        if (blocks.size > 100) blocks.delete(blocks.keys().next().value);
      }
    }
    item.size += text.length;
    item.text = (item.text + text).slice(0, MOST_TEXT);
    item.until = chunk.t;
    touch(item);
  }

  function lastOf(data, kind) {
    const last = (tools.get(data.parent_tool_use_id)?.children ?? items).at(-1);
    return last?.kind === kind ? last : null;
  }

  function toolUse(chunk, data) {
    const input = isObject(data.input) ? data.input : { input: data.input };
    const item = add(chunk, data, {
      kind: "tool", id: string(data.id), name: string(data.name) || "tool", input, short: shortInput(input),
      status: "running", seconds: null, result: null, size: 0, children: [],
    });
    if (item.id) tools.set(item.id, item);
  }

  function toolResult(chunk, data) {
    const { text, size } = textOf(data.content);
    const call = tools.get(string(data.tool_use_id));
    const done = { status: data.is_error ? "failed" : "ok", result: text, size, resultLine: chunk.line };
    if (!call) {
      add(chunk, data, { kind: "tool", name: "result", input: {}, short: "", seconds: null, children: [], ...done });
      return;
    }
    Object.assign(call, done, { seconds: Math.max(0, chunk.t - call.t) });
    touch(call);
  }

  function result(chunk, data) {
    const last = items.findLast(({ kind, role }) => kind === "text" && role !== "user");
    const text = string(data.result);
    end = add(chunk, {}, {
      kind: "end", status: data.is_error ? "failed" : "succeeded", subtype: string(data.subtype),
      // The last answer is the result; it need not be said twice.
      text: text && text.trim() !== last?.text.trim() ? text.slice(0, MOST_TEXT) : "",
      seconds: isNumber(data.duration_ms) ? data.duration_ms / 1000 : null, cost: numberOrNull(data.cost),
      turns: numberOrNull(data.num_turns), usage: isObject(data.usage) ? data.usage : null,
    });
  }

  function complete(chunk, data) {
    if (!end) end = add(chunk, {}, { kind: "end", status: data.status === "success" ? "succeeded" : "failed", text: "", seconds: null, cost: null, turns: null, usage: null });
    for (const tool of tools.values()) {
      if (tool.status !== "running") continue;
      tool.status = "unanswered";
      touch(tool);
    }
  }

  function error(chunk, data) {
    add(chunk, data, { kind: "error", title: string(data.error) || "error", text: string(data.message), retrying: data.retrying === true });
  }

  // Their names come from a program: a Map, so that none of them means anything else.
  const READERS = new Map([
    ["start", (chunk, data) => add(chunk, {}, { kind: "prompt", text: string(data.prompt ?? data.message).slice(0, MOST_TEXT) })],
    ["text", (chunk, data) => grow(chunk, data, "text", { role: data.role === "user" ? "user" : "agent" })],
    ["thinking", (chunk, data) => grow(chunk, data, "thinking")],
    ["tool_use", toolUse],
    ["tool_result", toolResult],
    ["result", result],
    ["error_msg", error],
    ["complete", complete],
  ]);

  return {
    take: (chunks) => chunks.forEach(take),
    items,
    /** What is new or other since this was asked for the last time. */
    changes() {
      const since = changed;
      changed = new Set();
      return since;
    },
    get dropped() { return dropped; },
  };
}

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
const numberOrNull = (value) => (isNumber(value) ? value : null);

function string(value) {
  if (typeof value === "string") return value;
  return value === null || value === undefined ? "" : JSON.stringify(value);
}

/** A result's content is a text, or blocks of which some are text. */
function textOf(content) {
  if (!Array.isArray(content)) {
    const text = string(content);
    return { text: text.slice(0, MOST_TEXT), size: text.length };
  }
  const parts = content.map((block) => {
    if (typeof block === "string") return block;
    if (typeof block?.text === "string") return block.text;
    if (block?.type === "image") return "[an image; see the log]";
    return string(block);
  });
  const text = parts.join("\n");
  return { text: text.slice(0, MOST_TEXT), size: text.length };
}

// What of a tool's input tells most in one line.
const TELLING = ["command", "file_path", "path", "pattern", "query", "url", "prompt", "description", "code"];

export function shortInput(input) {
  const name = TELLING.find((key) => typeof input[key] === "string" && input[key].trim());
  const text = name ? input[name] : Object.keys(input).length ? JSON.stringify(input) : "";
  return text.trim().replace(/\s+/g, " ").slice(0, 120);
}

/** "1.2 KB" */
export function sizeText(length) {
  if (length < 1000) return `${length} character${length === 1 ? "" : "s"}`;
  return length < 1_000_000 ? `${(length / 1000).toFixed(1)} KB` : `${(length / 1_000_000).toFixed(1)} MB`;
}

/** {input, output, cached} of the tokens that were used; null if not told. */
export function tokensOf(usage) {
  if (!usage) return null;
  const of = (name) => (isNumber(usage[name]) ? usage[name] : 0);
  const tokens = { input: of("input_tokens"), output: of("output_tokens"), cached: of("cache_read_input_tokens") + of("cache_creation_input_tokens") };
  return tokens.input || tokens.output || tokens.cached ? tokens : null;
}
