async ({ load, equal, ok }) => {
  const { makeScreen } = await load("terminal");
  const { LINE_LENGTH } = await load("text");

  const chunkOf = (seq, line, text, more = {}) => ({ seq, t: seq / 10, line, stream: "stdout", task: 0, text, data: null, ...more });
  const newlines = (text) => text.split("\n").length - 1;

  /** All rows that these texts make, one chunk each. */
  function rowsOf(...texts) {
    return play(makeScreen(), texts);
  }

  function play(screen, texts, most) {
    const rows = [];
    let line = 0;
    texts.forEach((text, index) => {
      rows.push(...screen.feed(chunkOf(index + 1, line, text), most).added);
      line += newlines(text);
    });
    return rows;
  }

  const textsOf = (...texts) => rowsOf(...texts).map(({ text }) => text);
  const numbered = (rows) => rows.map(({ number, text }) => `${number} ${text}`);

  /** "red" in red as ["red", {fg: 1}]: what is not as usual. */
  function stylesOf(...texts) {
    return rowsOf(...texts).flatMap(({ spans }) => spans).map(({ text, style }) => {
      const set = Object.entries(style ?? {}).filter(([, value]) => value !== null && value !== false);
      return style ? [text, Object.fromEntries(set)] : text;
    });
  }

  const inPieces = (text, length) => text.match(new RegExp(`[^]{1,${length}}`, "gu"));

  return {
    // --- rows ---------------------------------------------------------------------

    "only a newline ends a row": () => {
      const rows = rowsOf("ab", "c\nd\r\n\ne");
      equal(rows.map(({ number, text, ended, key }) => [number, text, ended, key]),
        [[1, "abc", true, "1.0"], [2, "d", true, "2.1"], [3, "", true, "2.2"], [4, "e", false, "2.3"]]);
      equal([rows[0].seq, rows[0].t, rows[0].stream, rows[0].task, rows[0].more], [1, 0.1, "stdout", 0, 0]);
    },

    "a row goes on as the same object": () => {
      const screen = makeScreen();
      const first = screen.feed(chunkOf(1, 0, "on\x1b[0me "));
      const [row] = first.added;
      equal(first.changed.size, 0);
      const { added, changed } = screen.feed(chunkOf(2, 0, "two\nthree"));
      ok(changed.has(row) && changed.size === 1, "the change of the first");
      equal([row.text, row.ended, added.map(({ text }) => text)], ["one two", true, ["three"]]);
    },

    "streams and tasks have rows and styles of their own": () => {
      const screen = makeScreen();
      const rows = [
        chunkOf(1, 0, "\x1b[31mone "), chunkOf(2, 0, "bad\n", { stream: "stderr" }),
        chunkOf(3, 1, "other\n", { task: 1 }), chunkOf(4, 2, "two\n"),
      ].flatMap((chunk) => screen.feed(chunk).added);
      equal(numbered(rows), ["1 one two", "1 bad", "2 other"]);
      equal(rows.map(({ spans }) => spans[0].style?.fg ?? null), [1, null, null]);
    },

    "events, results and errors are rows of their own": () => {
      const screen = makeScreen();
      const data = { type: "progress" };
      const [event] = screen.feed(chunkOf(3, 7, "{…}\n", { stream: "event", data })).added;
      equal(event, { seq: 3, t: 0.3, stream: "event", task: 0, number: 8, key: "3.0", ended: true, text: "{…}\n", event: data });
      const [result] = screen.feed(chunkOf(4, 8, "", { stream: "result", data: { "text/plain": "4" } })).added;
      equal([result.data, result.ended], [{ "text/plain": "4" }, true]);
      equal(screen.feed(chunkOf(5, 8, "held\n", { stream: "event" })).added[0].text, "held");
    },

    "of very many lines only the last are made, with their numbers and style": () => {
      const screen = makeScreen();
      const text = `\x1b[31m${"x\n".repeat(500)}\x1b[0m\x1b[32m${"y\n".repeat(500)}`;
      const rows = screen.feed(chunkOf(1, 40, text), 3).added;
      equal(numbered(rows), ["1038 y", "1039 y", "1040 y"]);
      equal(rows[0].spans[0].style.fg, 2);
      equal(numbered(screen.feed(chunkOf(2, 1040, "z"), 3).added), ["1041 z"]);
      const { changed } = screen.feed(chunkOf(3, 1040, "\r\x1b[99AX"), 3);
      equal(numbered([...changed]), ["1038 X"]);
      screen.feed(chunkOf(4, 1040, "\n1\n2\n3\n4\n"), 3);
      equal(numbered([...screen.feed(chunkOf(5, 1045, "\x1b[99AY"), 3).changed]), ["1043 Y"]);
    },

    // --- where a program writes -----------------------------------------------------

    "a carriage return goes back, and what is written over is gone": () => {
      equal(textsOf("10%\r", "50%\r", "100%", "\r\nnext\r\n"), ["100%", "next"]);
      equal(textsOf("long line\rab\n"), ["abng line"]);
    },
    "backspace and moves in the line": () => {
      equal(textsOf("abc\b\bX\n"), ["aXc"]);
      equal(textsOf("abcdef\x1b[4DX\x1b[CY\x1b[2GZ\n"), ["aZXdYf"]);
      equal(textsOf("\x1b[5Gx\n\x1b[2Cy\n"), ["    x", "  y"]);
      equal(textsOf("unit\x1b[11G[ OK ]\n"), ["unit      [ OK ]"]);
    },
    "parts of a line are erased": () => {
      equal(textsOf("abcdef\x1b[3D\x1b[K\n"), ["abc"]);
      equal(textsOf("abcdef\x1b[3D\x1b[1KX\n"), ["   Xef"]);
      equal(textsOf("abcdef\x1b[2K\rX\n"), ["X"]);
      equal(textsOf("abcdef\r\x1b[2X\x1b[C\x1b[2P\x1b[@\n"), ["  def"]);
    },
    "rows above are written again": () => {
      const rows = rowsOf("one\ntwo\nthree\n", "\x1b[2A\x1b[2KTWO\n", "\x1b[2KTHREE\nfour\n");
      equal(numbered(rows), ["1 one", "2 TWO", "3 THREE", "6 four"]);
      equal(textsOf("a\nb\nc\n\x1b[3F\x1b[Jx\n"), ["x", "", ""]);
      equal(textsOf("a\nb\x1b[A\x1b[1Dx\x1b[Ey\n"), ["x", "y"]);
    },
    "a style and a place are saved and restored": () => {
      equal(stylesOf("\x1b[31mab\x1b7\x1b[0mc\x1b8d\n"), [["abd", { fg: 1 }]]);
      equal(textsOf("a\n\x1b[s\x1b[Ab\x1b[uc\n"), ["b", "c"]);
    },
    "there is nothing above the first row": () => {
      equal(textsOf("\x1b[5A\x1b[2Done\n\x1b[3Btwo\x1b[Mthree\n"), ["one", "twothree"]);
      equal(textsOf("\x1b[A", "a", "b\n", "c"), ["ab", "c"]);
    },
    "only the last rows can be reached": () => {
      const rows = rowsOf("x\n".repeat(1000) + "\x1b[9999Ay\n");
      equal(rows.findIndex(({ text }) => text === "y"), 800);
    },
    "a cleared screen begins below what was there, and is then drawn in place": () => {
      equal(textsOf("before\n\x1b[H\x1b[2Jone\ntwo\n", "\x1b[H\x1b[2J\x1b[3JONE\n"), ["before", "ONE", ""]);
      equal(textsOf("before\n\x1b[Aup\x1b[2Jone\n"), ["upfore", "one"]);
      equal(textsOf("one\ntwo\n\x1b[2A\x1bcthree\n"), ["one", "two", "three"]);
      const keys = rowsOf("\x1b[H\x1b[3;1Hx\x1b[5;1Hy").map(({ key }) => key);
      equal([keys.length, new Set(keys).size], [5, 5]);
      equal(textsOf("before\n\x1b[?1049h\x1b[2;3Hhere\x1b[Hthere\x1b[?1049lafter\n"), ["before", "there", "  here", "after"]);
    },
    "a line kept at the bottom of the screen stays one row": () => {
      const bar = (percent) => `\x1b7\x1b[24;0f\x1b[42mProgress: ${percent}%\x1b[49m\x1b8`;
      equal(textsOf("A\n", bar(10), "B\nC\n", bar(20), "D\n"), ["A", "Progress: 20%", "B", "C", "D"]);
      equal(textsOf("A", bar(10), "a\nB\n"), ["Aa", "Progress: 10%", "B"]);
    },
    "wide characters and marks take the columns they take": () => {
      equal(textsOf("日本語\rab\n"), ["ab本語"]);
      equal(textsOf("日本語\r\x1b[CX\n"), [" X本語"]);
      equal(textsOf("e\u0301a\rX\n", "ab\re\u0301\n"), ["Xa", "e\u0301b"]);
      equal(textsOf("a\tb\r\x1b[8CX\n"), ["a\tX"]);
      equal(textsOf("\x1b(0lqk\x1b(B q\n"), ["┌─┐ q"]);
    },

    // --- styles -----------------------------------------------------------------------

    "styles go on until they are ended": () => {
      equal(stylesOf("\x1b[1;31mred\n", "still\x1b[22m thin\x1b[0m plain"),
        [["red", { fg: 1, bold: true }], ["still", { fg: 1, bold: true }], [" thin", { fg: 1 }], " plain"]);
      equal(stylesOf("\x1b[2;3;4;7;8;9ma\x1b[22;23;24;27;28;29mb"),
        [["a", { dim: true, italic: true, underline: true, strike: true, reverse: true, hide: true }], "b"]);
      equal(stylesOf("\x1b[4:3ma\x1b[4:0mb\x1b[21mc"), [["a", { underline: true }], "b", ["c", { underline: true }]]);
    },
    "16, 256 and all colours": () => {
      equal(stylesOf("\x1b[34;43ma\x1b[94;103mb\x1b[39;49mc"), [["a", { fg: 4, bg: 3 }], ["b", { fg: 12, bg: 11 }], "c"]);
      equal(stylesOf("\x1b[38;5;208;48;2;1;2;3;1ma"), [["a", { fg: 208, bg: [1, 2, 3], bold: true }]]);
      equal(stylesOf("\x1b[38:5:208ma\x1b[38:2::1:2:3mb\x1b[38:2:4:5:6mc"),
        [["a", { fg: 208 }], ["b", { fg: [1, 2, 3] }], ["c", { fg: [4, 5, 6] }]]);
      equal(stylesOf("\x1b[58;5;1;31ma\x1b[0m\x1b[38;5;999mb\x1b[38;2;1mc"), [["a", { fg: 1 }], "bc"]);
    },
    "overwritten characters keep no style": () => {
      equal(stylesOf("\x1b[31mabcd\x1b[0m\rX\x1b[32mY\n"), ["X", ["Y", { fg: 2 }], ["cd", { fg: 1 }]]);
    },
    "links go to web addresses and nowhere else": () => {
      equal(stylesOf("\x1b]8;id=1;https://example.org/a\x1b\\here\x1b]8;;\x1b\\ there"), [["here", { href: "https://example.org/a" }], " there"]);
      for (const address of ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "//example.org", "https://a b", `https://${"x".repeat(3000)}`]) {
        equal(stylesOf(`\x1b]8;;${address}\x07x`).at(-1), "x");
      }
      equal(stylesOf("\x1b]8;;http://a.b\x07\x1b[31mx\x1b[0my"), [["x", { fg: 1, href: "http://a.b" }], ["y", { href: "http://a.b" }]]);
    },

    // --- what means nothing, and what hides --------------------------------------------

    "sequences that mean nothing here vanish": () => {
      equal(textsOf("\x1b]0;title\x07a\x1b[?25l\x1b[>4;2m\x1b[1;5r\x1b=\x1bP+q544e\x1b\\\x1b[!pb\x0e\x0f\x1b[2 q\x1b_G\x1b\\c\n"), ["abc"]);
      equal(stylesOf("\x1b[31ma\x1b[>4;2mb\x1b[?2Kc\x1b[!Dd"), [["abcd", { fg: 1 }]]);
    },
    "a sequence that is none is shown": () => {
      equal(textsOf("a\x1b]0;all is lost\nb\n"), ["a␛]0;all is lost", "b"]);
      equal(textsOf("\x1b[31\nb\x1b\x1b[0m\x1bé"), ["␛[31", "b␛␛é"]);
    },
    "characters that hide are shown by number, controls as pictures": () => {
      equal(textsOf("abc \u202e txt.exe \u2066 \x07\x7f\x00\n"), ["abc ‹U+202E› txt.exe ‹U+2066› ␇␡␀"]);
      equal(textsOf("pass\u200bwo\u00adrd\ufeff\u{e0041}\u0085\u2028\u3164|"), ["pass‹U+200B›wo‹U+00AD›rd‹U+FEFF›‹U+E0041›‹U+0085›‹U+2028›‹U+3164›|"]);
    },
    "joiners stay where scripts and emoji need them": () => {
      const texts = ["👨‍👩‍👧", "❤️", "1️⃣", "می‌خواهم", "क्‍ष"];
      equal(textsOf(texts.join("\n")), texts);
      equal(textsOf(...inPieces(texts.join("\n"), 1)), texts);
      equal(textsOf("a\u200db 日\u202e"), ["a‹U+200D›b 日‹U+202E›"]);
    },
    "the raw switch shows all there is": () => {
      const rows = play(makeScreen({ raw: true }), ["\x1b[31mred", "\x1b[0m\r\n\x1b[A\u202e\tx\n"]);
      equal(rows.map(({ number, text, ended }) => [number, text, ended]), [[1, "␛[31mred␛[0m␍", true], [2, "␛[A‹U+202E›\tx", true]]);
      equal(rows[0].spans, [{ text: "␛[31mred␛[0m␍", style: null }]);
    },

    // --- chunks -----------------------------------------------------------------------

    "however it is cut, the rows are the same": () => {
      const text = "日本\x1b[1;38;5;200mab\x1b[0m\r\nx\ty\rz\x1b[K\x1b]0;t\x1b\\\x1b]8;;https://a.b/c\x07L\x1b]8;;\x07\n"
        + "one\ntwo\x1b[A\x1b[4DQ\x1b[B\r\n👨‍👩‍👧\u202e\x1b]torn\nw\x1b[31\nv\x1b(0q\x1b(B\x1b7\x1b[2Au\x1b8!\n";
      const whole = (rows) => rows.map(({ number, spans, ended, more }) => [number, spans, ended, more]);
      for (const length of [1, 2, 3, 5, 11]) equal(whole(rowsOf(...inPieces(text, length))), whole(rowsOf(text)));
    },
    "a window that begins in the middle begins plainly": () => {
      equal(stylesOf("1mred\x1b[0m\x1b[5A\x1b8x\n"), ["xmred"]);
    },

    // --- too much -----------------------------------------------------------------------

    "a long line is kept to its limit, and the rest counted": () => {
      const screen = makeScreen();
      for (let n = 0; n < 160; n++) screen.feed(chunkOf(n + 1, 0, "x".repeat(65_536)));
      const [row] = screen.feed(chunkOf(200, 0, "end\n")).changed;
      equal([row.text.length, row.more, row.ended], [LINE_LENGTH, 160 * 65_536 + 3 - LINE_LENGTH, true]);
      const [other] = rowsOf("x".repeat(LINE_LENGTH - 1) + "😀z");
      equal([other.text.length, other.more], [LINE_LENGTH - 1, 3]);
    },
    "a long line that is written over stays within it": () => {
      const [row] = rowsOf("x".repeat(30_000), "\b\b\bYYYYYY", `\r${"z".repeat(5)}`);
      equal([row.text.length, row.more, row.text.slice(0, 7)], [LINE_LENGTH, 20_003, "zzzzzxx"]);
    },
    "a long sequence is not waited for": () => {
      const said = "‹escape sequence of more than 4,096 characters›";
      for (const text of ["\x1b]0;" + "x".repeat(1e6), "\x1b[" + "1;".repeat(5e5), "\x1b]0;" + "x".repeat(5000) + "\x07", "\x1b[" + "1;".repeat(2500) + "m"]) {
        const ended = /[\x07m]$/.test(text);
        equal(textsOf(text, ended ? "ok\n" : "\nok\n"), ended ? [`${said}ok`] : [said, "ok"]);
        equal(textsOf(...text.match(/[^]{1,1000}/g), "\n")[0], said);
      }
      equal(textsOf(`\x1b]0;${"x".repeat(5000)}\x1b`, "\\ok\n"), [`${said}ok`]);
    },
    "floods take no more than their length": () => {
      const floods = {
        "styles in one line": "\x1b[31mx".repeat(60_000),
        "colours in one line": Array.from({ length: 30_000 }, (_, n) => `\x1b[38;2;1;${n & 255};7mx`).join(""),
        "to the right edge": "a\x1b[9999Cx\n".repeat(30_000),
        "up and down long rows": "y".repeat(10_000).concat("\n").repeat(60) + "\x1b[Ax\x1b[Bx".repeat(40_000),
        "erasing long rows": "x".repeat(9000) + "\x1b[1K".repeat(80_000),
        "inserting": `${"x".repeat(900)}\r${"\x1b[999@\x1b[999P".repeat(10_000)}`,
        "erasing all": `${"x\n".repeat(200)}${"\x1b[200A\x1b[Jx\x1b[200B".repeat(15_000)}`,
        "placing": "\x1b[H\x1b[200Hx\ny\n".repeat(25_000),
        "string begins": "\x1b]".repeat(150_000),
        "bare escapes": "\x1b".repeat(300_000),
        "marks": `ab\ra${"\u0301".repeat(300_000)}`,
        "overrides": "\u202ex".repeat(150_000),
      };
      for (const [name, text] of Object.entries(floods)) {
        const began = performance.now();
        const rows = rowsOf(...text.match(/[^]{1,65536}/g));
        const length = rows.reduce((sum, row) => Math.max(sum, row.text.length), 0);
        ok(length <= LINE_LENGTH && rows.length <= 2 * newlines(text) + 250, `${name}: ${rows.length} rows of ${length}`);
        // Square growth would take minutes.
        ok(performance.now() - began < 5000, `${name}: ${Math.round(performance.now() - began)} ms`);
      }
    },
    "plain lines cost next to nothing": () => {
      const text = "hello\n".repeat(11_000);
      let best = Infinity;
      for (let turn = 0; turn < 10; turn++) {
        const began = performance.now();
        makeScreen().feed(chunkOf(1, 0, text));
        best = Math.min(best, performance.now() - began);
      }
      ok(best < 50, `${best.toFixed(1)} ms for 64 KiB of short lines`); // 2 ms on a machine with nothing else to do
    },
  };
}
