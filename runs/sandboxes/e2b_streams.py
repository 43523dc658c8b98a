"""What a relay hands on: the files it keeps output in, and lines of its own.

Like the relay it runs inside the sandbox, as one text with it.
"""

# ruff: noqa: SIM105 - it runs on whatever Python a sandbox has

import codecs
import os
import time

BLOCK = 64 * 1024
NAMES = ("stdout", "stderr")


class Stuck(Exception):
    """Why this relay cannot go on, in a word that the server knows."""


class Stream:
    """One of the two: its file, and how much of it was written and handed on."""

    def __init__(self, directory, name, flags):
        self.target = 1 + NAMES.index(name)
        self.file = os.open(os.path.join(directory, name), flags, 0o600)
        self.pipe = None
        self.written = 0
        self.sent = 0
        self.full = False

    def take(self):
        """From the program's pipe into the file; how much."""
        read = os.read(self.pipe, BLOCK)
        size = len(read)
        if not read:
            os.close(self.pipe)
            self.pipe = None
        while read:
            done = os.write(self.file, read)
            self.written += done
            read = read[done:]
        return size

    def give(self):
        """From the file to whoever listens, as much as fits."""
        try:
            while self.sent < self.written:
                count = min(self.written - self.sent, BLOCK)
                self.sent += os.sendfile(self.target, self.file, self.sent, count)
            self.full = False
        except BlockingIOError:
            self.full = True
        except BrokenPipeError:  # nobody will ever listen
            self.sent, self.full = self.written, False

    def seek(self, lines):
        """Begin where line `lines` begins."""
        at = 0
        while lines:
            block = os.pread(self.file, BLOCK, at)
            if not block:
                raise Stuck("offset")
            found = block.count(b"\n")
            if found < lines:
                at, lines = at + len(block), lines - found
                continue
            end = 0
            for _ in range(lines):
                end = block.index(b"\n", end) + 1
            at, lines = at + end, 0
        self.sent = at


class Beat:
    """Tells whoever listens that silence is the program's, not the connection's."""

    def __init__(self, mark, seconds, streams):
        self.mark, self.seconds, self.streams = mark.encode(), float(seconds), streams
        self.sent = None
        self.due = 0.0

    def wait(self):
        """How long until it is due; what was handed on puts it off."""
        now = time.monotonic()
        sent = [stream.sent for stream in self.streams]
        if sent == self.sent and now < self.due:
            return self.due - now
        if sent == self.sent:
            self.strike(self.streams[0])
        self.sent, self.due = sent, now + self.seconds
        return self.seconds

    def strike(self, out):
        before = os.pread(out.file, min(out.sent, 3), max(out.sent - 3, 0))
        try:
            os.write(1, beat(self.mark, before))  # whole or not at all: pipes are so
        except OSError:  # nobody takes what came before
            pass


def beat(mark, before):
    """The line for a place behind those bytes.

    A character that it cuts begins anew behind it; the number tells by how many broken
    ones whoever decodes the stream has replaced the first part.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    decoder.decode(before)
    begun = decoder.getstate()[0]
    return b"\x1e%b +%d\n%b" % (mark, len(begun.decode(errors="replace")), begun)


def say(mark, word):
    line = ("\x1e" + mark + " " + word + "\n").encode()
    for target in (1, 2):
        os.write(target, line)
