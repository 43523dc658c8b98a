"""A Jupyter kernel inside a place: started ahead, given to a run, read to its end."""

import asyncio
import json
import os
import secrets
import shutil
import signal
import sys
from contextlib import suppress
from pathlib import Path
from queue import Empty

from .base import OutputQueue, SandboxError
from .places import Place
from .processes import Child
from .rich import outcome, put_error, put_result, storable, stream_name

START_SECONDS = 30
READY_SECONDS = 0.5
# Beyond what a kernel of ours sends; a program that sends more by itself loses that message.
MESSAGE_BYTES = 64 * 1024**2
# How long a dead kernel's last messages are waited for.
LAST_SECONDS = 0.3
SOCKET_PATH = 100  # a socket's path may have 107 bytes

MAIN = Path(__file__).with_name("kernel_main.py")
KERNEL_DIR = "/run/kernel"
RESULTS = ("execute_result", "display_data", "update_display_data")


class Kernel:
    """One kernel process and the client that talks to it."""

    def __init__(self, place: Place):
        self.place = place
        self.child: Child | None = None
        self._client = None
        self._stopped = False

    async def start(self, context, env: dict[str, str]) -> None:
        """Start it and wait until it answers. Raises SandboxError."""
        directory = self.place.workdir.top / "kernel"
        directory.mkdir(mode=0o700)
        shutil.copyfile(MAIN, directory / MAIN.name)
        info = connection(f"{directory}/s")
        seen = self.place.show(directory, KERNEL_DIR)
        file = directory / "connection.json"
        file.write_text(json.dumps({**info, "ip": f"{seen}/s"}))
        for path in (directory, *directory.iterdir()):
            self.place.give(path)
        self._spawn(directory, seen, env)
        self._client = make_client(context, info)
        try:
            await self._until_ready()
            # What a first cell makes it import is there before the run comes.
            await self.prepare({}, self.place.home)
        except TimeoutError:
            raise SandboxError(f"The Python kernel did not start.{self._said()}") from None

    def _spawn(self, directory: Path, seen: str, env: dict[str, str]) -> None:
        argv = [
            *(sys.executable, f"{seen}/{MAIN.name}", "-f", f"{seen}/connection.json"),
            *("--HistoryManager.enabled=False", "--InteractiveShell.colors=NoColor"),
        ]
        own = {"IPYTHONDIR": f"{seen}/ipython", "JUPYTER_RUNTIME_DIR": seen}
        null = os.open(os.devnull, os.O_RDWR)
        log = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            pipes = (null, null, log)
            self.child = self.place.spawn(argv, 0, {**own, **env}, self.place.home, pipes)
        finally:
            os.close(null)
            os.close(log)

    @property
    def _log(self) -> Path:
        return self.place.workdir.top / "kernel.log"

    def _said(self) -> str:
        with suppress(OSError):
            last = self._log.read_text(errors="replace").strip().splitlines()[-1:]
            return f" It said: {last[0][:300]}" if last else ""
        return ""

    @property
    def alive(self) -> bool:
        return self.child is not None and self.child.alive

    async def _until_ready(self) -> None:
        async with asyncio.timeout(START_SECONDS):
            while True:
                asked = self._client.kernel_info()
                await self._answer(asked)
                # Only a message that arrives proves that our subscription has.
                with suppress(Empty):
                    await self._client.get_iopub_msg(timeout=READY_SECONDS)
                    return

    async def _answer(self, asked: str) -> dict:
        """The kernel's reply. Raises SandboxError if it dies first."""
        reply = asyncio.ensure_future(self._reply(asked))
        try:
            if await self._while_alive({reply}):
                return reply.result()
        finally:
            reply.cancel()
        raise SandboxError(f"{self._death()}{self._said()}")

    async def _reply(self, asked: str) -> dict:
        while True:
            message = await self._client.get_shell_msg(timeout=None)
            if message["parent_header"].get("msg_id") == asked:
                return message["content"]

    def _death(self) -> str:
        code = self.child.ended.result()
        if code == 128 + signal.SIGKILL:
            return "The Python kernel died (killed by signal 9, perhaps out of memory)."
        how = f"killed by signal {code - 128}" if code > 128 else f"exit code {code}"
        return f"The Python kernel died ({how})."

    async def prepare(self, env: dict[str, str], cwd: str) -> None:
        """Give the run's environment and directory to a kernel that was started without."""
        # Values go over the socket, and no name stays behind in the program's namespace.
        code = (
            f"__import__('os').environ.update({env!r})\n"
            "__import__('time').tzset()\n"
            f"__import__('os').chdir({cwd!r})\n"
        )
        asked = self._client.execute(code, silent=True, store_history=False, allow_stdin=False)
        reply = await self._answer(asked)
        if reply["status"] != "ok":
            raise SandboxError(f"The Python kernel refused the environment: {reply['evalue']}.")

    async def execute(self, code: str, output: OutputQueue) -> int:
        """Run a cell: 0, or 1 if it raised. Raises SandboxError if the kernel dies."""
        asked = self._client.execute(code, allow_stdin=False)
        messages = asyncio.ensure_future(self._show(asked, output))
        reply = asyncio.ensure_future(self._reply(asked))
        try:
            # Only both together say that all has arrived.
            if await self._while_alive({messages, reply}):
                return outcome(messages.result(), reply.result(), output)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            # A program has its kernel in its hands.
            raise SandboxError(f"The Python kernel sent nonsense: {error!r:.200}.") from error
        finally:
            messages.cancel()
            reply.cancel()
            await asyncio.wait({messages, reply})
        if self.child.ended.result() == 0:  # the program called exit()
            return 0
        raise SandboxError(self._death())

    async def _while_alive(self, waiting: set[asyncio.Task]) -> bool:
        """Wait for tasks, of a dead kernel only for a moment; whether they are done."""
        ended = self.child.ended
        while waiting and not ended.done():
            done, _ = await asyncio.wait({*waiting, ended}, return_when=asyncio.FIRST_COMPLETED)
            waiting = waiting - done
            for task in done - {ended}:
                task.result()
        if waiting:
            _, waiting = await asyncio.wait(waiting, timeout=LAST_SECONDS)
        return not waiting

    async def _show(self, asked: str, output: OutputQueue) -> bool:
        """Put what the cell says until the kernel is idle again; whether it said it raised."""
        raised = False
        while True:
            message = await self._client.get_iopub_msg(timeout=None)
            if message["parent_header"].get("msg_id") != asked:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "stream":
                output.put(0, stream_name(content), storable(content["text"]))
            elif kind in RESULTS:
                put_result(output, content)
            elif kind == "error":
                raised = True
                put_error(output, content)
            elif kind == "status" and content["execution_state"] == "idle":
                return raised
            if output.full:
                self._pause(output)

    def _pause(self, output: OutputQueue) -> None:
        # The socket is always read, else it drops; the kernel is stopped instead.
        if not self._stopped and self.alive:
            self._stopped = True
            self.place.signal(self.child, signal.SIGSTOP)
            output.when_room(self._resume)

    def _resume(self) -> None:
        self._stopped = False
        if self.child:
            self.place.signal(self.child, signal.SIGCONT)

    async def close(self) -> None:
        self.disconnect()
        await self.place.close()

    def disconnect(self) -> None:
        if self._client is not None:
            self._client.stop_channels()
            self._client = None


