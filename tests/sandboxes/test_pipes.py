"""Reading pipes, whatever the cuts between the bytes."""

import asyncio
import os
import random
import time

from django.test import SimpleTestCase

from runs.sandboxes.base import OutputQueue
from runs.sandboxes.pipes import PipeReader, finish_reading

from .support import until


class PipeReaderTests(SimpleTestCase):
    def make_reader(self, output):
        read, write = os.pipe()
        return PipeReader(read, output, 0, "stdout"), write

    async def text_of(self, parts):
        """What comes of parts that are read one by one."""
        output = OutputQueue()
        reader, write = self.make_reader(output)
        text = ""
        for part in parts:
            os.write(write, part)
            small = reader._small_reads, reader._read_at
            await until(lambda small=small: (reader._small_reads, reader._read_at) != small)
        os.close(write)
        await asyncio.wait({reader.ended})
        output.close()
        while (pieces := await output.take()) is not None:
            text += "".join(piece.text for piece in pieces)
        return text

    async def test_any_cut_gives_the_same_text(self):
        rng = random.Random(7)
        for _ in range(12):
            whole = bytes(rng.choices(b"a\n\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\xff\0\xed", k=30))
            parts, rest = [], whole
            while rest:
                size = rng.randint(1, 4)
                parts.append(rest[:size])
                rest = rest[size:]
            expected = whole.decode(errors="replace").replace("\0", "\u2400")
            self.assertEqual(await self.text_of(parts), expected, parts)

    async def test_the_time_is_that_of_reading(self):
        output = OutputQueue()
        reader, write = self.make_reader(output)
        before = time.monotonic()
        os.write(write, b"x")
        [piece] = await output.take()
        self.assertTrue(before <= piece.at <= time.monotonic())
        os.close(write)
        await asyncio.wait({reader.ended})

    async def test_a_pipe_that_somebody_holds_is_left(self):
        output = OutputQueue()
        reader, write = self.make_reader(output)
        os.write(write, b"rest")
        await finish_reading([reader], 0.05)
        os.close(write)
        [piece] = await output.take()
        self.assertEqual(piece.text, "rest")

    async def test_the_rest_is_read_from_a_full_pipe_into_a_full_queue(self):
        output = OutputQueue(limit=10)
        reader, write = self.make_reader(output)
        os.write(write, b"x" * 60_000)
        await until(lambda: output.full)
        os.write(write, b"y" * 60_000)
        os.close(write)
        await finish_reading([reader], 1)
        text = "".join(piece.text for piece in await output.take())
        self.assertEqual(text, "x" * 60_000 + "y" * 60_000)
