async ({ load, equal, ok }) => {
  const { drawSpans } = await load("spans");
  const { GROUNDS, INKS, READABLE, contrast, readableOn, rgbOf } = await load("colours");
  const { makeScreen } = await load("terminal");

  function drawn(text) {
    const [row] = makeScreen().feed({ seq: 1, t: 0, line: 0, stream: "stdout", task: 0, text, data: null }).added;
    const element = document.createElement("span");
    element.className = "text";
    element.append(drawSpans(row.spans));
    equal(element.textContent, row.text);
    return element;
  }

  const linksOf = (text) => [...drawn(text).querySelectorAll("a")].map((a) => [a.textContent, a.getAttribute("href")]);
  const addressesOf = (text) => linksOf(text).map(([, address]) => address);
  const rgbIn = (colour) => colour.match(/\d+/g).map(Number);

  /** {light: {name: rgb}, dark: {...}} of tokens.css. */
  async function tokens() {
    const text = await (await fetch("/static/runs/tokens.css")).text();
    const read = (part) => Object.fromEntries([...part.matchAll(/--([\w-]+): #([0-9a-f]{6})/g)]
      .map(([, name, hex]) => [name, [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16))]));
    const dark = [...text.matchAll(/@media \(prefers-color-scheme: dark\) \{[^}]*\}/g)].map(([part]) => part);
    return { light: read(dark.reduce((rest, part) => rest.replace(part, ""), text)), dark: read(dark.join()) };
  }

  return {
    "plain text is only text": () => {
      const element = drawn("<b>bold</b> &amp; <script>alert(1)</script>");
      equal([element.childNodes.length, element.firstChild.nodeType], [1, Node.TEXT_NODE]);
    },

    "attributes and the sixteen colours are classes": () => {
      const element = drawn("\x1b[1;3;4;9;2;33ma\x1b[0;95mb\x1b[0mc");
      equal([...element.children].map(({ className }) => className), ["a-bold a-dim a-italic a-underline a-strike a-3", "a-13"]);
      ok([...element.children].every((child) => !child.hasAttribute("style")), "no style of its own");
    },

    "the sixteen are readable on all that a log is drawn on, light and dark": async () => {
      for (const [scheme, of] of Object.entries(await tokens())) {
        equal([of.raised, of.text], [GROUNDS[scheme], INKS[scheme]]);
        for (const ground of ["raised", "surface", "sunken"]) {
          for (let n = 0; n < 16; n++) {
            const found = contrast(of[`ansi-${n}`], of[ground]);
            ok(found >= READABLE, `${scheme} --ansi-${n} on --${ground}, ${found.toFixed(2)},`);
          }
        }
      }
    },

    "every other colour is readable in both schemes": () => {
      for (let n = 16; n < 256; n++) {
        for (const ground of Object.values(GROUNDS)) ok(contrast(readableOn(rgbOf(n), ground), ground) >= READABLE, n);
      }
      const [span] = drawn("\x1b[38;2;250;250;210mpale").children;
      equal(span.className, "a-own");
      equal(rgbIn(span.style.getPropertyValue("--dark")), [250, 250, 210]);
      ok(contrast(rgbIn(span.style.getPropertyValue("--light")), GROUNDS.light) >= READABLE, "pale on white");
    },

    "on a ground of its own, text is readable whatever its colour": () => {
      for (const codes of ["47", "41", "30;44", "37;107", "48;5;226;97", "48;2;9;9;9;30", "7;31;42"]) {
        const [{ style }] = drawn(`\x1b[${codes}mx`).children;
        ok(contrast(rgbIn(style.color), rgbIn(style.backgroundColor)) >= READABLE, codes);
      }
      const [plain, onRed, red] = drawn("\x1b[7ma\x1b[31mb\x1b[39;41mc").children;
      equal([plain.className, onRed.style.backgroundColor, red.className], ["a-reverse", "rgb(205, 0, 0)", "a-reverse a-own"]);
      ok(contrast(rgbIn(red.style.getPropertyValue("--dark")), INKS.dark) >= READABLE, "red on the reverse of dark");
    },

    "hidden text is marked and can be read": () => {
      for (const codes of ["8", "31;41", "38;2;9;9;9;48;2;9;9;10"]) {
        const [span] = drawn(`\x1b[${codes}mpassword`).children;
        ok(span.classList.contains("a-hidden") && span.title, codes);
      }
      ok(!drawn("\x1b[31;42mx").children[0].classList.contains("a-hidden"), "colours that differ");
    },

    "web addresses are links, without what only follows them": () => {
      const cases = {
        "see https://example.org/a?b=c#d.": "https://example.org/a?b=c#d",
        "(http://example.org)": "http://example.org",
        "https://en.wikipedia.org/wiki/A_(b), and": "https://en.wikipedia.org/wiki/A_(b)",
        "[x](https://example.org/y)": "https://example.org/y",
        "<https://example.org>": "https://example.org",
        '"https://example.org/a",': "https://example.org/a",
        "│ https://example.org/a│": "https://example.org/a",
        "HTTPS://EXAMPLE.ORG:8000/!": "HTTPS://EXAMPLE.ORG:8000/",
        "https://[::1]:80/a]": "https://[::1]:80/a",
        "https://a.example…": "https://a.example",
      };
      for (const [text, address] of Object.entries(cases)) equal(addressesOf(text), [address]);
      equal(addressesOf("http://a.example http://b.example,http://c.example"), ["http://a.example", "http://b.example,http://c.example"]);
    },

    "a link opens elsewhere and tells nothing of here": () => {
      const link = drawn("https://example.org").querySelector("a");
      equal([link.target, link.rel, link.title], ["_blank", "noopener noreferrer nofollow", ""]);
    },

    "nothing but web addresses is a link": () => {
      for (const text of ["javascript:alert(1)", "ftp://x.y", "file:///etc", "http://", "https:///x", "xhttp://a.b", "javascript://x", "https://‹U+202E›"]) {
        equal(addressesOf(text), []);
      }
    },

    "an address in several colours is one address": () => {
      equal(linksOf("at \x1b[1mhttps://example.org\x1b[31m/path\x1b[0m/x. end"),
        [["https://example.org", "https://example.org/path/x"], ["/path", "https://example.org/path/x"], ["/x", "https://example.org/path/x"]]);
    },

    "a link behind other text says where it goes": () => {
      const link = drawn("\x1b]8;;https://example.org/real\x07click\x1b]8;;\x07").querySelector("a");
      equal([link.getAttribute("href"), link.title], ["https://example.org/real", "https://example.org/real"]);
      equal(linksOf("\x1b]8;;https://evil.example/\x07https://bank.example\x1b]8;;\x07"), [["https://bank.example", "https://bank.example"]]);
      equal(linksOf("\x1b]8;;https://a.example/long/path\x07https://a.example/lo…\x1b]8;;\x07")[0], ["https://a.example/lo", "https://a.example/long/path"]);
    },

    "long and crooked addresses take no time": () => {
      const began = performance.now();
      for (const text of [`https://x.y/${"a".repeat(9900)}`, `https://x.y/${"(".repeat(4900)}${")".repeat(4900)}`, `https://x.y/${".,".repeat(4900)}`, "http://a ".repeat(1100), "https://".repeat(1200)]) drawn(text);
      ok(performance.now() - began < 2000, `${performance.now() - began} ms`);
      equal(addressesOf(`https://x.y/${"a".repeat(9900)}`), []);
    },
  };
}
