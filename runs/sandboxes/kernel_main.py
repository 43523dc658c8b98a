"""Started inside the sandbox: a Jupyter kernel whose messages stay small and are not dropped.

Imports nothing of ours: the sandbox sees only this file.
"""

import codecs
import fcntl
import json
import os
import select
import struct
import sys
import termios
import threading
import time
import warnings

del sys.path[0]  # this file's directory is not the program's

sys.modules["debugpy"] = None  # nobody attaches a debugger; without it a kernel starts sooner

from ipykernel.iostream import IOPubThread, OutStream  # noqa: E402
from ipykernel.kernelapp import IPKernelApp  # noqa: E402
from ipykernel.kernelbase import Kernel  # noqa: E402
from IPython.core.error import StdinNotImplementedError  # noqa: E402
from jupyter_client.session import Session  # noqa: E402

TEXT_PART = 64 * 1024
ERROR_TEXT = 256 * 1024
RESULT_BYTES = 8 * 1024**2
READ_BYTES = 64 * 1024

send_whole = Session.send


def send(self, stream, msg_or_type, content=None, *args, **kwargs):
    """Send long output as several messages and leave out what is far too big."""
    if not isinstance(msg_or_type, dict):
        if msg_or_type in ("error", "execute_reply") and content:
            content = cleaned(shorter_error(content))
        return send_whole(self, stream, msg_or_type, content, *args, **kwargs)
    message, kind = msg_or_type, msg_or_type["header"]["msg_type"]
    if kind == "stream":
        return send_parts(self, stream, message, content, *args, **kwargs)
    if kind in ("display_data", "execute_result", "update_display_data"):
        message["content"] = cleaned(smaller_result(message["content"]))
    return send_whole(self, stream, message, content, *args, **kwargs)


def send_parts(self, stream, message, *args, **kwargs):
    text = cleaned(message["content"]["text"])
    parent = {"header": message["parent_header"]}
    for start in range(0, len(text), TEXT_PART):
        part = {**message["content"], "text": text[start : start + TEXT_PART]}
        sent = self.msg("stream", part, parent=parent)
        send_whole(self, stream, sent, *args, **kwargs)


def cleaned(value):
    """The same with lone surrogates, which no message can carry, replaced."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            value = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    elif isinstance(value, dict):
        return {cleaned(name): cleaned(part) for name, part in value.items()}
    elif isinstance(value, list):
        return [cleaned(part) for part in value]
    return value


def shorter_error(content):
    shorter = dict(content)
    for name in ("evalue", "ename"):
        if len(str(shorter.get(name, ""))) > ERROR_TEXT:
            shorter[name] = str(shorter[name])[:ERROR_TEXT] + "…"
    lines, room = [], ERROR_TEXT
    for line in reversed(shorter.get("traceback") or []):
        lines.append(line if len(line) <= room else line[: max(room, 0)] + "…")
        room -= len(line)
        if room <= 0:
            break
    if "traceback" in shorter:
        shorter["traceback"] = lines[::-1]
    return shorter


def smaller_result(content):
    sizes = {kind: size_of(value) for kind, value in content["data"].items()}
    if sum(sizes.values()) <= RESULT_BYTES:
        return content
    plain = str(content["data"].get("text/plain", ""))[: RESULT_BYTES // 4]
    left_out = {"bytes": sum(sizes.values()), "types": sorted(sizes)}
    metadata = {"streamsite_left_out": left_out}
    return {**content, "data": {"text/plain": plain}, "metadata": metadata}


def size_of(value):
    if isinstance(value, str):
        return len(value)
    return len(value) * 4 // 3 if isinstance(value, bytes) else len(json.dumps(value, default=str))


def watch_descriptor(self):
    """Forward what other processes and C code write, cut nowhere inside a character."""
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    while self._should_watch:
        select.select([self._fid], [], [])
        self.forwarding = True
        read = os.read(self._fid, READ_BYTES)
        if not read:
            break
        self.write(decode(read))
        self.forwarding = False


def wait_for_descriptors():
    """Before a cell ends: what its processes wrote is on its way."""
    deadline = time.monotonic() + 1
    for stream in (sys.stdout, sys.stderr):
        watched = getattr(stream, "_fid", None)
        while watched is not None and time.monotonic() < deadline:
            waiting = struct.unpack("i", fcntl.ioctl(watched, termios.FIONREAD, b"\0" * 4))[0]
            if not waiting and not getattr(stream, "forwarding", False):
                break
            time.sleep(0.001)


def send_multipart(self, *args, **kwargs):
    """Send at once what the sending thread itself sends.

    Queued behind the end of a flush(), it would wait as long as the program then
    keeps the interpreter to itself, in one long call of C code.
    """
    if threading.current_thread() is self.thread:
        self._really_send(*args, **kwargs)
    else:
        self.schedule(lambda: self._really_send(*args, **kwargs))


def refuse_input(self, *args, **kwargs):
    __tracebackhide__ = True
    raise StdinNotImplementedError(
        "input() is not available in notebook mode; launch in script mode with stdin."
    )


class KernelApp(IPKernelApp):
    def init_iopub(self, context):
        context.sndhwm = 0  # a reader that is slow for a while must not lose output
        super().init_iopub(context)

    def init_shell(self):
        super().init_shell()
        self.shell.events.register("post_execute", wait_for_descriptors)


del sys.modules["debugpy"]

Session.send = send
IOPubThread.send_multipart = send_multipart
OutStream._watch_pipe_fd = watch_descriptor
Kernel.raw_input = Kernel.getpass = refuse_input

if __name__ == "__main__":
    # Said by sys.exit() of something that is not there.
    warnings.filterwarnings("ignore", "To exit: use")
    KernelApp.launch_instance()
