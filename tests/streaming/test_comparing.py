"""Two runs beside each other."""

import json

from django.test import TestCase

from runs.models import Run, Status
from runs.streaming import comparing, outputs
from runs.streaming.comparing import compare
from tests.factories import make_run
from tests.people import make_user


def event(kind: str, **data) -> dict:
    value = {"type": kind, "data": data}
    return {"stream": "event", "text": json.dumps(value) + "\n", "data": json.dumps(value)}


def shown(output: dict) -> list[str]:
    signs = {"same": " ", "removed": "-", "added": "+"}
    lines = [line for hunk in output["hunks"] for line in hunk["lines"]]
    return [signs.get(line["kind"], "?") + line["text"] for line in lines]


class CompareTests(TestCase):
    def setUp(self):
        self.owner = make_user("ada")

    def make(self, *chunks, **fields) -> Run:
        return make_run(self.owner, chunks=chunks, **fields)

    def compare(self, a, b, **options) -> dict:
        a, b = (self.make(*run) if isinstance(run, list) else run for run in (a, b))
        return compare(a, b, **options)

    def outputs(self, a, b, **options) -> dict:
        found = self.compare(a, b, **options)["outputs"]
        return {(output["task"], output["stream"]): output for output in found}

    def test_a_line_more_and_one_changed(self):
        old = [f"line {n}\n" for n in range(1, 30)]
        new = [*old[:9], "new\n", *old[9:19], "changed\n", *old[20:]]
        found = self.compare(old, new)
        (output,) = found["outputs"]
        self.assertFalse(found["same"])
        self.assertEqual((output["same"], output["removed"], output["added"]), (28, 1, 2))
        self.assertEqual(
            shown(output),
            [" line 7", " line 8", " line 9", "+new", " line 10", " line 11", " line 12",
             " line 17", " line 18", " line 19", "-line 20", "+changed",
             " line 21", " line 22", " line 23"],
        )  # fmt: skip
        changed = [
            line for hunk in output["hunks"] for line in hunk["lines"] if "ch" in line["text"]
        ]
        self.assertEqual((changed[0]["a"], changed[0]["b"]), (None, 21))
        self.assertEqual([(hunk["a"], hunk["b"]) for hunk in output["hunks"]], [(7, 7), (17, 18)])

    def test_however_the_text_was_cut(self):
        text = "".join(f"line {n}\n" for n in range(200)) + "the end"
        whole = self.make(text)
        pieces = self.make(*[text[n : n + 7] for n in range(0, len(text), 7)])
        found = self.compare(whole, pieces)
        self.assertTrue(found["same"])
        self.assertEqual(found["outputs"][0]["lines"], {"a": 201, "b": 201})
        other = self.make(
            *[text.replace("line 99", "line X")[n : n + 5] for n in range(0, len(text), 5)]
        )
        (output,) = self.compare(pieces, other)["outputs"]
        self.assertEqual(
            shown(output),
            [" line 96", " line 97", " line 98", "-line 99", "+line X",
             " line 100", " line 101", " line 102"],
        )  # fmt: skip
        self.assertEqual([line["b"] for line in output["hunks"][0]["lines"]][:3], [97, 98, 99])

    def test_times_are_set_aside_unless_asked_for(self):
        old, new = ["12:00:01 took 5 ms\n"], ["13:00:01 took 7 s\n"]
        self.assertTrue(self.compare(old, new)["same"])
        found = self.compare(old, new, exact=True)
        self.assertFalse(found["same"])
        self.assertEqual(shown(found["outputs"][0]), ["-12:00:01 took 5 ms", "+13:00:01 took 7 s"])

    def test_each_stream_of_each_task_by_itself(self):
        def chunks(*order):
            return [{"text": text, "stream": stream, "task": task} for task, stream, text in order]

        one, two = (1, "stdout", "one\n"), (2, "stdout", "two\n")
        error, remark = (1, "stderr", "oh\n"), (0, "system", "a gap\n")
        found = self.outputs(chunks(one, two, error), chunks(two, remark, one))
        self.assertEqual(set(found), {(1, "stdout"), (2, "stdout"), (1, "stderr")})
        self.assertEqual(found[1, "stdout"]["hunks"], [])
        self.assertEqual(shown(found[1, "stderr"]), ["-oh"])

    def test_events_are_counted_and_compared_as_lines(self):
        old = ["a\n", event("step", n=1), event("step", n=2)]
        new = ["a\n", event("step", n=1), event("done", ok=True)]
        found = self.compare(old, new)
        self.assertEqual(
            found["events"], [{"type": "done", "a": 0, "b": 1}, {"type": "step", "a": 2, "b": 1}]
        )
        self.assertEqual(len(found["outputs"]), 1)
        self.assertEqual([text[0] for text in shown(found["outputs"][0])], [" ", " ", "-", "+"])

    def test_results(self):
        def result(text, **data):
            return {"stream": "result", "text": text, "data": json.dumps(data)}

        old = [result("42", **{"text/plain": "42"}), result("", **{"image/png": "AAAA"})]
        new = [result("42", **{"text/plain": "42"}), result("", **{"image/png": "BBBB"})]
        output = self.outputs(old, new)[0, "result"]
        self.assertEqual(shown(output), [" text/plain: 42", "-image/png", "+image/png"])

    def test_how_they_were_run_and_ended(self):
        a = self.make("x\n", program="echo x\necho y", env={"A": "1"}, plain_env=["A"])
        b = self.make("x\n", program="echo x\necho z", status=Status.FAILED)
        found = compare(a, b)
        fields = {field["name"]: field for field in found["fields"]}
        self.assertFalse(found["same"])
        self.assertEqual((fields["status"]["a"], fields["status"]["b"]), ("succeeded", "failed"))
        self.assertEqual(
            (fields["plain_env"]["a"], fields["plain_env"]["same"]), ({"A": "1"}, False)
        )
        self.assertTrue(fields["started_at"]["same"])
        self.assertEqual(
            [(line["kind"], line["text"]) for line in found["program"]],
            [("same", "echo x"), ("removed", "echo y"), ("added", "echo z")],
        )
        self.assertEqual(compare(a, a)["program"], [])

    def test_what_is_too_much_is_said(self):
        many, more = [f"{n}\n" for n in range(500)], [f"other {n}\n" for n in range(500)]
        (output,) = self.compare(many, more)["outputs"]
        self.assertEqual(output["removed"], 500)
        self.assertEqual(
            [text for text in shown(output) if text.startswith("?")], ["?400 more lines"] * 2
        )
        alternating = [f"{n}\n" if n % 20 else f"old {n}\n" for n in range(20_000)]
        again = [f"{n}\n" if n % 20 else f"new {n}\n" for n in range(20_000)]
        (output,) = self.compare(alternating, again)["outputs"]
        lines = sum(len(hunk["lines"]) for hunk in output["hunks"])
        self.assertLessEqual(lines, comparing.MOST_SHOWN + 20)
        self.assertEqual(len(output["hunks"]) + output["more"], 1000)

    def test_the_time_it_may_take(self):
        run = self.make(*[f"{n}\n" for n in range(5_000)])
        found = self.compare(run, self.make("x\n"), seconds=0)
        self.assertFalse(found["same"])
        self.assertTrue(any("its beginning was compared" in note for note in found["notes"]))

    def test_more_lines_than_are_compared(self):
        self.addCleanup(setattr, outputs, "MOST_LINES", outputs.MOST_LINES)
        outputs.MOST_LINES = 1_000
        a, b = (self.make(*[f"{n}\n" for n in range(count)]) for count in (2_500, 3_000))
        found = compare(a, b)
        self.assertEqual(found["outputs"][0]["lines"], {"a": 1_000, "b": 1_000})
        self.assertEqual(len(found["notes"]), 2)

    def test_where_one_was_not_read_whole_the_rest_of_the_other_says_nothing(self):
        self.addCleanup(setattr, outputs, "MOST_LINES", outputs.MOST_LINES)
        outputs.MOST_LINES = 1_000
        (output,) = self.compare([f"{n}\n" for n in range(500)], [f"{n}\n" for n in range(2_500)])[
            "outputs"
        ]
        self.assertEqual((output["lines"], output["added"]), ({"a": 500, "b": 500}, 0))

    def test_runs_that_go_on_or_lost_their_middle(self):
        dropped = {"from_seq": 2, "to_seq": 9, "chunks": 8, "bytes": 4711}
        a = self.make("a\n", dropped=dropped)
        b = self.make("a\n", status=Status.RUNNING)
        notes = compare(a, b)["notes"]
        self.assertIn("4,711 bytes", notes[0])
        self.assertIn("B still goes on", notes[1])

    def test_a_run_whose_output_was_deleted(self):
        run = self.make("a\n", output_deleted={"at": "2025-01-31", "by": "root", "reason": "old"})
        self.assertEqual(compare(run, self.make("a\n"))["notes"], ["A's output was deleted."])

    def test_a_line_without_end_and_one_of_nothing(self):
        self.addCleanup(setattr, outputs, "PIECE_CHARS", outputs.PIECE_CHARS)
        outputs.PIECE_CHARS = 1_000
        line = "".join(map(str, range(20_000)))
        in_pieces = [line[n : n + 777] for n in range(0, len(line), 777)]
        found = self.compare([line, "\nend\n"], [*in_pieces, "\n", "end", "\n"])
        self.assertTrue(found["same"])
        self.assertEqual(found["outputs"][0]["lines"], {"a": 2, "b": 2})
        (output,) = self.compare([line, "\nend\n"], [line + "x\nend\n"])["outputs"]
        self.assertEqual((output["removed"], output["added"]), (1, 1))
        self.assertEqual(len(output["hunks"][0]["lines"][0]["text"]), outputs.SHOWN_CHARS)
        (output,) = self.compare([line], ["x" + line[1:]])["outputs"]
        self.assertEqual((output["removed"], output["added"]), (1, 1))
        self.assertTrue(self.compare([], [])["same"])
        (output,) = self.compare([], ["\n\n"])["outputs"]
        self.assertEqual(shown(output), ["+", "+"])
