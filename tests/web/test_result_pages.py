"""Results by themselves: framed so that they can do nothing, and as files."""

import base64
import json

from runs.web.latex import MOST, latex_html

from .test_pages import PageTestCase, make_run

HTML = "<b>bold</b><script>alert(1)</script>"


class ResultTestCase(PageTestCase):
    def make(self, data, text="x\n"):
        self.run_ = make_run(self.alice, chunks=[("result", text, data), ("stdout", "y\n")])
        return self.run_

    def get(self, tail="", seq=1, user=None):
        path = f"/runs/{self.run_.public_id}/results/{seq}/{tail}"
        return self.as_(user or self.alice).get(path)


class FrameTests(ResultTestCase):
    def test_html_comes_in_a_page_that_can_do_nothing(self):
        self.make({"text/html": HTML})
        frame = self.get()

        self.assertContains(frame, HTML)
        policy = frame["Content-Security-Policy"]
        self.assertTrue(policy.startswith("sandbox; default-src 'none'"))
        self.assertNotIn("allow", policy)
        self.assertNotIn("script-src", policy)
        self.assertEqual(frame["X-Frame-Options"], "SAMEORIGIN")
        self.assertEqual(frame["Cache-Control"], "no-store")

    def test_only_results_have_one(self):
        self.make({"text/html": HTML})
        for seq in (0, 2, 3, 10**17):
            self.assertEqual(self.get(seq=seq).status_code, 404, seq)
        for mime in ("text/latex", "text/plain", "image/svg+xml", "constructor"):
            self.assertEqual(self.get(f"?mime={mime}").status_code, 404, mime)
        self.assertEqual(self.get(user=self.bob).status_code, 404)
        self.assertEqual(self.get(user=self.auditor).status_code, 200)

    def test_what_a_result_is_need_not_be_an_object(self):
        for data in ([HTML], "text/html", 7, None, {"text/html": {"a": 1}}, {"text/html": ""}):
            with self.subTest(data=data):
                self.make(data)
                self.assertEqual(self.get().status_code, 404)

    def test_html_with_colours_of_its_own_stays_on_white(self):
        for html, scheme in (
            ("<table class=dataframe></table>", "light dark"),
            ("<b style='color: red'>b</b>", "light"),
            ("<td bgcolor=#fff>", "light"),
            ("<svg></svg>", "light"),
        ):
            self.make({"text/html": html})
            self.assertContains(self.get(), f'name="color-scheme" content="{scheme}"')

    def test_latex_is_set_as_mathml(self):
        self.make({"text/latex": r"$\displaystyle \frac{a}{b}$", "text/html": "<b>html</b>"})
        frame = self.get("?mime=text/latex")

        self.assertContains(frame, "<mfrac>")
        self.assertContains(frame, 'display="block"')
        self.assertNotContains(frame, "html</b>")
        self.assertTrue(frame["Content-Security-Policy"].startswith("sandbox;"))


class LatexTests(ResultTestCase):
    def test_formulas_stand_in_their_text(self):
        html = latex_html(r"Mass & energy: $E=mc^2$, then $$\sum_i x_i$$ and \(y\) <b>")

        self.assertEqual(html.count("<math"), 3)
        self.assertEqual(html.count('display="block"'), 1)
        self.assertIn("Mass &amp; energy: ", html)
        self.assertTrue(html.endswith(" &lt;b&gt;</p>"))

    def test_environments_and_bare_formulas(self):
        self.assertIn("<mtable", latex_html(r"\begin{align}a&=b\\c&=d\end{align}"))
        self.assertIn("<msup>", latex_html("x^2"))

    def test_what_cannot_be_set_stays_readable(self):
        for text in (r"$\frac{$", "{" * 5_000, "x+" * MOST, r"\left( x", "^", r"\sqrt[" * 900):
            with self.subTest(text[:20]):
                html = latex_html(text)
                self.assertNotIn("<math", html)
                self.assertIn(text.strip("$")[:40], html)


class DownloadTests(ResultTestCase):
    def setUp(self):
        super().setUp()
        self.picture = b"\x89PNG\r\n\x1a\n"
        encoded = base64.b64encode(self.picture).decode()
        self.make({
            "text/plain": "plain é", "text/html": [HTML, "\n"], "image/png": encoded + "\n",
            "image/svg+xml": "<svg onload='alert(1)'/>", "application/pdf": encoded,
            "application/json": {"a": [1]}, "chart": {"type": "pie"}, "image/gif": "%%%",
            "application/javascript": "alert(1)", "application/x.own": "own", "data": "text",
        })  # fmt: skip

    def file(self, mime):
        answer = self.get(f"download?mime={mime.replace('+', '%2B')}")
        self.assertEqual(answer.status_code, 200, mime)
        return answer

    def test_each_representation_is_a_file_that_no_browser_runs(self):
        binary = "application/octet-stream"
        for mime, content_type, name in (
            ("text/plain", "text/plain; charset=utf-8", "result-1.txt"),
            ("text/html", binary, "result-1.html"),
            ("image/png", "image/png", "result-1.png"),
            ("image/svg+xml", binary, "result-1.svg"),
            ("application/pdf", "application/pdf", "result-1.pdf"),
            ("application/json", "application/json", "result-1.json"),
            ("chart", "application/json", "result-1.json"),
            ("application/javascript", binary, "result-1.js"),
            ("application/x.own", binary, "result-1.txt"),
            ("data", binary, "result-1.txt"),
        ):
            with self.subTest(mime):
                answer = self.file(mime)
                self.assertEqual(answer["Content-Type"], content_type)
                self.assertEqual(answer["Content-Disposition"], f'attachment; filename="{name}"')
                self.assertEqual(answer["X-Content-Type-Options"], "nosniff")
                self.assertIn("sandbox", answer["Content-Security-Policy"])

    def test_the_content_is_what_the_program_gave(self):
        self.assertEqual(self.file("image/png").content, self.picture)
        self.assertEqual(self.file("text/html").content.decode(), HTML + "\n")
        self.assertEqual(json.loads(self.file("application/json").content), {"a": [1]})
        self.assertEqual(self.file("text/plain").content.decode(), "plain é")

    def test_what_is_not_there_is_404(self):
        for mime in ("image/jpeg", "image/gif", "", "__class__"):
            self.assertEqual(self.get(f"download?mime={mime}").status_code, 404, mime)
        self.assertEqual(self.get("download?mime=text/plain", user=self.bob).status_code, 404)
        self.assertEqual(self.get("download?mime=text/plain", seq=2).status_code, 404)

    def test_a_result_without_text_has_what_was_printed(self):
        self.make({"image/png": "aGk="}, text="<Figure>\n")
        self.assertEqual(self.file("text/plain").content, b"<Figure>\n")

    def test_a_result_that_is_no_object_is_json(self):
        self.make([1, 2])
        self.assertEqual(json.loads(self.file("application/json").content), [1, 2])
