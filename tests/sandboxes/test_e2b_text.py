"""Text read in several goes, cut and broken off anywhere, comes out exactly once."""

import codecs

from django.test import SimpleTestCase
from hypothesis import given
from hypothesis import strategies as st

from runs.sandboxes.base import Offset
from runs.sandboxes.e2b_streams import beat
from runs.sandboxes.e2b_text import ReaderText

# Bytes that make and break characters and lines.
BYTES = st.lists(
    st.sampled_from([b"a", b"\n", b"\xc3", b"\xa4", b"\xe2\x82\xac", b"\xf0\x9f", b"\x98\x80",
                     b"\xff", b"\xed\xa0", b"\0", b"\r", b"\x1e", b"\x1emark ", "\u2028".encode()]),
    max_size=60,
).map(b"".join)  # fmt: skip
NOISE = st.sampled_from([b"", b"welcome\n", b"\xc3", b"\x1emark", b"\x1e\n\xff"])


def bytes_from_line(whole, lines, beats=()):
    """What a reader in the sandbox hands over from that line on, with beats in between."""
    at = sum(len(line) + 1 for line in whole.split(b"\n")[:lines])
    parts = []
    for place in beats:
        if place >= at:
            parts += [whole[at:place], beat(b"mark", whole[max(0, place - 3) : place])]
            at = place
    return b"".join(parts) + whole[at:]


class Sdk:
    """How the SDK decodes: incrementally, and what is left as one broken character."""

    def __init__(self):
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def texts(self, data, cuts):
        for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
            if text := self._decoder.decode(data[start:end]):
                yield text

    def broken_off(self):
        if text := self._decoder.decode(b"", final=True):
            yield text


def cuts_of(data, draw):
    return sorted(draw(st.lists(st.integers(0, len(data)), max_size=8)))


class ReaderTextTests(SimpleTestCase):
    @given(st.data())
    def test_whatever_breaks_the_text_is_whole(self, data):
        draw = data.draw
        whole, got, offset = draw(BYTES), "", Offset()
        for last in (*[False] * draw(st.integers(0, 4)), True):
            beats = cuts_of(whole, draw)
            said = draw(NOISE) + b"\x1emark 7\n" + bytes_from_line(whole, offset.lines, beats)
            reader, sdk = ReaderText("mark", offset), Sdk()
            reaches = len(said) if last else draw(st.integers(0, len(said)))
            texts = list(sdk.texts(said[:reaches], cuts_of(said[:reaches], draw)))
            got += "".join(map(reader.feed, texts))
            if draw(st.booleans()):  # or else whoever read was killed
                got += "".join(map(reader.feed, sdk.broken_off())) if last or reaches else ""
            elif last:
                got += "".join(map(reader.feed, sdk.broken_off()))
            if last:
                got += reader.end()
            offset = reader.offset
        self.assertEqual(got, whole.decode(errors="replace"))
        self.assertEqual(offset, Offset().after(got))

    def test_the_word_on_the_marks_line(self):
        reader = ReaderText("mark", Offset())
        self.assertEqual(reader.feed("hello\n\x1ema"), "")
        self.assertIsNone(reader.word)
        self.assertEqual(reader.feed("rk disk\nx"), "x")
        self.assertEqual(reader.word, "disk")

    def test_a_broken_character_waits_for_what_follows(self):
        reader = ReaderText("mark", Offset(3, 1))
        self.assertEqual(reader.feed("\x1emark 7\n_ab\ufffd"), "ab")
        self.assertEqual(reader.offset, Offset(3, 3))
        self.assertEqual(reader.feed("c\nd"), "\ufffdc\nd")
        self.assertEqual(reader.offset, Offset(4, 1))

    def test_a_line_that_only_began_like_a_beat_is_the_programs(self):
        reader = ReaderText("mark", Offset(0, 1))
        self.assertEqual(reader.feed("\x1emark 7\n_abc\n\x1emark "), "ab")
        self.assertEqual(reader.feed("xyz\x1e"), "c\n\x1emark x")
        self.assertEqual(reader.end(), "yz\x1e")
        self.assertEqual(reader.offset, Offset(1, 10))
