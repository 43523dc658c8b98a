async ({ load, equal }) => {
  const { broken, indented, outdented } = await load("indent");

  /** "a[b]c" has b selected, "a[]" the cursor behind a; the same after the edit. */
  function done(call, marked, language = "python") {
    const start = marked.indexOf("["), end = marked.indexOf("]") - 1;
    const value = marked.replace(/[[\]]/g, "");
    const edit = call(value, start, end, language);
    const after = value.slice(0, edit.from) + edit.text + value.slice(edit.to);
    return `${after.slice(0, edit.start)}[${after.slice(edit.start, edit.end)}]${after.slice(edit.end)}`;
  }

  return {
    "Tab goes to the next stop": () => {
      equal(done(indented, "a\n[]"), "a\n    []");
      equal(done(indented, "ab[]c"), "ab  []c");
      equal(done(indented, "a[]", "shell"), "a []");
      equal(done(indented, "a[bc]d"), "a   []d");
    },
    "Tab moves whole lines in, and no empty ones": () => {
      equal(done(indented, "a[\n\nb]c"), "    a[\n\n    b]c");
      equal(done(indented, "[a\nb\n]c"), "    [a\n    b\n]c");
    },
    "Shift+Tab moves lines out, by one stop at most": () => {
      equal(done(outdented, "      a[]"), "  a[]");
      equal(done(outdented, " [ a\n\tb\nc]"), "[a\nb\nc]");
      equal(done(outdented, "x\n[]y"), "x\n[]y");
      equal(done(outdented, "    a[]", "shell"), "  a[]");
    },
    "Enter stays as far in": () => {
      equal(done(broken, "    a[]"), "    a\n    []");
      equal(done(broken, "\ta[b]c"), "\ta\n\t[]c");
      equal(done(broken, "  []  a"), "  \n  []  a");
    },
    "Enter goes further in behind what opens a block": () => {
      equal(done(broken, "if x:  # why[]"), "if x:  # why\n    []");
      equal(done(broken, "call([]"), "call(\n    []");
      equal(done(broken, "for i in 1; do[]", "shell"), "for i in 1; do\n  []");
      equal(done(broken, "echo undo[]", "shell"), "echo undo\n[]");
    },
  };
}
