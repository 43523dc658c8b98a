async ({ load, equal, ok }) => {
  const { errorOf, representations } = await load("results");
  const { FRAME_LEAST, FRAME_MOST, htmlHeight, imageSize, latexHeight } = await load("sizes");
  const offered = (data) => representations(data, "x\n").map(({ how, mime }) => `${how} ${mime}`);

  return {
    "the richest representation comes first": () => {
      equal(offered({
        "text/plain": "x", "application/json": {}, "text/html": "<b>", "image/png": "aGk=", "text/latex": "$x$",
        "application/pdf": "aGk=", "text/markdown": "#", "image/svg+xml": "<svg/>", chart: { type: "pie" }, execution_count: 3,
      }), ["chart chart", "image image/png", "image image/svg+xml", "frame text/html", "frame text/latex", "text text/markdown",
        "tree application/json", "text text/plain", "file application/pdf"]);
    },
    "there is always one": () => {
      for (const data of [null, 7, "x", [], {}, { execution_count: 1 }, { "text/plain": null }, { "text/html": 3 }]) {
        ok(representations(data, "x").length, JSON.stringify(data));
      }
      equal(representations({}, "printed")[0].value, "printed");
    },
    "no base64, no image": () => {
      equal(offered({ "image/png": "javascript:alert(1)", "image/gif": ["aG", "k="], "image/jpeg": 7 }),
        ["image image/gif", "file image/png", "file image/jpeg"]);
    },
    "an SVG is an image and nothing else": () => {
      const [{ how, value }] = representations({ "image/svg+xml": "<svg onload='alert(1)'>#\ud800</svg>" }, "");
      equal(how, "image");
      ok(/^data:image\/svg\+xml,[^<>"'#]*$/.test(value.replaceAll("'", "")), "it");
    },
    "a text in lines": () => equal(representations({ "text/html": ["<b>", "</b>"] }, "")[0].value, "<b></b>"),
    "an error's title and traceback": () => {
      equal(errorOf({ name: "ValueError", value: "no", traceback: ["a", "b"] }, ""), { title: "ValueError: no", traceback: "a\nb" });
      equal(errorOf({ name: "E", traceback: 7 }, ""), { title: "E", traceback: "7" });
      equal(errorOf(null, "text"), { title: "Error", traceback: "text" });
      equal(errorOf({}, "text"), { title: "Error", traceback: "text" });
    },

    "a table's height by its rows": () => {
      const table = (rows) => `<style>tr { x: y }</style><div><table>${"<tr><td>1</td></tr>".repeat(rows)}</table></div>`;
      equal([table(3), table(6)].map(htmlHeight), [99, 174]);
      equal([table(0), table(100_000), ""].map(htmlHeight), [FRAME_LEAST, FRAME_MOST, FRAME_LEAST]);
    },
    "text and images count": () => {
      ok(htmlHeight("<p>a<p>b<p>c<p>d") > htmlHeight("<p>a<p>b"), "it");
      ok(htmlHeight("x".repeat(2000)) > 300, "it");
      ok(htmlHeight("<svg height='200'></svg>") > 200, "it");
    },
    "fifty megabytes of HTML are guessed at once": () => {
      const html = "<tr><td>x</td></tr><!--".repeat(2_200_000), began = performance.now();
      equal(htmlHeight(html), FRAME_MOST);
      ok(performance.now() - began < 500, "it");
    },
    "formulas": () => {
      ok(latexHeight("$x$") < latexHeight(String.raw`$$\frac{a}{b}$$ \\ b`), "it");
      equal(latexHeight(String.raw`\\`.repeat(5000)), FRAME_MOST);
    },
    "sizes of images": () => {
      equal(imageSize("image/png", "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAASwAAADICAIAAADdvUsCAAAA"), { width: 300, height: 200 });
      equal(imageSize("image/gif", "data:image/gif;base64,R0lGODlhAQABAAAAACw="), { width: 1, height: 1 });
      equal(imageSize("image/svg+xml", `data:image/svg+xml,${encodeURIComponent('<svg width="12pt" height="7">')}`), { width: 12, height: 7 });
      for (const value of ["", "data:,", "data:image/png;base64,%%%", "data:image/png;base64,aGk="]) equal(imageSize("image/png", value), null);
      for (const value of ["data:image/svg+xml,%3Csvg width='100%25'%3E", "data:image/svg+xml,%E0%A4%A"]) equal(imageSize("image/svg+xml", value), null);
    },
  };
}