def connection(prefix: str) -> dict:
    """What a kernel and its client must agree on; sockets are files, no network is needed."""
    if len(prefix) > SOCKET_PATH:
        raise SandboxError(
            "The path of the directory for programs is too long for a kernel's sockets; "
            "set TMPDIR to a shorter one."
        )
    names = ("shell", "iopub", "stdin", "control", "hb")
    return {
        **{f"{name}_port": number for number, name in enumerate(names, 1)},
        "transport": "ipc",
        "ip": prefix,
        "key": secrets.token_hex(16),
        "signature_scheme": "hmac-sha256",
        "kernel_name": "python3",
    }


def make_context():
    """The sockets' context, one for all kernels. Raises SandboxError without the libraries."""
    # Imported at first use: together they take 14 MB.
    try:
        import ipykernel  # noqa: F401
        import jupyter_client.asynchronous  # noqa: F401
        import zmq.asyncio
    except ImportError as error:
        raise SandboxError(
            "Notebook mode is not installed here: install streamsite with its extra 'local'."
        ) from error
    context = zmq.asyncio.Context()
    context.rcvhwm = 0
    context.linger = 0
    context.reconnect_ivl = 10
    context.maxmsgsize = MESSAGE_BYTES
    return context


def make_client(context, info: dict):
    from jupyter_client.asynchronous import AsyncKernelClient

    client = AsyncKernelClient(context=context)
    client.load_connection_info(info)
    client.session.digest_history_size = 0  # else it remembers 65,536 signatures
    client.start_channels(stdin=False, hb=False, control=False)
    return client
