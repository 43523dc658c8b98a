"""Drafting: masks first, then event lines, and offsets that are the program's own."""

import json
from itertools import pairwise

from django.test import SimpleTestCase, TransactionTestCase
from hypothesis import given, settings
from hypothesis import strategies as st

from runs.models import STREAM_CODES, Chunk, Run
from runs.streaming import database
from runs.streaming.drafting import Drafting
from runs.streaming.masking import Secrets
from runs.streaming.recorder import Recorder
from tests.people import make_user

from .helpers import make_held_run

KEY = "sk-ant-0123456789"
OUT, ERR, EVENT = (STREAM_CODES[name] for name in ("stdout", "stderr", "event"))


class DraftingTests(SimpleTestCase):
    def drafts(self, *pieces: tuple) -> list[tuple]:
        drafting = Drafting(Secrets([KEY]), {})
        found = [draft for at, piece in enumerate(pieces) for draft in drafting.feed(*piece, at)]
        return [tuple(draft) for draft in found + drafting.end()]

    def test_an_event_is_found_in_what_is_masked(self):
        line = json.dumps({"type": "x", "data": KEY}) + "\n"
        masked = line.replace(KEY, "***")
        self.assertEqual(
            self.drafts((0, "stdout", line[:25], None), (0, "stdout", line[25:], None)),
            [(0, EVENT, masked, masked.strip(), 0)],
        )

    def test_streams_and_tasks_are_masked_apart(self):
        self.assertEqual(
            self.drafts(
                (1, "stdout", KEY[:9], None), (2, "stdout", KEY[9:], None),
                (1, "stderr", KEY[:9], None), (1, "stderr", KEY[9:], None),
            ),
            [(2, OUT, KEY[9:], None, 1), (1, ERR, "***", None, 2), (1, OUT, KEY[:9], None, 0)],
        )  # fmt: skip

    def test_results_and_errors_are_masked_in_text_and_data(self):
        data = json.dumps({"text/plain": KEY})
        for stream in ("result", "error", "system"):
            self.assertEqual(
                self.drafts((0, stream, f"{KEY}\n", data)),
                [(0, STREAM_CODES[stream], "***\n", data.replace(KEY, "***"), 0)],
            )

    @settings(max_examples=300, deadline=None)
    @given(st.data())
    def test_what_comes_together_is_masked_as_what_comes_apart(self, data):
        parts = st.sampled_from([KEY, KEY[:9], "x\n", "\x1b[1m", "\x1b[", '{"a": 1}\n', "plain "])
        text = "".join(data.draw(st.lists(parts, max_size=12)))
        cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
        pieces = [
            (data.draw(st.integers(0, 1)), stream, text[start:end], None, float(start))
            for start, end in pairwise([0, *cuts, len(text)])
            for stream in data.draw(st.sampled_from([["stdout"], ["stderr"], ["result"]]))
        ]
        at_once = data.draw(st.integers(1, 5))
        together, apart = Drafting(Secrets([KEY]), {}), Drafting(Secrets([KEY]), {})
        found = [
            draft
            for first in range(0, len(pieces), at_once)
            for drafts in together.feed_all(pieces[first : first + at_once])
            for draft in drafts
        ]
        expected = [draft for piece in pieces for draft in apart.feed(*piece)]
        # Cut elsewhere, perhaps: what is whole together need not wait.
        self.assertEqual(texts(found + together.end()), texts(expected + apart.end()))
        places = ([m._line, m._column, m._shift] for m in together.maskers.values())
        self.assertEqual(
            list(places), [[m._line, m._column, m._shift] for m in apart.maskers.values()]
        )

    def test_without_secrets_nothing_is_touched(self):
        drafting = Drafting(Secrets(), {})
        (draft,) = drafting.feed(0, "stdout", KEY, None, 1.0)
        self.assertEqual((draft.text, drafting.maskers), (KEY, {}))


def texts(drafts: list) -> dict[tuple, str]:
    found: dict[tuple, str] = {}
    for task, stream, text, _, _ in drafts:
        found[task, stream] = found.get((task, stream), "") + text
    return found


class OffsetTests(TransactionTestCase):
    """A successor goes on behind what was stored, in the text that the program wrote."""

    async def test_whatever_was_masked_each_character_is_recorded_once(self):
        written = f"a {KEY} b\n{KEY} {KEY}-- {KEY[:6]}tail\nand s{KEY}"
        owner = await database.write(make_user, "ada")
        for cut in range(0, len(written), 3):
            run = await database.write(make_held_run, owner)
            await self.record(run, written[:cut], ended=False)
            run = await Run.objects.aget(pk=run.pk)
            lines, chars = run.offsets.get("0:stdout", (0, 0))
            start = sum(len(line) + 1 for line in written.split("\n")[:lines]) + chars
            await self.record(run, written[start:], ended=True)
            chunks = [chunk.text async for chunk in Chunk.objects.of(run.pk, 0)]
            self.assertEqual("".join(chunks), written.replace(KEY, "***"), cut)

    async def record(self, run: Run, text: str, *, ended: bool) -> None:
        recorder = Recorder(lambda *_: None)
        recorder.start()
        recording = await recorder.open(run, count_offsets=True)
        drafting = Drafting(Secrets([KEY]), run.offsets)
        recording.maskers = drafting.maskers
        await recording.append(drafting.feed(0, "stdout", text, None, 1.0))
        if ended:
            await recording.append(drafting.end())
        await recording.flush()
        await recorder.close()
