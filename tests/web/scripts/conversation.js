async ({ load, equal, ok }) => {
  const { MOST_ITEMS, MOST_TEXT, makeConversation, shortInput, sizeText, tokensOf } = await load("conversation");
  const { paragraphs, pieces } = await load("prose");
  let seq = 0;
  const tell = (type, data = {}, t = seq) => ({ seq: ++seq, t, line: seq, stream: "event", task: 0, text: "", data: { type, data } });
  function talk(...chunks) {
    const conversation = makeConversation();
    conversation.take(chunks);
    return conversation;
  }
  const brief = ({ items }) => items.map(({ kind, text, name, status }) => [kind, text ?? name, status].filter(Boolean).join(" "));

  return {
    "text and thinking come in pieces and are one": () => {
      const conversation = talk(
        tell("start", { prompt: "Count." }), tell("thinking", { thinking: "Let ", block: 1 }), tell("thinking", { thinking: "me.", block: 1 }),
        tell("text", { text: "I ", block: 2 }), tell("text", { text: "count.", block: 2 }), tell("text", { text: "Done.", block: 3 }));
      equal(brief(conversation), ["prompt Count.", "thinking Let me.", "text I count.", "text Done."]);
      equal(conversation.items[1].size, 7);
    },
    "without numbers of blocks neighbours belong together": () => {
      equal(brief(talk(tell("text", { text: "a" }), tell("text", { text: "b" }), tell("thinking", { thinking: "c" }), tell("text", { text: "d" }))),
        ["text ab", "thinking c", "text d"]);
    },
    "a tool with its result, and how long it took": () => {
      const [tool] = talk(tell("tool_use", { id: "x", name: "Bash", input: { command: "ls\n -l" } }, 1),
        tell("tool_result", { tool_use_id: "x", content: "file", is_error: false }, 3.5)).items;
      equal([tool.name, tool.short, tool.status, tool.seconds, tool.result, tool.size], ["Bash", "ls -l", "ok", 2.5, "file", 4]);
    },
    "a tool that fails, one without an answer, a result without a call": () => {
      const { items } = talk(tell("tool_use", { id: "x", name: "Read", input: {} }), tell("tool_use", { id: "y", name: "Bash" }),
        tell("tool_result", { tool_use_id: "x", content: "no", is_error: true }), tell("tool_result", { tool_use_id: "?", content: "late" }), tell("complete", { status: "failed" }));
      equal(items.map(({ kind, status }) => `${kind} ${status}`), ["tool failed", "tool unanswered", "tool ok", "end failed"]);
    },
    "results in blocks": () => {
      const content = [{ type: "text", text: "a" }, "b", { type: "image", source: {} }, { type: "other" }, null];
      const [tool] = talk(tell("tool_use", { id: "x" }), tell("tool_result", { tool_use_id: "x", content })).items;
      equal(tool.result, 'a\nb\n[an image; see the log]\n{"type":"other"}\n');
    },
    "what a subagent does is in the call that began it": () => {
      const { items } = talk(tell("tool_use", { id: "x", name: "Task" }), tell("text", { text: "hi", block: 1, parent_tool_use_id: "x" }),
        tell("tool_use", { id: "y", name: "Bash", parent_tool_use_id: "x" }), tell("tool_result", { tool_use_id: "y", content: "ok", parent_tool_use_id: "x" }),
        tell("text", { text: "there", parent_tool_use_id: "gone" }));
      equal([items.length, items[0].children.map(({ kind, status }) => [kind, status])], [2, [["text", null], ["tool", "ok"]]]);
    },
    "the end says what it cost; the last answer is not said twice": () => {
      const answer = tell("text", { text: "42\n" });
      const [, end] = talk(answer, tell("result", { result: "42", cost: 0.01, num_turns: 2, duration_ms: 1500, usage: { input_tokens: 3, cache_read_input_tokens: 4, output_tokens: 5 } }), tell("complete", { status: "success" })).items;
      equal([end.kind, end.status, end.text, end.cost, end.turns, end.seconds], ["end", "succeeded", "", 0.01, 2, 1.5]);
      equal(tokensOf(end.usage), { input: 3, output: 5, cached: 4 });
      equal(talk(answer, tell("result", { result: "Other." })).items[1].text, "Other.");
      equal(brief(talk(tell("complete", { status: "success" }))), ["end succeeded"]);
    },
    "errors, and what is only tried again": () => {
      const [again, fatal] = talk(tell("error_msg", { error: "overloaded", message: "Trying again.", retrying: true }), tell("error_msg", { message: "No key." })).items;
      equal([again.retrying, fatal.title, fatal.text, fatal.retrying], [true, "error", "No key.", false]);
    },
    "other events are notes, whatever they are": () => {
      const odd = [tell("constructor"), tell("__proto__", null), { ...tell("x"), data: { type: "status", stage: 3 } }, { ...tell("x"), data: [1] }, { ...tell("x"), stream: "stdout", data: null }];
      equal(brief(talk(...odd)), ["note", "note", "note"]);
      for (const type of ["text", "thinking", "tool_use", "tool_result", "result", "error_msg", "complete", "start"]) {
        for (const data of [null, 3, [], { text: {}, input: 3, content: null, id: {}, usage: "x", cost: "much", duration_ms: NaN, block: {} }]) talk(tell(type, data));
      }
    },
    "only what changed is told": () => {
      const conversation = talk(tell("text", { text: "a", block: 1 }), tell("tool_use", { id: "x" }));
      equal([conversation.changes().size, conversation.changes().size], [2, 0]);
      conversation.take([tell("tool_use", { id: "y", parent_tool_use_id: "x" })]);
      equal([...conversation.changes()].map(({ id }) => id), ["y", "x"]);
    },
    "bounded: very many events, very long text": () => {
      const conversation = talk(tell("start", { prompt: "p" }));
      for (let n = 0; n < MOST_ITEMS + 5000; n++) conversation.take([tell("tool_use", { id: `t${n}`, name: "Bash" })]);
      equal([conversation.items.length, conversation.items[0].kind, conversation.dropped], [MOST_ITEMS, "prompt", 5001]);
      for (let n = 0; n < 30; n++) conversation.take([tell("text", { text: "x".repeat(10_000), block: "long" })]);
      equal([conversation.items.at(-1).text.length, conversation.items.at(-1).size], [MOST_TEXT, 300_000]);
    },
    "a tool's input in one line": () => {
      equal([{ command: "a\n b" }, { file_path: "/x", content: "y" }, { a: 1 }, {}].map(shortInput), ["a b", "/x", '{"a":1}', ""]);
      equal(shortInput({ command: "x".repeat(5000) }).length, 120);
      equal([1, 999, 1500, 2_000_000].map(sizeText), ["1 character", "999 characters", "1.5 KB", "2.0 MB"]);
    },

    "prose: paragraphs, lists and code": () => {
      equal(paragraphs("# A\none\ntwo\n\nthree\n- x\n- y\n```py\na = 1\n\n# b\n```\nend").map(({ kind, text }) => `${kind}:${text}`),
        ["heading:A", "text:one\ntwo", "text:three", "item:- x", "item:- y", "code:a = 1\n\n# b", "text:end"]);
    },
    "prose: code that is still being written": () => {
      equal(paragraphs("a\n```").map(({ kind }) => kind), ["text"]);
      equal(paragraphs("a\n```js\nlet").map(({ kind }) => kind), ["text", "code"]);
    },
    "prose: code and emphasis in a line": () => {
      equal(pieces("a `b` **c** <b>*").map(({ kind, text }) => `${kind}:${text}`), ["plain:a ", "code:b", "plain: ", "strong:c", "plain: <b>*"]);
    },
    "prose: long strange text takes no time": () => {
      const began = performance.now();
      for (const text of ["`".repeat(100_000), "*".repeat(100_000), "- ".repeat(50_000), "#".repeat(100_000), "\n".repeat(100_000)]) paragraphs(text).forEach((part) => pieces(part.text));
      ok(performance.now() - began < 2000, "it");
    },
  };
}
